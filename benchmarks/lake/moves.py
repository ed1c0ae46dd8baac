"""Each move from and to the lake, what it has to reach, and how those who take part are started.

Moves within an object store are measured by `benchmarks.lake.s3`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contenders import LIBRARY, OURS, Contender, Goal, Move, Phase
from benchmarks.lake.data import CHANGES
from benchmarks.places import HERE

if TYPE_CHECKING:
    from benchmarks.commands import Ends
    from benchmarks.contenders import Mode
    from benchmarks.places import Home, Ours

TARGET = "lake/lineitem"
"""The Delta table that a run writes, below its folder `out`."""
MOST_MIB = 500
MERGED = (Phase("first", goals=False), Phase("120k changed", CHANGES))
_PARQUET, _CSV, _DELTA = "lineitem.parquet", "lineitem.csv", "delta/lineitem"


def _move(
    name: str, ends: tuple[str, str], goal: Goal, peers: tuple[str, ...] = (), plain: tuple[str, ...] = ()
) -> Move:
    return Move(name, *ends, (goal,), peers, plain, most_mib=MOST_MIB)


def _merged(name: str, mode: Mode, speed: float, rival: str) -> Move:
    goal = Goal(speed, "plain")
    return Move(name, _PARQUET, TARGET, (goal,), (), (rival,), mode, MERGED, most_mib=MOST_MIB)


MOVES = (
    _move("csv_to_delta", (_CSV, TARGET), Goal(4, "peer"), ("dlt",)),
    _move("parquet_to_delta", (_PARQUET, TARGET), Goal(0.9, "plain"), ("dlt",), ("write_deltalake",)),
    _move("postgres_to_delta", ("postgres", TARGET), Goal(3, "peer"), ("dlt, connectorx", "dlt, pyarrow")),
    _move("delta_to_duckdb", (_DELTA, "target.duckdb"), Goal(0.9, "plain"), (), ("DuckDB INSERT..SELECT",)),
    _move(
        "parquet_to_arrow", (_PARQUET, "arrow"), Goal(0.8, "plain"), (),
        ("datafusion", "polars, streaming", "pyarrow.dataset", "DuckDB to Arrow"),
    ),
    _move("delta_to_arrow", (_DELTA, "arrow"), Goal(0.8, "plain"), (), ("deltalake QueryBuilder", "pyarrow dataset")),
    # Goals in time are 1.2 times that of delta-rs, and 2 times that of our merge; these are the speeds.
    _merged("delta_merge", "merge", 0.83, "deltalake merge"),
    _merged("delta_scd2", "scd2", 0.5, "ematix: merge"),
)  # fmt: skip
_SCRIPTS = {
    "write_deltalake": "write_delta", "DuckDB INSERT..SELECT": "delta_to_duckdb", "datafusion": "parquet_by_datafusion",
    "polars, streaming": "parquet_by_polars", "pyarrow.dataset": "parquet_by_pyarrow",
    "DuckDB to Arrow": "parquet_by_duckdb", "deltalake QueryBuilder": "delta_by_query_builder",
    "pyarrow dataset": "delta_by_pyarrow", "deltalake merge": "merge_delta",
}  # fmt: skip
"""Plain contenders that are functions of peers/lake_plain.py."""


def contenders(move: Move, ends: Ends, ours: Ours, peers: Home) -> list[Contender]:
    """Return who takes part, ours first."""
    if move.target == "arrow":
        found = [Contender("ematix: Source.read", "ours", (str(ours.python), "lake_drain.py", ends.source))]
    else:
        found = [Contender(OURS, "ours", (str(ours.flow), "run", "lake.py", move.name))]
        if len(move.phases) == 1:
            found.append(Contender(LIBRARY, "ours", (str(ours.python), "library.py", move.name, "lake")))
    for name in move.peers:
        _, _, backend = name.partition(", ")
        script = str(HERE / "peers" / "dlt_moves.py")
        loads = (str(peers.python), script, f"{move.name}:{backend}", ends.source, ends.target)
        found.append(Contender(name, "peer", loads))
    return [*found, *(_plain(name, ends, ours, peers) for name in move.plain)]


def _plain(name: str, ends: Ends, ours: Ours, peers: Home) -> Contender:
    if name not in _SCRIPTS:  # our own other mode
        return Contender(name, "plain", (str(ours.flow), "run", "lake.py", "delta_merge"))
    script = str(HERE / "peers" / "lake_plain.py")
    return Contender(name, "plain", (str(peers.python), script, _SCRIPTS[name], ends.source, ends.target))
