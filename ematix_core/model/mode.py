"""Load modes: append, truncate, merge, scd2, as frozen records, and their three spellings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar

from ematix_core.errors import DeclarationError, near
from ematix_core.model.duration import parse_duration
from ematix_core.model.options import explained

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

Columns = str | list[str] | tuple[str, ...] | None


@dataclass(frozen=True)
class Append:
    """Add every row."""

    name: ClassVar[str] = "append"


@dataclass(frozen=True)
class Truncate:
    """Replace all rows; readers see the old ones until the new ones are complete."""

    name: ClassVar[str] = "truncate"


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Insert or update by key; only rows whose compared columns differ are written.

    `keys`: default the table's merge keys. `compare`: columns whose difference counts, default all that are no key.
    `order_by`: of several rows with one key in a load, the one with the highest value wins; without it they are an
    error. `deletes="delete"`: keys missing from the load are removed; refused for an empty load unless `allow_empty`.
    """

    name: ClassVar[str] = "merge"
    keys: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    order_by: str | None = None
    deletes: Literal["ignore", "delete"] = "ignore"
    allow_empty: bool = False


@dataclass(frozen=True, kw_only=True)
class Scd2:
    """Keep history: one row a version, half-open intervals `[valid_from, valid_to)`, one current row a key.

    `keys`, `compare`, `order_by`, `allow_empty`: as in Merge; `order_by` is for loads without `event_time`.
    `event_time`: the column that dates a version; default the time of the load. `deletes="close"`: keys missing
    from the load are closed. `ttl`: close versions whose key no load has brought for that long; needs the column
    `last_seen`, which is kept only then. The last five fields name the columns of history.
    """

    name: ClassVar[str] = "scd2"
    keys: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    order_by: str | None = None
    event_time: str | None = None
    deletes: Literal["ignore", "close"] = "ignore"
    allow_empty: bool = False
    ttl: timedelta | None = None
    valid_from: str = "valid_from"
    valid_to: str = "valid_to"
    is_current: str = "is_current"
    row_hash: str = "row_hash"
    last_seen: str = "last_seen"

    def history_columns(self) -> tuple[str, ...]:
        """Return the names of the columns that scd2 adds to the rows, in table order."""
        own = (self.valid_from, self.valid_to, self.is_current, self.row_hash)
        return (*own, self.last_seen) if self.ttl else own


Mode = Append | Truncate | Merge | Scd2
ModeLike: TypeAlias = "str | Mapping[str, Any] | Mode"
_M = TypeVar("_M", bound=Mode)

_MODES: dict[str, type[Mode]] = {"append": Append, "truncate": Truncate, "merge": Merge, "scd1": Merge, "scd2": Scd2}


@explained("mode 'append'")
def append() -> Append:
    """Mode: add every row."""
    return Append()


@explained("mode 'truncate'")
def truncate() -> Truncate:
    """Mode: replace all rows; readers never see an empty or half-filled table."""
    return Truncate()


@explained("mode 'merge'")
def merge(
    *,
    keys: Columns = None,
    compare: Columns = None,
    order_by: str | None = None,
    deletes: Literal["ignore", "delete"] = "ignore",
    allow_empty: bool = False,
) -> Merge:
    """Mode: insert or update by key. See Merge for the options."""
    return _build(
        Merge, {"keys": keys, "compare": compare, "order_by": order_by, "deletes": deletes, "allow_empty": allow_empty}
    )


@explained("mode 'scd2'")
def scd2(
    *,
    keys: Columns = None,
    compare: Columns = None,
    order_by: str | None = None,
    event_time: str | None = None,
    deletes: Literal["ignore", "close"] = "ignore",
    allow_empty: bool = False,
    ttl: str | timedelta | None = None,
    **names: str,
) -> Scd2:
    """Mode: keep history. See Scd2 for the options; `valid_from=`, `valid_to=`, ... rename its columns.

    `ttl` may be text such as "30 days".
    """
    options: dict[str, Any] = {
        "keys": keys, "compare": compare, "order_by": order_by, "event_time": event_time, "deletes": deletes,
        "allow_empty": allow_empty, "ttl": ttl,
    }  # fmt: skip
    return _build(Scd2, options | names)


def parse_mode(value: ModeLike) -> Mode:
    """Return the mode for any of its three spellings: `"merge"`, `merge(keys=...)`, `{"name": "merge", ...}`.

    Raises DeclarationError for an unknown mode or option, with the nearest known one.
    """
    match value:
        case Append() | Truncate() | Merge() | Scd2():
            return value
        case str():
            return _build(_mode_class(value), {})
        case {"name": str(name)}:
            return _build(_mode_class(name), {key: option for key, option in value.items() if key != "name"})
    raise DeclarationError(
        f"mode={value!r} is no mode", hint="Write 'merge', ematix.merge(...) or {'name': 'merge', ...}."
    )


def _mode_class(name: str) -> type[Mode]:
    if name not in _MODES:
        raise DeclarationError(f"unknown mode {name!r}", hint=near(name, _MODES))
    return _MODES[name]


def _build(cls: type[_M], options: Mapping[str, Any]) -> _M:
    known = {f.name for f in fields(cls)}
    for option in options:
        if option not in known:
            raise DeclarationError(f"mode {cls.name!r} has no option {option!r}", hint=near(option, known))
    values: dict[str, Any] = {k: _tuple(v) if k in {"keys", "compare"} else v for k, v in options.items()}
    if values.get("ttl") is not None:
        values["ttl"] = parse_duration(values["ttl"], "ttl")
    mode = cls(**values)
    _check(mode)
    return mode


def _tuple(value: Columns) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _check(mode: Mode) -> None:
    allowed = {"merge": ("ignore", "delete"), "scd2": ("ignore", "close")}.get(mode.name)
    if isinstance(mode, Merge | Scd2) and allowed and mode.deletes not in allowed:
        raise DeclarationError(
            f"mode {mode.name!r}: deletes={mode.deletes!r}", hint=f"Use one of: {', '.join(map(repr, allowed))}."
        )
    if isinstance(mode, Scd2) and mode.event_time and mode.order_by:
        raise DeclarationError(
            "mode 'scd2': event_time and order_by together",
            hint="With event_time every version becomes history in its order; remove order_by.",
        )
    if isinstance(mode, Scd2) and len(set(mode.history_columns())) < len(mode.history_columns()):
        raise DeclarationError(f"mode 'scd2': two of its columns have one name: {', '.join(mode.history_columns())}")
