"""Data checks on the staged rows, made before they are committed: `ematix.expect` is this module.

A check is plain data; its SQL is written where all SQL is. A row breaks a check when the condition is false for it:
NULL counts as good, as in SQL's CHECK, except for `not_null`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

Kind = Literal["not_null", "unique", "in_set", "between", "row_count", "fresh", "sql"]
Severity = Literal["fail", "warn", "quarantine"]
_SEVERITIES = ("fail", "warn", "quarantine")
_OF_THE_WHOLE_LOAD = ("row_count", "fresh")

__all__ = ["Check", "between", "fresh", "in_set", "not_null", "row_count", "sql", "unique"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check. `kind` says which of the other fields hold its arguments.

    `not_null`, `unique`: `columns`. `in_set`: one column, `values`. `between`: one column, `low` and `high`, inclusive,
    None for no bound. `row_count`: `low`, `high`. `fresh`: one column whose highest value is at most `within` old.
    `sql`: `condition`, a boolean expression in the target's SQL that every row satisfies.

    `severity`: "fail" commits nothing, "warn" commits and says so, "quarantine" sets the rows that break it aside.
    """

    kind: Kind
    name: str
    severity: Severity = "fail"
    columns: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()
    low: Any = None
    high: Any = None
    within: timedelta | None = None
    condition: str = ""

    def __post_init__(self) -> None:
        """Check the severity."""
        if self.severity not in _SEVERITIES:
            raise DeclarationError(
                f"check {self.name}: unknown severity {self.severity!r}", hint=near(self.severity, _SEVERITIES)
            )
        if self.severity == "quarantine" and self.kind in _OF_THE_WHOLE_LOAD:
            raise DeclarationError(
                f"check {self.name}: severity 'quarantine' needs single rows to set aside, "
                f"and {self.kind} is about the load as a whole",
                hint="Use 'fail' or 'warn'.",
            )


def not_null(*columns: str, severity: Severity = "fail") -> Check:
    """Expect a value in each of the columns."""
    return Check(kind="not_null", name=_label("not_null", columns), columns=columns, severity=severity)


def unique(*columns: str, severity: Severity = "fail") -> Check:
    """Expect that no two rows of a load agree in all of the columns. Rows with a NULL among them agree with none."""
    return Check(kind="unique", name=_label("unique", columns), columns=columns, severity=severity)


def in_set(column: str, values: Iterable[Any], *, severity: Severity = "fail") -> Check:
    """Expect one of the values. NULL is good; `not_null` forbids it."""
    allowed = tuple(values)
    name = _label("in_set", (column,))
    if not allowed or any(value is None for value in allowed):
        raise DeclarationError(
            f"check {name}: the set must hold values, and None is none", hint="NULL is good unless not_null forbids it."
        )
    return Check(kind="in_set", name=name, columns=(column,), values=allowed, severity=severity)


def between(column: str, low: Any = None, high: Any = None, *, severity: Severity = "fail") -> Check:  # noqa: ANN401 - any value that the column's type can be compared with
    """Expect `low <= value <= high`; None leaves that side open. NULL is good."""
    name = _label("between", (column,))
    _check_bounds(name, low, high)
    return Check(kind="between", name=name, columns=(column,), low=low, high=high, severity=severity)


def row_count(*, min: int | None = None, max: int | None = None, severity: Severity = "fail") -> Check:  # noqa: A002 - the words that users expect
    """Expect at least `min` and at most `max` rows in the load."""
    _check_bounds("row_count", min, max)
    return Check(kind="row_count", name="row_count", low=min, high=max, severity=severity)


def fresh(column: str, *, within: str | timedelta, severity: Severity = "fail") -> Check:
    """Expect that the highest value of the column is at most `within` (such as "1 day") old when the load runs."""
    name = _label("fresh", (column,))
    length = parse_duration(within, "within")
    return Check(kind="fresh", name=name, columns=(column,), within=length, severity=severity)


def sql(condition: str, *, name: str, severity: Severity = "fail") -> Check:
    """Expect that every row satisfies the condition, a boolean expression in the target's SQL. NULL is good."""
    if not condition.strip() or not name:
        raise DeclarationError("check sql needs a condition and a name")
    return Check(kind="sql", name=name, condition=condition, severity=severity)


def _label(kind: str, columns: tuple[str, ...]) -> str:
    if not columns:
        raise DeclarationError(f"check {kind} names no column")
    return f"{kind}({', '.join(columns)})"


def _check_bounds(name: str, low: Any, high: Any) -> None:  # noqa: ANN401 - see between
    if low is None and high is None:
        raise DeclarationError(f"check {name} has no bound", hint="Give the lower one, the upper one or both.")
    if low is not None and high is not None and low > high:
        raise DeclarationError(f"check {name}: the lower bound {low!r} is above the upper bound {high!r}")
