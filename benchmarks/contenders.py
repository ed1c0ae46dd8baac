"""Every move, who takes part in it with which command, and what it has to reach."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.places import HERE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.places import Ours, Peers

Role = Literal["ours", "peer", "plain"]


@dataclass(frozen=True)
class Contender:
    """One way to make a move. `missing` says why it cannot take part; then there is no command."""

    name: str
    role: Role
    command: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    missing: str = ""


@dataclass(frozen=True)
class Move:
    """A move: from `in/<source>` to `out/<target>`. It has to reach `ratio` times the speed of the best `against`."""

    name: str
    source: str
    target: str
    ratio: float
    against: Role
    plain: tuple[tuple[str, str], ...] = ()
    """Names of plain tools and of their functions in peers/plain.py."""


OURS = "ematix: flow run"
LIBRARY = "ematix: job.run()"
_SQLITE_PIPE = (("sqlite3 CSV | DuckDB", "sqlite_pipe_to_duckdb"),)
MOVES = (
    Move("sqlite_to_duckdb", "lineitem.sqlite", "target.duckdb", 1.8, "peer", _SQLITE_PIPE),
    Move("sqlite_to_duckdb_watermark", "lineitem.sqlite", "target.duckdb", 1.8, "peer"),
    Move(
        "parquet_to_duckdb", "lineitem.parquet", "target.duckdb", 0.9, "plain",
        (("DuckDB INSERT..SELECT", "parquet_to_duckdb"),),
    ),
    Move(
        "csv_to_parquet", "lineitem.csv", "lineitem.parquet", 0.9, "plain", (("DuckDB COPY", "csv_to_parquet"),)
    ),
    Move(
        "duckdb_to_sqlite", "lineitem.duckdb", "target.sqlite", 1.5, "peer",
        (("DuckDB CSV | sqlite3 .import", "duckdb_pipe_to_sqlite"), ("sqlite3 executemany", "duckdb_to_sqlite")),
    ),
)  # fmt: skip


def contenders(move: Move, folder: Path, ours: Ours, peers: Peers) -> list[Contender]:
    """Return who takes part, with commands for a run in `folder`, ours first."""
    source, target = str(folder / "in" / move.source), str(folder / "out" / move.target)
    return [
        Contender(OURS, "ours", (str(ours.flow), "run", "pipelines.py", move.name)),
        Contender(LIBRARY, "ours", (str(ours.python), "library.py", move.name)),
        *_dlt(move, source, target, peers),
        _ingestr(move, source, target, peers),
        *(_plain(name, function, source, target, peers) for name, function in move.plain),
    ]


def _dlt(move: Move, source: str, target: str, peers: Peers) -> list[Contender]:
    backends = ["pyarrow", "connectorx"] if move.source.endswith("sqlite") else [""]
    script = str(HERE / "peers" / "dlt_moves.py")
    return [
        Contender(
            f"dlt, {backend}" if backend else "dlt",
            "peer",
            (str(peers.python), script, f"{move.name}:{backend}", source, target),
        )
        for backend in backends
    ]


def _ingestr(move: Move, source: str, target: str, peers: Peers) -> Contender:
    if "duckdb" in move.name and not peers.preload:
        return Contender("ingestr", "peer", missing="needs to download a DuckDB driver: this Python is not shared")
    schemes = {"sqlite": "sqlite:///", "duckdb": "duckdb:///", "csv": "csv://", "parquet": "parquet://"}
    table = "main.lineitem" if "duckdb" in move.target else "lineitem"
    command = [
        str(peers.ingestr), "ingest", "--yes", "--progress", "log", "--incremental-strategy", "append",
        "--source-uri", schemes[move.source.rpartition(".")[2]] + source, "--source-table", "lineitem",
        "--dest-uri", schemes[move.target.rpartition(".")[2]] + target, "--dest-table", table,
    ]  # fmt: skip
    if move.name.endswith("_watermark"):
        command += ["--incremental-key", "l_orderkey"]
    if move.source.endswith("duckdb"):
        command[command.index("--source-table") + 1] = "main.lineitem"
    return Contender("ingestr", "peer", tuple(command), {"LD_PRELOAD": peers.preload})


def _plain(name: str, function: str, source: str, target: str, peers: Peers) -> Contender:
    if "pipe" in function and shutil.which("sqlite3") is None:
        return Contender(name, "plain", missing="there is no sqlite3 command here")
    return Contender(name, "plain", (str(peers.python), str(HERE / "peers" / "plain.py"), function, source, target))
