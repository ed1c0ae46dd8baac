"""Windows of a stream: which rows are aggregated together, by their own time, and when a window is complete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ematix_core.errors import DeclarationError, near
from ematix_core.model.duration import parse_duration, parse_seconds
from ematix_core.model.options import explained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

Kind = Literal["tumbling", "hopping", "session"]
Late = Literal["drop", "dead_letter", "reopen"]
_LATE = ("drop", "dead_letter", "reopen")
AGGREGATES = (
    "approx_count_distinct", "approx_quantile", "avg", "count", "first", "last", "max", "median", "min", "quantile",
    "sum",
)  # fmt: skip
"""The aggregates that windows know, beside functions of the user's."""
START, END = "window_start", "window_end"
"""The columns that tell which window a result is of; the end belongs to the next window."""
_MICRO = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Window:
    """One declared window. Made by `tumbling()`, `hopping()` and `session()`; see there for the options.

    Times are microseconds. `size`: of a window; the gap of a session. `every`: between the starts of two windows.
    `longest`: of a session. `keep`: how long after its end a window can be opened again.
    """

    kind: Kind
    on: str
    size: int
    every: int = 0
    longest: int = 0
    by: tuple[str, ...] = ()
    aggregate: Mapping[str, str] = field(default_factory=dict, hash=False)
    lateness: int = 0
    late: Late = "drop"
    keep: int = 0
    idle: float = 30.0
    ahead: int = 0
    early: float | None = None
    max_groups: int = 10_000_000

    def __post_init__(self) -> None:
        """Check what no type says."""
        if not self.on or not self.aggregate:
            raise DeclarationError("a window needs on= (the column with the time of a row) and aggregate=")
        if self.late not in _LATE:
            raise DeclarationError(f"unknown late {self.late!r}", hint=near(str(self.late), _LATE))
        if (self.late == "reopen") != bool(self.keep):
            raise DeclarationError(
                "late='reopen' and reopen_for= go together",
                hint="reopen_for= says how long after its end a window is kept, to be opened again.",
            )
        if self.corrects and self.kind == "session":
            raise DeclarationError(
                "a session is told once, when it is over: until then a row may give it another start, which is its key",
                hint="Leave early= out; for late rows give lateness= more time, or late='dead_letter'.",
            )
        names = [*self.by, START, END, *self.aggregate]
        if double := {name for name in names if names.count(name) > 1}:
            raise DeclarationError(f"a window has several columns {', '.join(sorted(double))}")
        if self.kind == "hopping" and self.size < self.every:
            raise DeclarationError("every= is longer than a window: rows in between would be in none")
        if self.longest and self.longest < self.size:
            raise DeclarationError("max_length= is shorter than the gap")
        most: Any = self.max_groups  # as it was given
        if not isinstance(most, int) or most < 1:
            raise DeclarationError(f"max_groups={most!r} is no positive whole number")

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell one result from another."""
        return (*self.by, START)

    @property
    def corrects(self) -> bool:
        """Whether a result may be told again with other values."""
        return self.late == "reopen" or self.early is not None

    def __str__(self) -> str:
        """Return `tumbling 60 s on at by user: n=count, total=sum(price)`, with what differs from the defaults."""
        lengths = {"every": self.every if self.kind == "hopping" else 0, "max_length": self.longest,
                   "lateness": self.lateness, "reopen_for": self.keep}  # fmt: skip
        more = "".join(f", {name} {length / 1_000_000:g} s" for name, length in lengths.items() if length)
        by = f" by {', '.join(self.by)}" if self.by else ""
        told = ", ".join(f"{name}={text}" for name, text in self.aggregate.items())
        late = "" if self.late == "drop" else f", late rows: {self.late}"
        return f"{self.kind} {self.size / 1_000_000:g} s on {self.on}{by}{more}{late}: {told}"

    def pane(self) -> int:
        """Return the width of the pieces that windows are made of: of each, partial aggregates are kept."""
        from math import gcd

        return gcd(self.size, self.every)


class WindowOptions(TypedDict, total=False):
    """The options that all windows have: see `tumbling`."""

    lateness: str | timedelta
    late: Late
    reopen_for: str | timedelta
    idle: float | str | timedelta
    max_ahead: str | timedelta
    early: float | str | timedelta
    max_groups: int


@explained("ematix.tumbling")
def tumbling(
    size: str | timedelta,
    *,
    on: str,
    aggregate: Mapping[str, str],
    by: Sequence[str] | str = (),
    **options: Unpack[WindowOptions],
) -> Window:
    """Windows of one length, one after the other, aligned to midnight of 1970-01-01 UTC: `tumbling("1 minute", ...)`.

    `on`: the column with the time of a row, a timestamp (without a zone: UTC). `by`: one result for each of their
    values. `aggregate`: a result column each, of `count`, `count(x)`, `count(distinct x)`, `approx_count_distinct(x)`,
    `sum(x)`, `min(x)`, `max(x)`, `avg(x)`, `first(x)`, `last(x)` (by time), `median(x)`, `quantile(x, 0.95)`,
    `approx_quantile(x, 0.95)` or a function of `@ematix.udaf`; x is an expression in SQL. Results have the columns of
    `by`, `window_start`, `window_end` and the aggregates.

    A window is complete, and told, when the watermark has come to its end: the newest time of the partition that is
    furthest behind, less `lateness` (default 0). A partition without rows for `idle` (default 30 seconds) is not waited
    for. A row that comes for no window but complete ones is late: `late="drop"`, "dead_letter", or "reopen": for
    `reopen_for` after its end the window is told again with it, which needs mode merge. A time that is more than
    `max_ahead` (default 1 day) after now is an error of that row. `early`: so often, open windows are told as they are,
    for mode merge too. More than `max_groups` (default 10,000,000) open results are an error. Raises DeclarationError.
    """
    return _window("tumbling", on, aggregate, by, options, size=_micros(size, "size"), every=_micros(size, "size"))


@explained("ematix.hopping")
def hopping(
    size: str | timedelta, *, every: str | timedelta, on: str, aggregate: Mapping[str, str],
    by: Sequence[str] | str = (), **options: Unpack[WindowOptions],
) -> Window:  # fmt: skip
    """Windows of one length, of which one begins `every` so often: a row is in several. Options as of `tumbling`."""
    return _window("hopping", on, aggregate, by, options, size=_micros(size, "size"), every=_micros(every, "every"))


@explained("ematix.session")
def session(
    gap: str | timedelta, *, on: str, aggregate: Mapping[str, str], by: Sequence[str] | str = (),
    max_length: str | timedelta | None = None, **options: Unpack[WindowOptions],
) -> Window:  # fmt: skip
    """Windows that last as long as rows come: one without a row for `gap` is over. Options as of `tumbling`.

    `window_end` is the time of the last row and the gap. `max_length`: after it the next row begins another session.
    """
    longest = _micros(max_length, "max_length") if max_length is not None else 0
    return _window("session", on, aggregate, by, options, size=_micros(gap, "gap"), longest=longest)


WINDOWS: Mapping[str, Callable[..., Window]] = {"tumbling": tumbling, "hopping": hopping, "session": session}
"""What makes a window, by name."""
_OPTIONS = tuple(WindowOptions.__annotations__)


def _window(
    kind: Kind, on: str, aggregate: Mapping[str, str], by: Sequence[str] | str, options: Mapping[str, Any],
    **lengths: Any,  # noqa: ANN401 - microseconds, of some of the fields
) -> Window:  # fmt: skip
    for name in options:
        if name not in _OPTIONS:
            raise DeclarationError(f"{kind} has no option {name!r}", hint=near(name, _OPTIONS))
    if not isinstance(aggregate, Mapping):
        raise DeclarationError("aggregate= is a dict of column and aggregate", hint="Write aggregate={'n': 'count'}.")
    given: dict[str, Any] = {name: options[name] for name in ("late", "max_groups") if name in options}
    for name, wanted in (("lateness", "lateness"), ("reopen_for", "keep")):
        if options.get(name):
            given[wanted] = _micros(options[name], name)
    for name in ("idle", "early"):
        if options.get(name) is not None:
            given[name] = parse_seconds(options[name], name)
    return Window(
        kind=kind, on=on, by=(by,) if isinstance(by, str) else tuple(by), aggregate=MappingProxyType(dict(aggregate)),
        ahead=_micros(options.get("max_ahead", "1 day"), "max_ahead"), **lengths, **given,
    )  # fmt: skip


def _micros(value: str | timedelta, option: str) -> int:
    return parse_duration(value, option) // _MICRO
