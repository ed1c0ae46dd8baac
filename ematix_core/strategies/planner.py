"""One planner for all modes: DDL first, then the mode's steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import UnsupportedError
from ematix_core.sql.ddl import CREATE_TABLE
from ematix_core.strategies import append, merge, scd2, truncate
from ematix_core.strategies.inside import keys_by_index
from ematix_core.strategies.plan import Execute, Plan, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.sql.ddl import DdlPlan
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change

_STRATEGIES: dict[str, Callable[[Change, Dialect], list[Step]]] = {
    "append": append.steps,
    "truncate": truncate.steps,
    "merge": merge.steps,
    "scd2": scd2.steps,
}


def plan_load(change: Change, ddl: DdlPlan, dialect: Dialect, notes: tuple[str, ...] = ()) -> Plan:
    """Return the plan of one load of one target.

    Raises UnsupportedError when the system cannot be loaded in this mode.
    """
    mode = change.mode.name
    if mode not in dialect.modes:
        raise UnsupportedError(
            f"{dialect.name} targets cannot be loaded with mode {mode!r}",
            where=f"table {change.target}",
            hint=f"Modes of {dialect.name}: {', '.join(sorted(dialect.modes))}.",
        )
    before = [each for each in ddl.statements if not (change.made and each[0] == CREATE_TABLE)]
    steps: list[Step] = [Execute(name=name, sql=sql, why=why) for name, sql, why in before]
    steps += _STRATEGIES[mode](change, dialect)
    steps += [
        keys_by_index(change, dialect, sql) if change.made else Execute(name=name, sql=sql, why=why)
        for name, sql, why in ddl.later
    ]
    return Plan(str(change.target), mode, tuple(steps), (*notes, *ddl.notes), tuple(ddl.warnings), ddl.columns)
