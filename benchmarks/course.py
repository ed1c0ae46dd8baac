"""What a run finds and leaves: sources filled once, targets fresh for each contender, rows counted afterwards."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import servers
from benchmarks.commands import Ends
from benchmarks.contenders import SERVERS
from benchmarks.places import CACHE, HERE

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from benchmarks.contenders import Move, Phase

RUN = CACHE / "run"


@dataclass
class Sources:
    """lineitem of one size: the folder with its files, and databases that are filled when first asked for."""

    data: Path
    changed: bool
    """Whether PostgreSQL also needs the table with changed rows."""
    which: dict[str, str] = field(default_factory=dict)
    """What stands for a server's name: `{"mysql": "mariadb"}`."""
    _filled: dict[str, str] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Nothing is filled yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the databases."""
        self._open.close()

    def database(self, server: str) -> str:
        """Return the URL of a database with the table lineitem."""
        if server not in self._filled:
            address = self.target(server)
            servers.create(address)
            servers.fill(address, self.data, changed=self.changed)
            self._filled[server] = address
        return self._filled[server]

    def target(self, server: str, *, apart: bool = False) -> str:
        """Return the URL of a database to be made, dropped at the end. `apart`: on the second cluster, if any."""
        address = servers.new_address(f"{server}_target" if apart else self.which.get(server, server))
        self._open.callback(servers.drop, address)
        return address

    def binary(self) -> None:
        """Make lineitem.pgcopy beside the other files: what COPY TO (FORMAT binary) writes."""
        file = self.data / "lineitem.pgcopy"
        if not file.exists():
            made = file.with_suffix(".part")
            servers.execute(self.database("postgres"), rf"\copy lineitem TO '{made}' (FORMAT binary)")
            made.rename(file)


def clear_folder(data: Path) -> None:
    """Make the folder of a run: `in` with the data, `out`, and our declarations."""
    shutil.rmtree(RUN, ignore_errors=True)
    (RUN / "out").mkdir(parents=True)
    (RUN / "in").symlink_to(data)
    for file in (HERE / "ours").glob("*.py"):
        shutil.copy(file, RUN)


@dataclass(frozen=True)
class Course:
    """One move at one size: its ends, and what every run begins and ends with."""

    move: Move
    ends: Ends
    template: str = ""
    """The database that the target is a copy of, when the move stays inside one."""

    @classmethod
    def laid(cls, move: Move, sources: Sources) -> Course:
        """Return the course, its source there."""
        if "psql COPY BINARY < file" in move.plain:
            sources.binary()
        source = sources.database(move.source) if move.source in SERVERS else str(RUN / "in" / move.source)
        if move.inside:
            target = sources.target("postgres")
            return cls(move, Ends(target, target, sources.data), template=source)
        apart = move.source == move.target == "postgres"
        target = sources.target(move.target, apart=apart) if move.target in SERVERS else str(RUN / "out" / move.target)
        return cls(move, Ends(source, target, sources.data))

    @property
    def databases(self) -> list[str]:
        """The URLs among the ends."""
        return [end for end in (self.ends.source, self.ends.target) if "://" in end]

    def clear(self) -> None:
        """Make the folder of a run and the target anew."""
        clear_folder(self.ends.data)
        if self.move.target in SERVERS:
            servers.create(self.ends.target, self.template)

    def close(self) -> None:
        """Drop the target."""
        if self.move.target in SERVERS:
            servers.drop(self.ends.target)

    def settle(self) -> None:
        """Have the servers write what earlier runs left."""
        for address in self.databases:
            servers.settle(address)

    def environment(self, phase: Phase) -> dict[str, str]:
        """Return what tells a contender where to read and write; moves between files know it.

        Ours would use TLS wherever MySQL offers it, the others do not.
        """
        source, target = (
            f"{end}?ssl_mode=DISABLED" if end.startswith("mysql") else end
            for end in (self.ends.source, self.ends.target)
        )
        return {"SOURCE_URL": source, "TARGET_URL": target, "SOURCE_TABLE": phase.table}

    def expected(self, phase: Phase) -> list[str]:
        """Return what the target has to hold after that phase."""
        if "://" not in self.ends.source:
            return list(_file_sums(self.ends.data / "lineitem.parquet"))
        source = self.template or self.ends.source
        return list(_table_sums(source, phase.table))

    def versions(self, phase: Phase) -> int:
        """Return how many rows a table with history has to hold after that phase."""
        before = self.move.phases[0].table
        rows = int(self.expected(phase)[0])
        if phase.table == before:
            return rows
        changed = f"SELECT count(*) FROM {before} a JOIN {phase.table} b USING (l_orderkey, l_linenumber) WHERE a <> b"
        return rows + int(servers.execute(self.template or self.ends.source, changed.replace("a <> b", _DIFFERS))[0])

    def arrived(self, log: Path) -> list[str]:
        """Return the same of what is there. A move into memory only says, in its log, how many rows it saw."""
        if self.move.target == "arrow":
            return re.findall(r"^COPY (\d+)$", log.read_text(), re.MULTILINE)
        if self.move.target not in SERVERS:
            return list(_read_sums(Path(self.ends.target)))
        current = "WHERE is_current" if self.move.mode == "scd2" else ""
        schema = f"{servers.SCHEMA}." if self.move.target == "postgres" else ""
        return servers.sums(self.ends.target, f"{schema}lineitem", current)

    def check(self, phase: Phase, log: Path, who: str) -> None:
        """Stop everything when a run left other rows than it had to."""
        expected, arrived = self.expected(phase), self.arrived(log)
        if self.move.target == "arrow":
            expected = expected[:1]
        if self.move.mode == "scd2":
            expected.append(str(self.versions(phase)))
            arrived.append(servers.execute(self.ends.target, f"SELECT count(*) FROM {servers.SCHEMA}.lineitem")[0])
        if arrived != expected:
            sys.exit(f"{who} in {self.move.name}, {phase.name}, left {arrived} instead of {expected}")


_DIFFERS = "(a.l_quantity, a.l_extendedprice) IS DISTINCT FROM (b.l_quantity, b.l_extendedprice)"


@cache
def _table_sums(address: str, table: str) -> tuple[str, ...]:
    return tuple(servers.sums(address, f"public.{table}" if servers.is_postgres(address) else table))


@cache
def _file_sums(path: Path) -> tuple[str, ...]:
    return _read_sums(path)


def _read_sums(path: Path) -> tuple[str, ...]:
    verify = [sys.executable, "-m", "benchmarks.verify", str(path)]
    done = subprocess.run(verify, check=True, stdout=subprocess.PIPE, cwd=HERE.parent)
    return tuple(json.loads(done.stdout))
