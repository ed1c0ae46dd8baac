"""Values of `:name` parameters as literals of SQL.

connectorx takes no parameters, so a value has to become part of the text. Each literal is made of a closed alphabet
that cannot end it: numbers are printed from numbers; dates and times from their fields; text and bytes go as
hexadecimal digits, so nothing has to be escaped, whatever sql_mode (NO_BACKSLASH_ESCAPES, ANSI_QUOTES) and character
set the server is in: https://dev.mysql.com/doc/refman/8.0/en/hexadecimal-literals.html
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConversionError
from ematix_core.sql.parameters import rewritten

if TYPE_CHECKING:
    from collections.abc import Mapping

GRAMMAR = "mysql"


def bound(sql: str, parameters: Mapping[str, Any]) -> str:
    """Return the text with each `:name` as a literal. Raises SqlError at a parameter without a value."""
    text, _ = rewritten(sql, parameters, GRAMMAR, lambda name: literal(parameters[name], name))
    return text


def literal(value: Any, name: str) -> str:  # noqa: ANN401, PLR0911 - whatever a job binds; one line a type reads best
    """Return the literal of a value. Raises ConversionError for one that MySQL has no type for."""
    if hasattr(value, "as_py"):  # an Arrow scalar
        value = value.as_py()
    if hasattr(value, "to_pydatetime"):  # pandas.Timestamp: microseconds, rounded down
        value = value.to_pydatetime(warn=False)
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value, name)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return f"_utf8mb4 X'{value.encode().hex()}'"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"_binary X'{bytes(value).hex()}'"
    if isinstance(value, uuid.UUID):
        return literal(str(value), name)
    if isinstance(value, (dt.date, dt.time)):
        return _time(value)
    raise ConversionError(
        f"the parameter :{name} is a {type(value).__name__}, which has no literal in MySQL",
        hint="Bind a number, a text, a date or a time.",
    )


def _float(value: float, name: str) -> str:
    if not math.isfinite(value):
        if value < 0:  # "every number", as the lowest watermark of a column of doubles
            return "-1.7976931348623157E308"
        raise ConversionError(f"the parameter :{name} is {value}, which MySQL does not have")
    text = repr(value)
    return text if "e" in text else f"{text}E0"


def _time(value: dt.date | dt.time) -> str:
    """Return DATE, TIME or TIMESTAMP'..'; an instant in UTC, the zone of all our sessions."""
    if isinstance(value, dt.datetime):
        plain = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
        return f"TIMESTAMP'{plain.isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, dt.time):
        return f"TIME'{value.replace(tzinfo=None).isoformat(timespec='microseconds')}'"
    return f"DATE'{value.isoformat()}'"
