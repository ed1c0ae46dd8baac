"""Whole-process time and memory of moves between systems, ours and its peers' in one run, in alternation.

`python -m benchmarks.moves --rows 1M 6M --repeat 3 --moves sqlite_to_duckdb`; `make bench` runs all of them at 1M.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contenders import MOVES, OURS, contenders
from benchmarks.lineitem import SIZES
from benchmarks.machine import describe
from benchmarks.measure import CommandFailedError, measure
from benchmarks.places import CACHE, HERE, RESULTS, Ours, Peers, data
from benchmarks.report import Entry, Outcome, save, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contenders import Move


def main() -> None:
    """Measure what the options ask for, print each move as it is done, write JSON."""
    options = _options()
    ours, peers = Ours.prepared(), Peers.prepared()
    facts = describe(ours.python, peers.python)
    outcomes = []
    for label in options.rows:
        folder = data(label)
        for move in MOVES:
            if move.name in options.moves:
                contest = Contest(move, SIZES[label], folder, ours, peers)
                outcomes.append(contest.held(options.repeat, options.only))
                print(table(outcomes[-1]), end="\n\n", flush=True)
    path = options.output or RESULTS / f"moves-{'-'.join(options.rows)}.json"
    save(outcomes, facts, path)
    print(f"written to {path}")


def _options() -> argparse.Namespace:
    names = [move.name for move in MOVES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=list(SIZES), default=["1M"])
    parser.add_argument("--repeat", type=int, default=3, help="rounds; the median counts")
    parser.add_argument("--moves", nargs="+", choices=names, default=names, metavar="MOVE", help=", ".join(names))
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="contenders whose name contains TEXT")
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    return parser.parse_args()


@dataclass(frozen=True)
class Contest:
    """One move at one size."""

    move: Move
    rows: int
    source: Path
    ours: Ours
    peers: Peers
    folder: Path = CACHE / "run"

    def held(self, rounds: int, only: Sequence[str]) -> Outcome:
        """Run every contender once a round, each round beginning with another one."""
        invited = contenders(self.move, self.folder, self.ours, self.peers)
        invited = [c for c in invited if not only or any(text in c.name for text in [OURS, *only])]
        entries = [Entry(contender, missing=contender.missing) for contender in invited]
        expected = _sums(self.source / "lineitem.parquet")
        for number in range(rounds):
            first = number % len(entries)
            for entry in [*entries[first:], *entries[:first]]:
                if not entry.missing:
                    self._run(entry, expected)
        return Outcome(self.move, self.rows, entries)

    def _run(self, entry: Entry, expected: list[str]) -> None:
        """Measure one run in an empty folder and see that every row arrived."""
        self._clear()
        env = self.peers.environment() | dict(entry.contender.env or {})
        try:
            usage = measure(entry.contender.command, cwd=self.folder, env=env, log=self.folder / "log")
        except CommandFailedError as error:
            entry.missing = f"failed: {str(error).strip().splitlines()[-1][:120]}"
            entry.runs.clear()
            print(error, file=sys.stderr)
            return
        arrived = _sums(self.folder / "out" / self.move.target)
        if arrived != expected:
            sys.exit(f"{entry.contender.name} in {self.move.name} left {arrived} instead of {expected}")
        entry.runs.append(usage)

    def _clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.peers.dlt_state, ignore_errors=True)
        (self.folder / "out").mkdir(parents=True)
        (self.folder / "in").symlink_to(self.source)
        for file in (HERE / "ours").glob("*.py"):
            shutil.copy(file, self.folder)


def _sums(path: Path) -> list[str]:
    verify = [sys.executable, "-m", "benchmarks.verify", str(path)]
    done = subprocess.run(verify, check=True, stdout=subprocess.PIPE, cwd=HERE.parent)
    found: list[str] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
