"""Whole-process time and memory of moves from and to Delta tables, ours and its peers' in one run, in alternation.

`python -m benchmarks.lake --moves csv_to_delta --rows 1M 6M --rounds 3` runs one move; without `--moves` all that this
machine has the servers for. results/lake.json has every single run; `python -m benchmarks.tables` makes tables of it.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import servers
from benchmarks.course import Course, Sources
from benchmarks.lake.data import AFTER, CHANGED, CHANGES, NEW
from benchmarks.lake.moves import MOVES, contenders
from benchmarks.lineitem import SIZES
from benchmarks.machine import describe, versions
from benchmarks.moves import Contest
from benchmarks.places import CACHE, HERE, RESULTS, Home, Ours, data, environment
from benchmarks.report import Outcome, save, table

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.contenders import Move, Phase

VERSIONS = ("deltalake", "datafusion", "dlt", "duckdb", "polars", "pyarrow", "connectorx")


class LakeCourse(Course):
    """A course on which 120,000 rows may be merged, and whose target may be a Delta table."""

    def expected(self, phase: Phase) -> list[str]:
        """Return what the target has to hold after that phase, of a table with history also how many rows in all."""
        if phase.table != CHANGES:
            return super().expected(phase)
        merged: list[str] = json.loads((self.ends.data / AFTER).read_text(encoding="utf-8"))
        return merged

    def check(self, phase: Phase, log: Path, who: str) -> None:
        """Stop everything when a run left other rows than it had to."""
        expected, arrived = self.expected(phase), self.arrived(log)
        if self.move.target == "arrow":
            expected = expected[:1]
        if len(arrived) > len(expected):  # versions of rows, by those who keep them
            rows = int(super().expected(self.move.phases[0])[0])
            expected.append(str(rows + (CHANGED + NEW if phase.table == CHANGES else 0)))
        if arrived != expected:
            sys.exit(f"{who} in {self.move.name}, {phase.name}, left {arrived} instead of {expected}")

    def arrived(self, log: Path) -> list[str]:
        """Return the same of what is there."""
        if self.move.mode != "scd2":
            return super().arrived(log)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.verify", self.ends.target], check=True, stdout=subprocess.PIPE,
            cwd=HERE.parent,
        )  # fmt: skip
        found: list[str] = json.loads(done.stdout)
        return found


def main() -> None:
    """Measure what the options ask for, print each move as it is done, write JSON of all."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    ours, peers = Ours.prepared(), Home(environment("lake.txt", "lake") / "bin" / "python", CACHE / "home")
    moves = [move for move in MOVES if move.name in options.moves and _reachable(move)]
    facts = describe(ours.python) | {"peer_versions": versions(peers.python, VERSIONS)}
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        for label in options.rows:
            folder = data(label)
            subprocess.run([sys.executable, "-m", "benchmarks.lake.data", str(folder)], check=True, cwd=HERE.parent)
            sources = stack.enter_context(Sources(folder, changed=False))
            for move in moves:
                course = LakeCourse.laid(move, sources)
                contest = Contest(course, SIZES[label], contenders(move, course.ends, ours, peers), peers)
                for outcome in contest.held(options.rounds, options.only, options.without):
                    outcomes.append(outcome)
                    print(table(outcome), end="\n\n", flush=True)
                course.close()
                save(outcomes, facts | {"memory": memory(outcomes)}, options.output)
    print(*_lines(outcomes), f"written to {options.output}", sep="\n")


def _options() -> argparse.Namespace:
    names = [move.name for move in MOVES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", nargs="+", choices=names, default=names, metavar="MOVE", help=", ".join(names))
    parser.add_argument("--rows", nargs="+", choices=list(SIZES), default=["1M", "6M"], help="sizes, one by one")
    parser.add_argument("--rounds", type=int, default=3, help="every contender runs once a round; the median counts")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TEXT", help="ours, and contenders with TEXT in the name"
    )
    parser.add_argument("--without", nargs="+", default=[], metavar="TEXT", help="no contender with TEXT in the name")
    parser.add_argument("--output", type=type(RESULTS), default=RESULTS / "lake.json", help="where the JSON goes")
    return parser.parse_args()


def _reachable(move: Move) -> bool:
    """Say whether the server of a move is known; print that it is not."""
    try:
        for server in move.servers:
            servers.url(server)
    except servers.NoServerError as error:
        print(f"{move.name} is left out: {error}", file=sys.stderr)
        return False
    return True


def memory(outcomes: list[Outcome]) -> dict[str, dict[str, int]]:
    """Return our peaks in MiB: move, then rows. Flat is what hardly grows with ten times the rows."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for outcome in outcomes:
        if outcome.ours.runs:
            found[outcome.name][f"{outcome.rows:,}"] = round(outcome.ours.peak_mib)
    return dict(found)


def _lines(outcomes: list[Outcome]) -> list[str]:
    return [
        f"{name:36}" + "".join(f"{peak:>8} MiB at {rows:>9} rows" for rows, peak in peaks.items())
        for name, peaks in memory(outcomes).items()
    ]


if __name__ == "__main__":
    main()
