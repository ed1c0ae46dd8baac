"""Conditions on one table that mean the same in every system, or let a row more through than DuckDB's do.

DuckDB applies all of them again, so that a system may be asked for a row too many and never for one too few. Therefore
text is only compared as equal: collations that take more for equal are fine, those that order otherwise are not. And
nothing is here that a row of NULLs fulfils, as an outer join may make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.sql import build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.model.table import Column
    from ematix_core.sql.dialect import Dialect

_WHOLE = frozenset(
    ("tiny_int", "small_int", "integer", "big_int", "u_tiny_int", "u_small_int", "u_integer", "u_big_int")
)
_NUMBERS = _WHOLE | {"double", "numeric"}  # not float: what a literal is rounded to before it is compared differs
_TEXTS = frozenset(("text", "string"))
_UNTYPED = frozenset(("sqlite",))
"""Grammars of systems that keep values, not columns, of a type: times and decimals there are texts, or numbers."""
_COMPARED = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_SAFE_ANYWHERE = _WHOLE | _TEXTS | {"double"}


@dataclass(frozen=True)
class Condition:
    """A condition over columns of these kinds; `expression` has their names as the table has them."""

    expression: exp.Expr
    kinds: frozenset[str]

    def holds_in(self, dialect: Dialect) -> bool:
        """Say whether the system of the dialect can be asked."""
        return dialect.grammar not in _UNTYPED or self.kinds <= _SAFE_ANYWHERE


def conditions_of(
    found: Sequence[exp.Expr], columns: Sequence[Column], parameters: Mapping[str, object]
) -> tuple[Condition, ...]:
    """Return those of the conditions, all about one table with these columns, that its system can be asked for."""
    reading = _Reading({column.name.lower(): column for column in columns}, parameters)
    return tuple(made for one in found if (made := reading.condition(one)) is not None)


class _Reading:
    """Conditions over the columns of one table, by their names in lower case."""

    def __init__(self, columns: Mapping[str, Column], parameters: Mapping[str, object]) -> None:
        self._columns = columns
        self._parameters = parameters

    def condition(self, found: exp.Expr) -> Condition | None:
        """Return the condition in our words; None for one that is not to be put to the system."""
        match found:
            case exp.Paren():
                return self.condition(found.this)
            case exp.And() | exp.Or():
                return self._both(found)
            case exp.Not(this=exp.Is(this=exp.Column() as column, expression=exp.Null())):
                return self._present(column)
            case exp.In(this=exp.Column() as column) if found.expressions and not found.args.get("unnest"):
                return self._compared(column, found.expressions, equal=True)
            case exp.Between(this=exp.Column() as column):
                return self._compared(column, [found.args["low"], found.args["high"]], equal=False)
        return self._comparison(found) if isinstance(found, _COMPARED) else None

    def _present(self, column: exp.Column) -> Condition | None:
        known = self._columns.get(column.name.lower())
        if known is None:
            return None
        return Condition(exp.not_(exp.Is(this=build.col(known.name), expression=exp.null())), frozenset())

    def _both(self, found: exp.And | exp.Or) -> Condition | None:
        left, right = self.condition(found.this), self.condition(found.expression)
        if left is None or right is None:
            return None
        made = type(found)(this=exp.paren(left.expression), expression=exp.paren(right.expression))
        return Condition(made, left.kinds | right.kinds)

    def _comparison(self, found: exp.Expr) -> Condition | None:
        left, right = found.this, found.expression
        column, value = (left, right) if isinstance(left, exp.Column) else (right, left)
        return (
            self._compared(column, [value], equal=isinstance(found, exp.EQ)) if isinstance(column, exp.Column) else None
        )

    def _compared(self, column: exp.Column, values: Sequence[exp.Expr], *, equal: bool) -> Condition | None:
        """Return what compares the column with the values."""
        known = self._columns.get(column.name.lower())
        if known is None:
            return None
        kinds = [self._kinds(value) for value in values]
        if any(known.type.kind not in one or (one is _TEXTS and not equal) for one in kinds):
            return None
        assert column.parent is not None  # noqa: S101 - it is compared
        made = column.parent.copy()
        for node in list(made.find_all(exp.Column)):
            node.replace(build.col(known.name))
        for placeholder in list(made.find_all(exp.Placeholder)):
            placeholder.replace(build.bound(placeholder.name))
        return Condition(made, frozenset([known.type.kind]))

    def _kinds(self, value: exp.Expr) -> frozenset[str]:
        """Return the kinds of columns that can be compared with the constant; none for what is no constant."""
        match value:
            case exp.Neg(this=exp.Literal(is_string=False)) | exp.Literal(is_string=False):
                return _NUMBERS
            case exp.Literal():
                return _TEXTS
            case exp.Cast(this=exp.Literal(is_string=True)) if value.to.is_type("date"):
                return frozenset(["date"])
            case exp.Cast(this=exp.Literal(is_string=True)) if value.to.is_type("timestamp", "timestampntz"):
                return frozenset(["timestamp"])
            case exp.Placeholder() if value.name in self._parameters:
                return _kinds_of(self._parameters[value.name])
        return frozenset()


def _kinds_of(value: object) -> frozenset[str]:
    """Return the kinds of columns that can be compared with a bound value."""
    match value:
        case bool() | None:
            return frozenset()
        case int() | float() | Decimal():
            return _NUMBERS
        case str():
            return _TEXTS
        case datetime():
            return frozenset(["timestamp" if value.tzinfo is None else "timestamp_tz"])
        case date():
            return frozenset(["date"])
    return frozenset()
