"""Normalizers: what happens to a column's values between source and target; `ematix.normalize` is this module.

They stand beside the type, `email: Annotated[Text, normalize.trim(), normalize.lower()]`, and apply from left to
right. Each is an expression in DuckDB SQL, where the rows pass through as Arrow batches, in a session whose time zone
is UTC. NULL stays NULL, but for `default`, `derive` and `sql`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.schedule import zone_of

Value = str | bool | int | float | Decimal | date | datetime | time | bytes
OnFailure = Literal["error", "null", "default"]

_COLUMN = "\0"  # where the column goes in the templates below: a character that no SQL text can hold
_ON_FAILURE = ("error", "null", "default")
_BLANKS = r"[\s\v\x1c-\x1f\x{85}\pZ]+"  # what str.strip() removes; DuckDB's trim() removes spaces only
_TRIMMED = f"regexp_replace(CAST({_COLUMN} AS VARCHAR), '^{_BLANKS}|{_BLANKS}$', '', 'g')"
_INTEGER = "^[+-]?[0-9]+$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# DuckDB reads `infinity` and `epoch` as dates, whatever the format says; here they are text that cannot be read.
_DATED = f"regexp_replace({_TRIMMED}, '(?i)^[+-]?(inf|infinity|epoch)$', '')"
_MAX_PRECISION = 38  # of a DECIMAL in DuckDB
_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")
_TRUNC_UNITS = (
    "microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade",
    "century", "millennium",
)  # fmt: skip

__all__ = [
    "Normalizer", "chain", "clamp", "date_trunc", "default", "derive", "empty_to_null", "lower", "nullif", "parse_bool",
    "parse_date", "parse_int", "parse_numeric", "parse_timestamp", "regex_replace", "replace", "round", "sql",
    "to_timezone", "trim", "truncate", "upper",
]  # fmt: skip


@dataclass(frozen=True)
class Normalizer:
    """One step: `label` as the user would write it, `parts` the DuckDB SQL around each mention of the column.

    `derived`: the expression makes a new column from others; the source need not have one of this name. `reads_text`:
    it takes text, as a file has it, and not what text looks like.
    """

    label: str
    parts: tuple[str, ...]
    derived: bool = False
    reads_text: bool = False

    def expression(self, column_sql: str) -> str:
        """Return the DuckDB SQL of this step for a column given as SQL."""
        return column_sql.join(self.parts)

    def __repr__(self) -> str:
        """Return the step as the user would write it."""
        return self.label


def chain(normalizers: tuple[Normalizer, ...], column_sql: str) -> str:
    """Return the DuckDB SQL of all steps, applied from left to right to a column given as SQL."""
    for normalizer in normalizers:
        column_sql = normalizer.expression(column_sql)
    return column_sql


def trim() -> Normalizer:
    """Remove white space on both sides: all that Unicode calls so, tabs, line ends and no-break spaces included."""
    return _text_step("trim()", _TRIMMED)


def lower() -> Normalizer:
    """Turn into lower case."""
    return _text_step("lower()", f"lower({_COLUMN})")


def upper() -> Normalizer:
    """Turn into upper case."""
    return _text_step("upper()", f"upper({_COLUMN})")


def empty_to_null() -> Normalizer:
    """Turn empty text into NULL; put trim() before it when blanks count as empty."""
    return _text_step("empty_to_null()", f"nullif({_COLUMN}, '')")


def regex_replace(pattern: str, replacement: str) -> Normalizer:
    r"""Replace every match of a regular expression (RE2 syntax); `\1` in the replacement is the first group."""
    template = f"regexp_replace({_COLUMN}, {literal(pattern)}, {literal(replacement)}, 'g')"
    return _text_step(f"regex_replace({pattern!r}, {replacement!r})", template)


def replace(old: str, new: str) -> Normalizer:
    """Replace every occurrence of a text."""
    if not old:
        raise DeclarationError("replace('', ...): there is nothing to replace")
    return _text_step(f"replace({old!r}, {new!r})", f"replace({_COLUMN}, {literal(old)}, {literal(new)})")


def truncate(length: int) -> Normalizer:
    """Keep at most the first `length` characters (Unicode code points, as `String[length]` counts)."""
    if length < 1:
        raise DeclarationError(f"truncate({length}): the length must be at least 1")
    return _text_step(f"truncate({length})", f"left({_COLUMN}, {length})")


def round(digits: int = 0) -> Normalizer:  # noqa: A001 - the word that users expect
    """Round to `digits` after the point, halves away from zero; negative digits round to tens, hundreds, ..."""
    return _step(f"round({digits})", f"round({_COLUMN}, {digits})")


def clamp(low: Value, high: Value) -> Normalizer:
    """Replace what is below `low` by it, and what is above `high` by that."""
    label, lowest, highest = f"clamp({low!r}, {high!r})", literal(low), literal(high)
    try:
        crossed = low > high  # type: ignore[operator]  # values that cannot be compared are what the except is for
    except TypeError:
        raise DeclarationError(f"{label}: the bounds cannot be compared with each other") from None
    if crossed:
        raise DeclarationError(f"{label}: the lower bound is above the upper one")
    # DuckDB's greatest() and least() skip NULL, so that without the CASE it would become the lower bound.
    template = f"CASE WHEN {_COLUMN} IS NOT NULL THEN least(greatest({_COLUMN}, {lowest}), {highest}) END"
    return _step(label, template)


def default(value: Value) -> Normalizer:
    """Replace NULL by a value."""
    return _step(f"default({value!r})", f"coalesce({_COLUMN}, {literal(value)})", reads_text=isinstance(value, str))


def nullif(value: Value) -> Normalizer:
    """Replace a value by NULL."""
    return _step(f"nullif({value!r})", f"nullif({_COLUMN}, {literal(value)})", reads_text=isinstance(value, str))


def to_timezone(zone: str) -> Normalizer:
    """Change between an instant and the wall clock of an IANA zone, as SQL's AT TIME ZONE does.

    A timestamp without a zone is read as wall clock and becomes the instant; an instant becomes the wall clock.
    """
    zone_of(zone)
    return _step(f"to_timezone({zone!r})", f"timezone({literal(zone)}, {_COLUMN})")


def date_trunc(unit: str) -> Normalizer:
    """Set a date or time back to the start of its unit, such as "hour", "day", "week" (Monday), "month"."""
    if unit not in _TRUNC_UNITS:
        raise DeclarationError(f"date_trunc({unit!r}): unknown unit", hint=near(unit, _TRUNC_UNITS))
    return _step(f"date_trunc({unit!r})", f"date_trunc({literal(unit)}, {_COLUMN})")


def derive(expression: str) -> Normalizer:
    """Make the column from others: DuckDB SQL over the columns as the source gives them. Must come first."""
    return Normalizer(f"derive({expression!r})", (_own_sql("derive", expression),), derived=True)


def sql(expression: str) -> Normalizer:
    """Apply any DuckDB SQL; `{col}` stands for the column, as the steps before it left it."""
    if "{col}" not in expression:
        raise DeclarationError(
            f"sql({expression!r}) does not mention {{col}}", hint="Use derive(...) to make a column from others."
        )
    return Normalizer(f"sql({expression!r})", tuple(_own_sql("sql", expression).split("{col}")))


def parse_int(*, on_failure: OnFailure = "error", default: int | None = None) -> Normalizer:
    """Read text as a 64-bit whole number: digits with an optional sign; `1.5` and `1e3` are none.

    All parse_* steps pass over blanks around the text, and leave NULL alone. What cannot be read stops the job
    (`on_failure="error"`), becomes NULL ("null") or the value of `default=` ("default").
    """
    attempt = f"TRY_CAST(regexp_extract({_TRIMMED}, {literal(_INTEGER)}) AS BIGINT)"
    return _parse("parse_int", (), attempt, on_failure, default)


def parse_numeric(
    precision: int = 38, scale: int = 9, *, on_failure: OnFailure = "error", default: Decimal | int | None = None
) -> Normalizer:
    """Read text as an exact decimal with a point, exponents too; digits beyond `scale` are rounded."""
    if not (0 < precision <= _MAX_PRECISION and 0 <= scale <= precision):
        raise DeclarationError(f"parse_numeric({precision}, {scale}): precision is 1 to 38, scale 0 to precision")
    attempt = f"TRY_CAST(regexp_extract({_TRIMMED}, {literal(_NUMBER)}) AS DECIMAL({precision}, {scale}))"
    return _parse("parse_numeric", (precision, scale), attempt, on_failure, default)


def parse_bool(*, on_failure: OnFailure = "error", default: bool | None = None) -> Normalizer:
    """Read true, t, yes, y, on, 1 and false, f, no, n, off, 0, in any case, as a boolean."""
    attempt = f"CASE WHEN lower({_TRIMMED}) IN {_TRUE} THEN TRUE WHEN lower({_TRIMMED}) IN {_FALSE} THEN FALSE END"
    return _parse("parse_bool", (), attempt, on_failure, default)


def parse_date(*formats: str, on_failure: OnFailure = "error", default: date | None = None) -> Normalizer:
    """Read text as a date in the first of the strftime formats that fits; without one, as `2024-12-31`."""
    attempt = f"CAST(try_strptime({_DATED}, {_formats(formats or ('%Y-%m-%d',))}) AS DATE)"
    return _parse("parse_date", formats, attempt, on_failure, default)


def parse_timestamp(*formats: str, on_failure: OnFailure = "error", default: datetime | None = None) -> Normalizer:
    """Read text as a timestamp in the first of the strftime formats that fits; without one, as ISO 8601.

    The result has no zone; an offset in the text is converted to UTC. Text that is local time of some zone becomes
    an instant by `to_timezone` after this.
    """
    if formats:
        attempt = f"CAST(try_strptime({_DATED}, {_formats(formats)}) AS TIMESTAMP)"
    else:
        # By way of TIMESTAMPTZ, because DuckDB's cast to TIMESTAMP drops an offset without a word.
        attempt = f"CAST(TRY_CAST({_DATED} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return _parse("parse_timestamp", formats, attempt, on_failure, default)


def literal(value: Value) -> str:  # noqa: PLR0911 - one line a type reads best
    """Return a value as a DuckDB literal. Raises DeclarationError for None and for types without one."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | Decimal():
            return f"{value:f}" if isinstance(value, Decimal) and value.is_finite() else str(value)
        case float():
            return repr(value) if abs(value) < float("inf") else f"CAST('{value}' AS DOUBLE)"
        case str():
            if _COLUMN in value:
                raise DeclarationError("SQL text cannot hold the NUL character")
            return "'" + value.replace("'", "''") + "'"
        case datetime() if value.tzinfo is not None:
            return f"TIMESTAMPTZ '{value.astimezone(UTC).isoformat(sep=' ')}'"
        case datetime():
            return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case time():
            return f"TIME '{value.isoformat()}'"
        case bytes():
            return f"from_hex('{value.hex()}')"
    raise DeclarationError(
        f"{value!r} cannot be written as a value in SQL", hint="Give text, a number, a boolean, a date or a time."
    )


