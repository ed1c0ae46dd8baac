"""Python functions over whole batches: what a stream does with its rows between the SQL and the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.errors import ResultError
from ematix_core.model.called import called

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from ematix_core.model.function import Enrichment


def enriched(rows: pa.Table, steps: Iterable[Enrichment]) -> pa.Table:
    """Return what the functions make of the rows, one after the other.

    Raises what `called` raises, and ResultError for what is no table of differently named columns.
    """
    for step in steps:
        where = f"enrich {step.name}"
        rows = _table(called(step.function, rows, where=where), where)
    return rows


def _table(found: Any, where: str) -> pa.Table:  # noqa: ANN401 - whatever the user's function returned
    import pyarrow as pa

    if not isinstance(found, pa.Table):
        raise ResultError(
            f"the function returned {type(found).__module__}.{type(found).__name__}, which is no pa.Table",
            where=where, hint="Return rows.append_column(...), rows.filter(...) or pa.table(frame).",
        )  # fmt: skip
    for name in found.column_names:
        if found.column_names.count(name) > 1:
            raise ResultError(
                f"the function returned two columns named {name!r}", where=where,
                hint="Put a new one in the old one's place: rows.set_column(...).",
            )  # fmt: skip
    return found
