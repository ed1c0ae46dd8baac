"""Whole-process time and memory of moves between systems, ours and its peers' in one run, in alternation.

`python -m benchmarks.moves --moves postgres_to_postgres --rows 1M 6M --rounds 3` runs one move alone; without `--moves`
it runs all that this machine has the servers for. Moves from and to PostgreSQL and MySQL need them: `make servers`, or
EMATIX_TEST_POSTGRES_URL and EMATIX_TEST_MYSQL_URL, administrators' URLs. Each run gets a database of its own, which is
dropped afterwards. EMATIX_TEST_POSTGRES_TARGET_URL names a second cluster as the target of moves from PostgreSQL to
PostgreSQL; without it they go from one database of the cluster to another. For every size a JSON file with each single
run is written to results/; `python -m benchmarks.tables FILE` turns it into the tables of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import servers
from benchmarks.commands import contenders
from benchmarks.contenders import MOVES
from benchmarks.course import RUN, Course, Sources
from benchmarks.lineitem import SIZES
from benchmarks.machine import describe
from benchmarks.measure import CommandFailedError, measure
from benchmarks.places import RESULTS, Ours, Peers, data
from benchmarks.report import Entry, Outcome, save, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contenders import Contender, Move, Phase
    from benchmarks.places import Home


def main() -> None:
    """Measure what the options ask for, print each move as it is done, write JSON for each size."""
    options = _options()
    # Ending by a signal runs what drops the databases; in the background of a shell an interrupt would be ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    ours, peers = Ours.prepared(), Peers.prepared()
    which = {"mysql": options.mysql}
    moves = [move for move in MOVES if move.name in options.moves and _reachable(move, which)]
    facts = describe(ours.python, peers) | _server_facts(moves, which)
    for label in options.rows:
        outcomes: list[Outcome] = []
        path = options.output or RESULTS / f"moves-{options.name}{label}.json"
        changed = any(phase.table == servers.CHANGED for move in moves for phase in move.phases)
        with Sources(data(label), changed, which) as sources:
            for move in moves:
                course = Course.laid(move, sources)
                invited = contenders(move, course.ends, ours, peers)
                for outcome in Contest(course, SIZES[label], invited, peers).held(
                    options.rounds, options.only, options.without
                ):
                    outcomes.append(outcome)
                    print(table(outcome), end="\n\n", flush=True)
                course.close()
                save(outcomes, facts, path)
        print(f"written to {path}")


def _options() -> argparse.Namespace:
    names = [move.name for move in MOVES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", nargs="+", choices=names, default=names, metavar="MOVE", help=", ".join(names))
    parser.add_argument("--rows", nargs="+", choices=list(SIZES), default=["1M"], help="sizes, one after the other")
    parser.add_argument("--rounds", type=int, default=3, help="every contender runs once a round; the median counts")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="TEXT", help="ours, and contenders with TEXT in the name"
    )
    parser.add_argument("--without", nargs="+", default=[], metavar="TEXT", help="no contender with TEXT in the name")
    parser.add_argument("--mysql", choices=["mysql", "mariadb"], default="mysql", help="which server stands for MySQL")
    parser.add_argument("--name", default="", help="what the JSON file's name has before the size: moves-NAME1M.json")
    parser.add_argument("--output", type=Path, help="where the JSON goes instead; for one size")
    return parser.parse_args()


def _reachable(move: Move, which: dict[str, str]) -> bool:
    """Say whether the servers of a move are known; print that they are not."""
    try:
        for server in move.servers:
            servers.url(which.get(server, server))
    except servers.NoServerError as error:
        print(f"{move.name} is left out: {error}", file=sys.stderr)
        return False
    return True


def _server_facts(moves: Sequence[Move], which: dict[str, str]) -> dict[str, object]:
    names = sorted({which.get(server, server) for move in moves for server in move.servers})
    facts: dict[str, object] = {name: servers.execute(servers.url(name), "SELECT version()")[0] for name in names}
    if "postgres" in names:
        facts["postgres_fsync"] = servers.execute(servers.url("postgres"), "SHOW fsync")[0]
        facts["postgres_clusters"] = 1 if servers.url("postgres_target") == servers.url("postgres") else 2
    return {"servers": facts} if facts else {}


@dataclass(frozen=True)
class Contest:
    """One move at one size."""

    course: Course
    rows: int
    contenders: Sequence[Contender]
    """Who takes part, ours first."""
    peers: Home

    def held(self, rounds: int, only: Sequence[str], without: Sequence[str]) -> list[Outcome]:
        """Run every contender once a round, each round beginning with another one. Return an outcome for each phase."""
        move = self.course.move
        first = self.contenders[0]
        invited = [c for c in self.contenders if c is first or not only or any(text in c.name for text in only)]
        invited = [c for c in invited if not any(text in c.name for text in without)]
        found = {
            phase.name: [Entry(contender, missing=contender.missing) for contender in invited] for phase in move.phases
        }
        for number in range(rounds):
            begin = number % len(invited)
            for place in [*range(begin, len(invited)), *range(begin)]:
                self._run(invited[place], {name: entries[place] for name, entries in found.items()})
        return [Outcome(move, phase, self.rows, found[phase.name]) for phase in move.phases]

    def _run(self, contender: Contender, entries: dict[str, Entry]) -> None:
        """Measure one contender from an empty target on, phase after phase, and see that every row arrived."""
        if any(entry.missing for entry in entries.values()):
            return
        self.course.clear()
        for phase in self.course.move.phases:
            try:
                self._load(contender, phase, entries[phase.name])
            except CommandFailedError as error:
                for entry in entries.values():
                    entry.missing = f"failed: {str(error).strip().splitlines()[-1][:120]}"
                    entry.runs.clear()
                    entry.server_cpu.clear()
                print(error, file=sys.stderr)
                return

    def _load(self, contender: Contender, phase: Phase, entry: Entry) -> None:
        self.peers.forget()
        self.course.settle()
        env = self.peers.environment() | self.course.environment(phase) | dict(contender.env or {})
        before = servers.cpu_seconds(self.course.databases)
        usage = measure(contender.command, cwd=RUN, env=env, log=RUN / "log")
        after = servers.cpu_seconds(self.course.databases)
        self.course.check(phase, RUN / "log", contender.name)
        entry.runs.append(usage)
        entry.server_cpu.append(after - before if before is not None and after is not None else 0.0)


if __name__ == "__main__":
    main()
