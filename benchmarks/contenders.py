"""Every move, what it has to reach, and who takes part in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.servers import CHANGED

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["ours", "peer", "plain"]
Mode = Literal["append", "truncate", "merge", "scd2"]
OURS = "ematix: flow run"
LIBRARY = "ematix: job.run()"


@dataclass(frozen=True)
class Contender:
    """One way to make a move. `missing` says why it cannot take part; then there is no command."""

    name: str
    role: Role
    command: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    missing: str = ""


@dataclass(frozen=True)
class Goal:
    """At least `ratio` times the speed of the fastest contender of that role."""

    ratio: float
    against: Role


@dataclass(frozen=True)
class Phase:
    """One load of a move that loads several times into one target, each time from that table of the source."""

    name: str
    table: str = "lineitem"
    goals: bool = True
    """Whether the goals of the move hold for it, or it only makes what the next one changes."""


ONCE = (Phase("first"),)
TWICE = (Phase("first"), Phase("again"))
COMPARED = (Phase("first"), Phase("unchanged"), Phase("10% changed", CHANGED))


@dataclass(frozen=True)
class Move:
    """A move: from `source` to `target`, each the name of a file or of a server, and who stands against us."""

    name: str
    source: str
    target: str
    goals: tuple[Goal, ...]
    peers: tuple[str, ...]
    """Names of functions in `commands`."""
    plain: tuple[str, ...] = ()
    """Plain tools: names in `commands.PLAIN`."""
    mode: Mode = "append"
    phases: tuple[Phase, ...] = ONCE
    inside: bool = False
    """Source and target are in one database."""
    most_mib: int | None = None
    """What ours may take of memory, at its peak."""

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that it needs."""
        return tuple(end for end in (self.source, self.target) if end in SERVERS)


SERVERS = ("postgres", "mysql")
_DLT_AND_INGESTR = ("dlt", "ingestr")
_ALL = ("dlt", "ingestr", "sling")
_LAKE = "lineitem.parquet"


def _files(name: str, source: str, target: str, goal: Goal, *plain: str) -> Move:
    return Move(name, source, target, (goal,), _DLT_AND_INGESTR, plain)


def _compared(name: str, mode: Mode, phases: tuple[Phase, ...], ratio: float, *, inside: bool = False) -> Move:
    goals = (Goal(ratio, "peer"),)
    return Move(name, "postgres", "postgres", goals, ("ematix_flow",), mode=mode, phases=phases, inside=inside)


MOVES = (
    _files("sqlite_to_duckdb", "lineitem.sqlite", "target.duckdb", Goal(1.8, "peer"), "sqlite3 CSV | DuckDB"),
    _files("sqlite_to_duckdb_watermark", "lineitem.sqlite", "target.duckdb", Goal(1.8, "peer")),
    _files("parquet_to_duckdb", _LAKE, "target.duckdb", Goal(0.9, "plain"), "DuckDB INSERT..SELECT"),
    _files("csv_to_parquet", "lineitem.csv", "lineitem.parquet", Goal(0.9, "plain"), "DuckDB COPY"),
    _files(
        "duckdb_to_sqlite", "lineitem.duckdb", "target.sqlite", Goal(1.5, "peer"),
        "DuckDB CSV | sqlite3 .import", "sqlite3 executemany",
    ),
    Move(
        "postgres_to_postgres", "postgres", "postgres", (Goal(0.95, "plain"), Goal(5, "peer")),
        (*_ALL, "ematix_flow"), ("psql COPY BINARY | psql",),
    ),
    _compared("postgres_merge", "merge", COMPARED, 3),
    _compared("postgres_scd2", "scd2", COMPARED, 3),
    Move(
        "postgres_inside_append", "postgres", "postgres", (Goal(1.2, "peer"), Goal(0.8, "plain")), ("ematix_flow",),
        ("psql INSERT..SELECT",), inside=True,
    ),
    _compared("postgres_inside_truncate", "truncate", TWICE, 1.2, inside=True),
    _compared("postgres_inside_merge", "merge", COMPARED, 1.2, inside=True),
    _compared("postgres_inside_scd2", "scd2", COMPARED, 1.2, inside=True),
    Move("postgres_to_duckdb", "postgres", "target.duckdb", (Goal(2, "peer"),), _ALL),
    Move("postgres_to_parquet", "postgres", "lineitem.parquet", (Goal(3, "peer"),), _ALL),
    Move("postgres_to_arrow", "postgres", "arrow", (Goal(0.9, "plain"),), (), ("psql COPY CSV > /dev/null",)),
    Move(
        "parquet_to_postgres", _LAKE, "postgres", (Goal(2, "peer"), Goal(0.85, "plain")), _ALL,
        ("psql COPY BINARY < file",),
    ),
    Move("mysql_to_postgres", "mysql", "postgres", (Goal(3, "peer"),), _ALL),
    Move("mysql_to_duckdb", "mysql", "target.duckdb", (Goal(3, "peer"),), _ALL),
    Move(
        "parquet_to_mysql", _LAKE, "mysql", (Goal(1.5, "peer"), Goal(0.8, "plain")), _ALL,
        ("mysql LOAD DATA LOCAL < CSV",),
    ),
)  # fmt: skip
