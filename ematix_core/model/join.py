"""Joins of two streams: which rows of the one belong to which of the other, by keys and by their own times."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.connection import Connection, named_connection
from ematix_core.model.duration import parse_duration, parse_seconds
from ematix_core.model.options import explained
from ematix_core.model.table import TableDef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.model.connection import ConnectionLike

How = Literal["inner", "left", "right", "full"]
LateRows = Literal["drop", "dead_letter"]
_HOWS = ("inner", "left", "right", "full")
_LATE = ("drop", "dead_letter")
_MICRO = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two streams that are joined. Made by `side()`; see there for the options."""

    name: str
    source: Connection | str
    source_query: str
    on_time: str
    format: str = ""
    schema: TableDef | None = None
    registry: Connection | str | None = None
    format_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    transform_sql: str = ""

    def __post_init__(self) -> None:
        """Check what no type says."""
        if not self.name.isidentifier() or not self.source_query:
            raise DeclarationError("a side needs a name, source= and source_query=", where=f"side {self.name}")
        if not self.on_time:
            raise DeclarationError("on_time= names the column with the time of a row", where=f"side {self.name}")
        if self.schema is not None and not isinstance(self.schema, TableDef):
            raise DeclarationError(
                f"schema={self.schema!r} is no table declaration", where=f"side {self.name}",
                hint="Put @ematix.table over the class.",
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Join:
    """One declared join. Made by `join()`; see there for the options. Times are microseconds.

    `before`, `after`: how much earlier, and later, than that of the left the time of the right may be.
    """

    left: Side
    right: Side
    on: tuple[tuple[str, str], ...]
    how: How = "inner"
    before: int = 0
    after: int = 0
    lateness: int = 0
    late: LateRows = "drop"
    idle: float = 30.0
    ahead: int = 0
    max_rows: int = 10_000_000

    def __post_init__(self) -> None:
        """Check what no type says."""
        if self.how not in _HOWS:
            raise DeclarationError(f"unknown how {self.how!r}", hint=near(str(self.how), _HOWS))
        if self.late not in _LATE:
            raise DeclarationError(f"unknown late {self.late!r}", hint=near(str(self.late), _LATE))
        if self.left.name == self.right.name:
            raise DeclarationError(f"both sides are named {self.left.name!r}", hint="Give each a name of its own.")
        if not self.on:
            raise DeclarationError("a join needs on=: the columns that both sides have the same values in")
        if self.max_rows < 1:
            raise DeclarationError(f"max_rows={self.max_rows!r} is no positive whole number")

    @property
    def sides(self) -> tuple[Side, Side]:
        """Left and right."""
        return self.left, self.right

    @property
    def outer(self) -> tuple[bool, bool]:
        """Whether the rows of left, and of right, that find nothing are told too."""
        return self.how in {"left", "full"}, self.how in {"right", "full"}

    @property
    def reach(self) -> tuple[int, int]:
        """How long after its own time a row of the left, and of the right, may still find one that comes."""
        return self.after, self.before

    @property
    def query(self) -> str:
        """What is read, for people: `orders left join payments`."""
        return f"{self.left.source_query} {self.how} join {self.right.source_query}"

    def placed(self, place: Callable[[Connection | str], Connection]) -> Join:
        """Return it with other connections for the sources."""
        left, right = (replace(side, source=place(side.source)) for side in self.sides)
        return replace(self, left=left, right=right)

    def __str__(self) -> str:
        """Return `orders left join payments on order_id, payments from 0 s before to 600 s after orders`."""
        keys = ", ".join(left if left == right else f"{left} = {right}" for left, right in self.on)
        before, after, lateness = (f"{one / 1_000_000:g} s" for one in (self.before, self.after, self.lateness))
        more = f", lateness {lateness}" if self.lateness else ""
        more += "" if self.late == "drop" else f", late rows: {self.late}"
        left, right = self.left.name, self.right.name
        return f"{left} {self.how} join {right} on {keys}, {right} from {before} before to {after} after {left}{more}"


@explained("ematix.side", kind="side")
def side(
    name: str, *, source: ConnectionLike, source_query: str, on_time: str = "_event_ts", transform_sql: str = "",
    format: str = "",  # noqa: A002 - the field's own word
    schema: TableDef | None = None, registry: ConnectionLike | None = None,
    format_options: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None,
) -> Side:  # fmt: skip
    """Declare one of the two streams of a join. `on_time`: the column with the time of a row, a timestamp.

    By default that is `_event_ts`, the time of the record. `transform_sql`: DuckDB SQL over each micro-batch of this
    side, named `source`, before the join. The rest is as on a stream. Raises DeclarationError.
    """
    connection = named_connection(source, "source")
    if connection is None:
        raise DeclarationError("a side needs source=")
    return Side(
        name=name, source=connection, source_query=source_query, on_time=on_time, transform_sql=transform_sql,
        format=format, schema=schema, registry=named_connection(registry, "registry"),
        format_options=MappingProxyType(dict(format_options or {})), options=MappingProxyType(dict(options or {})),
    )  # fmt: skip


@explained("ematix.join")
def join(
    left: Side, right: Side, *, on: str | Sequence[str | tuple[str, str]], how: How = "inner",
    within: str | timedelta | None = None, before: str | timedelta | None = None, after: str | timedelta | None = None,
    lateness: str | timedelta | None = None, late: LateRows = "drop", idle: float | str | timedelta = 30.0,
    max_ahead: str | timedelta = "1 day", max_rows: int = 10_000_000,
) -> Join:  # fmt: skip
    """Join two streams, as the source of a stream: rows with the same keys whose times are near each other.

    `on`: the key, one name or several; a pair where the names differ: `on=[("id", "order_id")]`. `within="10 minutes"`:
    the right's time is at most so much before or after the left's; or `before=` and `after=`, each of which is 0 when
    only the other is given. `how`: "inner", "left", "right" or "full": rows that found nothing are told once, when the
    watermark has passed the time in which they could have. NULL is no key, and finds nothing.

    Results have the columns of the left, then those of the right without its key; what the sources add (`_offset`, ...)
    only where a side's `transform_sql` gives it another name. The watermark is the newest time of the partition, of
    either side, that is furthest behind, less `lateness` (default 0). A partition without rows for `idle` (default 30
    seconds) is not waited for. A row with a time before the watermark is late: `late="drop"` or "dead_letter". A time
    more than `max_ahead` (default 1 day) after now is an error of that row. More than `max_rows` (default 10,000,000)
    rows that wait are an error. Raises DeclarationError.
    """
    for one in (left, right):
        if not isinstance(one, Side):
            raise DeclarationError(f"{one!r} is no side of a join", hint="Write ematix.side(NAME, source=..., ...).")
    if (within is None) == (before is None and after is None):
        raise DeclarationError(
            "a join needs within=, or before= and after=, and not both",
            hint="within='10 minutes': the right's time is at most so much before or after the left's.",
        )
    keys = [on] if isinstance(on, str) else list(on)
    return Join(
        left=left, right=right, on=tuple(_pair(key) for key in keys), how=how,
        before=_span(within if within is not None else before, "within" if before is None else "before"),
        after=_span(within if within is not None else after, "within" if after is None else "after"),
        lateness=_span(lateness, "lateness"), late=late, idle=parse_seconds(idle, "idle"),
        ahead=parse_duration(max_ahead, "max_ahead") // _MICRO, max_rows=max_rows,
    )  # fmt: skip


def _pair(key: object) -> tuple[str, str]:
    if isinstance(key, str) and key:
        return key, key
    if isinstance(key, tuple | list) and len(key) == 2 and all(isinstance(one, str) and one for one in key):  # noqa: PLR2004 - left and right
        return key[0], key[1]
    raise DeclarationError(f"on= has {key!r}", hint="Name a column, or a pair: ('id', 'order_id').")


def _span(value: str | timedelta | None, option: str) -> int:
    """Return microseconds; a span may also be none at all."""
    if value is None or value == timedelta(0) or str(value).strip().startswith("0 "):
        return 0
    return parse_duration(value, option) // _MICRO
