"""The tables of docs/benchmarks.md: `python -m benchmarks.tables results/moves-1M.json results/moves-6M.json`.

Prints first a line for each goal, with a column for every size, then a table for each move. Of results/memory.json it
prints the table of memory, of results/tpch.json that of the queries.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

TIMES = "\N{MULTIPLICATION SIGN}"
MILLION = 1_000_000
Result = dict[str, Any]  # JSON as report.save and memory wrote it


def main() -> None:
    """Print what the files hold as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    results = [json.loads(file.read_text(encoding="utf-8")) for file in parser.parse_args().files]
    for result in results:
        if "jobs" in result:
            print("\n".join(memory(result)))
        if "tpch" in result:
            print("\n".join(queries(result)))
    measured = [result for result in results if "moves" in result]
    if measured:
        print("\n".join([*summary(measured), *(line for result in measured for line in details(result))]))


def summary(results: list[Result]) -> list[str]:
    """Return the table of goals: a row for each goal of a move, a column for each size."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for result in results:
        for move in result["moves"]:
            for verdict in move["verdicts"]:
                said, _, wanted = verdict.partition(", wanted ")
                found.setdefault((move["move"], wanted), {})[move["rows"]] = said
    sizes = sorted({move["rows"] for result in results for move in result["moves"]})
    lines = [_row("move", "wanted", *(f"{size:,} rows" for size in sizes)), _row(*["---"] * (2 + len(sizes)))]
    for (name, wanted), by_size in found.items():
        cells = [_emphasized(by_size.get(size, "not measured")) for size in sizes]
        lines.append(_row(_words(name), wanted.replace(" x", f" {TIMES}"), *cells))
    return [*lines, ""]


def details(result: Result) -> list[str]:
    """Return a table for each move: a row for each contender."""
    lines: list[str] = []
    for move in result["moves"]:
        lines += [f"### {_words(move['move'])}, {_short(move['rows'])} rows", ""]
        lines += [_row("", "wall s", "rows/s", "CPU s", "servers' CPU s", "peak MiB", "ours is"), _row(*["---"] * 7)]
        lines += [_contender(contender) for contender in move["contenders"]]
        lines += [
            "",
            *(f"{verdict[0].upper()}{verdict[1:]}.".replace(" x", f" {TIMES}") for verdict in move["verdicts"]),
            "",
        ]
    return lines


def memory(result: Result) -> list[str]:
    """Return the table of memory: a row for each load of each job."""
    few, many = result["rows"]
    lines = [_row("job", "load", f"{few} rows", f"{many} rows", "ratio", "target"), _row(*["---"] * 6)]
    for job, loads in result["jobs"].items():
        for load, found in loads.items():
            if load == "failed":
                lines.append(_row(_words(job), "", "", "", "", "failed"))
                continue
            low, high = found[f"peak_mib_{few}"], found[f"peak_mib_{many}"]
            lines.append(_row(_words(job), load, f"{low} MiB", f"{high} MiB", f"{high / low:.2f}", found["said"]))
    return [*lines, ""]


def queries(result: Result) -> list[str]:
    """Return the table of TPC-H: a row for each query, and for each way its time as a multiple of DuckDB's."""
    ways = result["tpch"]
    lines = [_row("query", *ways), _row(*["---"] * (1 + len(ways)))]
    for name in next(iter(ways.values()))["queries"]:
        cells = (way["queries"][name] for way in ways.values())
        lines.append(_row(name, *(f"{cell['ours']:.3f} s, {cell['ratio']:.2f} {TIMES}" for cell in cells)))
    means = (f"{way['mean']:.2f} {TIMES}: **{way['verdicts'][0].partition(':')[0]}**" for way in ways.values())
    return [*lines, _row("geometric mean", *means), ""]


def _contender(found: Result) -> str:
    name = f"**{found['name']}**" if found["role"] == "ours" else found["name"].replace("|", "\\|")
    if "missing" in found:
        return _row(name, *[""] * 5, found["missing"])
    cpu, server, peak = (
        median(run.get(key, 0) for run in found["runs"]) for key in ("cpu_seconds", "server_cpu_seconds", "peak_mib")
    )
    ratio = f"{found['ours_is']:.2f} {TIMES}" if found["role"] != "ours" and "ours_is" in found else ""
    busy = f"{server:.2f}" if server else ""
    return _row(
        name, f"{found['seconds']:.2f}", f"{found['rows_per_second']:,}", f"{cpu:.2f}", busy, f"{peak:.0f}", ratio
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _short(rows: int) -> str:
    return f"{rows // MILLION}M" if rows >= MILLION else f"{rows // 1000}k"


def _emphasized(said: str) -> str:
    """Return `met: 1.9 x the speed of ingestr` with the verdict in bold."""
    verdict, colon, rest = said.partition(": ")
    if not colon:
        return said
    return f"**{verdict}**: {rest.replace(' x the speed of', f' {TIMES}')}".replace("|", "\\|")


if __name__ == "__main__":
    main()
