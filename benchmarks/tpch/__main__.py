"""TPC-H's 22 queries over Parquet and over Delta: ours beside plain DuckDB on the same files, in alternation.

`python -m benchmarks.tpch --scale 1 --rounds 3`. Each side is a process that runs all queries once a round, after one
that does not count; a query's ratio is the median of its rounds' ratios. Wanted: at most 1.05 times DuckDB's time, in
the geometric mean and in each query. Answers must be equal. results/tpch.json has all.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from statistics import geometric_mean, median
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe
from benchmarks.places import CACHE, HERE, RESULTS, Ours

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1.05
PAIRS = {"into Arrow": ("read", "arrow"), "as jobs into a DuckDB file": ("job", "table")}
KINDS = ("parquet", "delta")
Seconds = dict[str, float]


def main() -> None:
    """Measure, print a table for each way and kind, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="1", help="TPC-H's scale factor")
    parser.add_argument("--rounds", type=int, default=3, help="every side runs once a round; the median counts")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    ours, folder = Ours.prepared(), CACHE / "tpch" / f"sf{options.scale}"
    command = [sys.executable, "-m", "benchmarks.tpch.data", str(folder), options.scale]
    subprocess.run(command, check=True, cwd=HERE.parent)
    facts = describe(ours.python)
    found: dict[str, dict[str, Any]] = {}
    for kind in options.kinds:
        for title, pair in PAIRS.items():
            runs = [_round(number, pair, kind, folder, ours) for number in range(options.rounds)]
            found[f"{kind}, {title}"] = _told(f"{kind}, {title}", runs)
            text = json.dumps({**facts, "scale": options.scale, "at_most": MOST, "tpch": found}, indent=1)
            (RESULTS / "tpch.json").write_text(text + "\n", encoding="utf-8")


def _round(number: int, pair: tuple[str, str], kind: str, folder: Path, ours: Ours) -> tuple[Seconds, Seconds]:
    """Return our seconds and DuckDB's of one round; the one that begins is the other one each time."""
    done = {way: _side(way, kind, folder, ours) for way in (pair if number % 2 == 0 else pair[::-1])}
    (mine, my_answers), (theirs, their_answers) = (done[way] for way in pair)
    for name, answer in my_answers.items():
        if not _equal(answer, their_answers[name]):
            sys.exit(f"{name} over {kind}: our answer is not DuckDB's")
    return mine, theirs


def _side(way: str, kind: str, folder: Path, ours: Ours) -> tuple[Seconds, dict[str, list[list[Any]]]]:
    out = CACHE / "run-tpch"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [str(ours.python), str(HERE / "tpch" / "side.py"), way, kind, str(folder), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=out, text=True)
    return json.loads(done.stdout.splitlines()[-1]), json.loads((out / "answers.json").read_text(encoding="utf-8"))


def _equal(mine: list[list[Any]], theirs: list[list[Any]]) -> bool:
    """Compare rows in any order; sums of doubles depend on the order in which threads add them."""
    if len(mine) != len(theirs):
        return False
    rows = zip(sorted(mine, key=_rounded), sorted(theirs, key=_rounded), strict=True)
    return all(
        math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b
        for mine_row, their_row in rows
        for a, b in zip(mine_row, their_row, strict=True)
    )


def _rounded(row: list[Any]) -> list[str]:
    return [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]


def _told(title: str, runs: list[tuple[Seconds, Seconds]]) -> dict[str, Any]:
    """Print a line for each query and the mean, and return them."""
    print(f"{title}\n  {'':6}{'ours s':>9}{'DuckDB s':>10}{'ratio':>8}")
    lines: dict[str, dict[str, float]] = {}
    for name in runs[0][0]:
        ratio = median(mine[name] / theirs[name] for mine, theirs in runs)
        line = {"ours": median(mine[name] for mine, _ in runs), "duckdb": median(theirs[name] for _, theirs in runs)}
        lines[name] = {**{key: round(value, 4) for key, value in line.items()}, "ratio": round(ratio, 3)}
        print(f"  {name:6}{line['ours']:>9.3f}{line['duckdb']:>10.3f}{ratio:>8.2f}")
    mean = geometric_mean(line["ratio"] for line in lines.values())
    beyond = [name for name, line in lines.items() if line["ratio"] > MOST]
    said = f"{'met' if mean <= MOST else 'missed'}: geometric mean {mean:.3f}, wanted at most {MOST}"
    each = f"{'met' if not beyond else 'missed'}: {len(lines) - len(beyond)} of {len(lines)} queries within {MOST}"
    print(f"  {said}\n  {each}\n", flush=True)
    return {"queries": lines, "mean": round(mean, 3), "verdicts": [said, each]}


if __name__ == "__main__":
    main()
