"""A stream of clicks with a window, and what its table has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from ematix_core.model.window import Window

SQL = "SELECT CAST(t AS TIMESTAMPTZ) AS t, k, v FROM source"


def click(time: str, k: str = "a", v: object = 1) -> dict[str, object]:
    return {"t": f"2026-06-01T{time}Z", "k": k, "v": v}


def tumbling(**options: object) -> Window:
    given: dict[str, Any] = {"on": "t", "by": "k", "aggregate": {"n": "count", "total": "sum(v)"}, **options}
    return ematix.tumbling("1 minute", **given)


def stream(source: Connection, store: Connection, window: Window, **options: object) -> Stream:
    given: dict[str, Any] = {"source_query": "*.json", "transform_sql": SQL, "target_table": "results", **options}
    return ematix.stream("clicks", **{"source": source, "target": store, "window": window, **given})


def told(store: Connection, *columns: str) -> list[tuple[Any, ...]]:
    """Return the results by key and window, with these columns of theirs."""
    source = registry.source(store)
    try:
        found = source.read(Query(table="results")).read_all().to_pylist()
    finally:
        source.close()
    found.sort(key=lambda row: (row["k"], row["window_start"]))
    return [(row["k"], f"{row['window_start']:%H:%M}", *(row[name] for name in columns or ("n",))) for row in found]