def _step(label: str, template: str, *, reads_text: bool = False) -> Normalizer:
    return Normalizer(label, tuple(template.split(_COLUMN)), reads_text=reads_text)


def _text_step(label: str, template: str) -> Normalizer:
    return _step(label, template, reads_text=True)


def _parse(
    name: str, arguments: tuple[object, ...], attempt: str, on_failure: str, default: Value | None
) -> Normalizer:
    options = [repr(argument) for argument in arguments]
    if on_failure not in _ON_FAILURE:
        raise DeclarationError(f"{name}: unknown on_failure {on_failure!r}", hint=near(on_failure, _ON_FAILURE))
    if (on_failure == "default") == (default is None):
        raise DeclarationError(f"{name}: on_failure='default' and default= go together")
    otherwise = ""
    if on_failure == "error":
        otherwise = f"error({literal(f'{name} cannot read: ')} || CAST({_COLUMN} AS VARCHAR))"
    elif default is not None:
        otherwise = literal(default)
    if on_failure != "error":
        options.append(f"on_failure={on_failure!r}")
    if default is not None:
        options.append(f"default={default!r}")
    template = f"coalesce({attempt}, CASE WHEN {_COLUMN} IS NOT NULL THEN {otherwise} END)" if otherwise else attempt
    return _text_step(f"{name}({', '.join(options)})", template)


def _formats(formats: tuple[str, ...]) -> str:
    return f"[{', '.join(map(literal, formats))}]"


def _own_sql(name: str, expression: str) -> str:
    if not expression.strip():
        raise DeclarationError(f"{name}() has no expression")
    return f"({expression})"
