"""`:name` parameters as PostgreSQL takes them: `$1` in a statement, a setting of the transaction in a COPY."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ematix_core.sql.parameters import rewritten, single

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_INT4, _INT8 = 2**31, 2**63


@dataclass(frozen=True)
class Bound:
    """A statement as `written` and as `sent`, with the names of `$1`, `$2`, ... in order."""

    written: str
    sent: str
    names: tuple[str, ...]
    parameters: Mapping[str, Any]
    _starts: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def position(self, sent_at: int) -> int | None:
        """Return where in `written` the character at `sent_at` of `sent` comes from."""
        found = None
        for sent, written in self._starts:
            if sent <= sent_at:
                found = written + sent_at - sent
        return found if found is not None and 0 <= found <= len(self.written) else None

    def value(self, name: str, kind: str) -> Any:  # noqa: ANN401 - whatever a job binds
        """Return one value in the form that asyncpg encodes as this type."""
        return _fit(self.parameters[name], kind)

    def values(self, kinds: Sequence[Any]) -> list[Any]:
        """Return the values in the order of `$1`, `$2`, ..., in the form that asyncpg encodes as these types."""
        return [_fit(self.parameters[name], kind.name) for name, kind in zip(self.names, kinds, strict=True)]


def bind(sql: str, parameters: Mapping[str, Any]) -> Bound:
    """Return the statement with `$n` for each `:name`. Raises SqlError for a parameter without a value."""
    plain = {name: plain_value(value) for name, value in parameters.items()}
    order: list[str] = []

    def write(name: str) -> str:
        if name not in order:
            order.append(name)
        return f"${order.index(name) + 1}{_cast(plain[name])}"

    return _bound(sql, plain, write, order)


def bind_settings(sql: str, parameters: Mapping[str, Any], kinds: Mapping[str, str]) -> Bound:
    """Return the query with each `:name` as a setting of the transaction, for COPY, which takes no parameters.

    `kinds` are the SQL types that the server found for them. The planner knows the value of a setting, so that an
    index is used as for a literal.
    """
    order: list[str] = []

    def write(name: str) -> str:
        if name not in order:
            order.append(name)
        if parameters[name] is None:
            return f"NULL::{kinds[name]}"
        return f"current_setting('{setting(order.index(name))}')::{kinds[name]}"

    return _bound(sql, parameters, write, order)


def setting(number: int) -> str:
    """Return the name of the setting that holds the parameter of this number."""
    return f"ematix.p{number}"


def _bound(sql: str, parameters: Mapping[str, Any], write: Callable[[str], str], order: list[str]) -> Bound:
    written = single(sql, "named_dollar")
    starts: list[tuple[int, int]] = []
    sent = done = 0

    def between(piece: str) -> str:
        nonlocal sent, done
        starts.append((sent, done))
        sent += len(piece)
        done += len(piece)
        return piece

    def counted(name: str) -> str:
        nonlocal sent, done
        text = write(name)
        starts.append((sent, done))
        sent += len(text)
        done += 1 + len(name)
        return text

    text, _ = rewritten(written, parameters, "postgres", counted, between=between)
    return Bound(written, text, tuple(order), parameters, tuple(starts))


def plain_value(value: Any) -> Any:  # noqa: ANN401 - whatever a job binds
    """Return Arrow scalars as Python values."""
    import pyarrow as pa

    if not isinstance(value, pa.Scalar):
        return value
    if pa.types.is_timestamp(value.type) and value.type.unit == "ns" and value.is_valid:
        value = value.cast(pa.timestamp("us", value.type.tz))  # raises where a value is finer than PostgreSQL's
    return value.as_py()


def _cast(value: Any) -> str:  # noqa: ANN401, PLR0911 - whatever a job binds; one line a type reads best
    """Return the cast that says which type a value has, where the statement alone may not; text fits any column."""
    match value:
        case bool():
            return "::boolean"
        case int():
            return "::integer" if -_INT4 <= value < _INT4 else "::bigint" if -_INT8 <= value < _INT8 else "::numeric"
        case float():
            return "::float8"
        case Decimal():
            return "::numeric"
        case datetime():
            return "::timestamp" if value.tzinfo is None else "::timestamptz"
        case date():
            return "::date"
        case time():
            return "::time"
        case timedelta():
            return "::interval"
        case bytes():
            return "::bytea"
    return ""


def _fit(value: Any, kind: str) -> Any:  # noqa: ANN401 - whatever a job binds
    """Return the value in the form that asyncpg wants for a type that the server inferred from the statement."""
    if value is None:
        return None
    if kind == "timestamptz" and isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if kind == "numeric" and isinstance(value, str | int):
        return Decimal(value)
    if kind in {"int2", "int4", "int8"} and isinstance(value, str):
        return int(value)
    return value
