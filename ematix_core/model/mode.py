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
    error. Where the target has that column, a row with a lower value than the target's leaves it as it is, and counts
    as unchanged. `deletes="delete"`: keys missing from the load are removed; refused for an empty load unless
    `allow_empty`. `deleted_by`: a Boolean column of the rows; those where it is true delete their key. It is not
    stored, nor are the columns that sources add (`_op` and the like) unless the table declares them.
    """

    name: ClassVar[str] = "merge"
    keys: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    order_by: str | None = None
    deletes: Literal["ignore", "delete"] = "ignore"
    deleted_by: str | None = None
    allow_empty: bool = False

    def beside(self) -> tuple[str, ...]:
        """Return the columns of rows of changes that the mode goes by, stored or not; none for other rows."""
        return _named(self.deleted_by, self.order_by)


@dataclass(frozen=True, kw_only=True)
class Scd2:
    """Keep history: one row a version, half-open intervals `[valid_from, valid_to)`, one current row a key.

    `keys`, `compare`, `order_by`, `allow_empty`: as in Merge; `order_by` is for loads without `event_time`.
    `event_time`: the column that dates a version; default the time of the load. `deletes="close"`: keys missing
    from the load are closed. `deleted_by`: as in Merge; such rows close their key, at their event time or that of the
    load, and a later row opens it again. An event time that is a source's own column is stored only where the table
    declares it. `ttl`: close versions whose key no load has brought for that long; needs the column `last_seen`, which
    is kept only then. The last five fields name the columns of history.
    """

    name: ClassVar[str] = "scd2"
    keys: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    order_by: str | None = None
    event_time: str | None = None
    deletes: Literal["ignore", "close"] = "ignore"
    deleted_by: str | None = None
    allow_empty: bool = False
    ttl: timedelta | None = None
    valid_from: str = "valid_from"
    valid_to: str = "valid_to"
    is_current: str = "is_current"
    row_hash: str = "row_hash"
    last_seen: str = "last_seen"

    def beside(self) -> tuple[str, ...]:
        """Return the columns of rows of changes that the mode goes by, stored or not; none for other rows."""
        return _named(self.deleted_by, self.order_by, self.event_time)

    def history_columns(self) -> tuple[str, ...]:
        """Return the names of the columns that scd2 adds to the rows, in table order."""
        own = (self.valid_from, self.valid_to, self.is_current, self.row_hash)
        return (*own, self.last_seen) if self.ttl else own


Mode = Append | Truncate | Merge | Scd2
ModeLike: TypeAlias = "str | Mapping[str, Any] | Mode"
_M = TypeVar("_M", bound=Mode)

_MODES: dict[str, type[Mode]] = {"append": Append, "truncate": Truncate, "merge": Merge, "scd1": Merge, "scd2": Scd2}


def _named(deleted_by: str | None, *others: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (deleted_by, *others))) if deleted_by else ()


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
    deleted_by: str | None = None,
    allow_empty: bool = False,
) -> Merge:
    """Mode: insert or update by key. See Merge for the options."""
    options: dict[str, Any] = {
        "keys": keys, "compare": compare, "order_by": order_by, "deletes": deletes, "deleted_by": deleted_by,
        "allow_empty": allow_empty,
    }  # fmt: skip
    return _build(Merge, options)


@explained("mode 'scd2'")
def scd2(
    *,
    keys: Columns = None,
    compare: Columns = None,
    order_by: str | None = None,
    event_time: str | None = None,
    deletes: Literal["ignore", "close"] = "ignore",
    deleted_by: str | None = None,
    allow_empty: bool = False,
    ttl: str | timedelta | None = None,
    **names: str,
) -> Scd2:
    """Mode: keep history. See Scd2 for the options; `valid_from=`, `valid_to=`, ... rename its columns.

    `ttl` may be text such as "30 days".
    """
    options: dict[str, Any] = {
        "keys": keys, "compare": compare, "order_by": order_by, "event_time": event_time, "deletes": deletes,
        "deleted_by": deleted_by, "allow_empty": allow_empty, "ttl": ttl,
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
    if isinstance(mode, Merge | Scd2) and mode.deleted_by:
        _check_deleted_by(mode)
    if isinstance(mode, Scd2) and mode.event_time and mode.order_by:
        raise DeclarationError(
            "mode 'scd2': event_time and order_by together",
            hint="With event_time every version becomes history in its order; remove order_by.",
        )
    if isinstance(mode, Scd2) and len(set(mode.history_columns())) < len(mode.history_columns()):
        raise DeclarationError(f"mode 'scd2': two of its columns have one name: {', '.join(mode.history_columns())}")


def _check_deleted_by(mode: Merge | Scd2) -> None:
    """Raise DeclarationError for options that take the load for all the rows that there are."""
    if mode.deletes != "ignore" or getattr(mode, "ttl", None):
        raise DeclarationError(
            f"mode {mode.name!r}: deleted_by= is for loads that bring changes, and deletes= and ttl= for those that "
            "bring all rows", hint="Leave one of them out.",
        )  # fmt: skip
    named = {*mode.keys, *mode.compare, mode.order_by, getattr(mode, "event_time", None)}
    if mode.deleted_by in named:
        raise DeclarationError(f"mode {mode.name!r}: deleted_by={mode.deleted_by!r} is the column of another option")
