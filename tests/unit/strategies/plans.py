"""Plans as text, for the fixtures: the same small change planned for each mode and dialect."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ematix_core.backends import registry
from ematix_core.engine.result import step_text
from ematix_core.model.mode import Merge, Scd2, append, merge, scd2, truncate
from ematix_core.model.table import Column, TableName
from ematix_core.sql.ddl import Wanted, plan_ddl
from ematix_core.strategies.plan import Change
from ematix_core.strategies.planner import plan_load
from ematix_core.types import BigInt, Boolean, Text, TimestampTZ

if TYPE_CHECKING:
    from ematix_core.model.mode import Mode
    from ematix_core.strategies.plan import Plan

DIALECTS = ("duckdb", "sqlite")
TABLE = TableName("", "orders")
COLUMNS = (Column("id", BigInt, nullable=False), Column("name", Text), Column("at", TimestampTZ))
GONE = Column("_deleted", Boolean)
HASH = Column("row_hash", Text)
_HISTORY = {"valid_from": TimestampTZ, "valid_to": TimestampTZ, "is_current": Boolean, "row_hash": Text}
CASES: dict[str, tuple[Mode, dict[str, bool | str]]] = {
    "append_straight": (append(), {}),
    "append_staged": (append(), {"staged": True}),
    "append_since_by_row": (append(), {"since": "at"}),
    "append_since_by_key": (append(), {"since": "at", "keyed": True}),
    "truncate_straight": (truncate(), {}),
    "truncate_staged": (truncate(), {"staged": True}),
    "merge_new_table": (merge(keys="id"), {"new": True}),
    "merge": (merge(keys="id"), {}),
    "merge_latest_with_deletes": (merge(keys="id", order_by="at", deletes="delete"), {}),
    "merge_changes": (merge(keys="id", deleted_by="_deleted"), {}),
    "merge_changes_none_older": (merge(keys=["id", "name"], order_by="at", deleted_by="_deleted"), {}),
    "scd2_new_table": (scd2(keys="id"), {"new": True}),
    "scd2_changes_load_time": (scd2(keys="id", deleted_by="_deleted"), {}),
    "scd2_changes_event_time": (scd2(keys="id", event_time="at", deleted_by="_deleted"), {}),
    "scd2_load_time": (scd2(keys="id", deletes="close", ttl=timedelta(days=30)), {}),
    "scd2_event_time": (scd2(keys="id", event_time="at", deletes="close"), {}),
}
INSIDE: dict[str, tuple[Mode, dict[str, bool | str]]] = {
    "append_new_table": (append(), {"new": True}),
    "merge_new_table": (merge(keys="id", deletes="delete"), {"new": True}),
    "merge": (merge(keys="id"), {}),
    "scd2_new_table": (scd2(keys="id"), {"new": True}),
    "scd2_load_time": (scd2(keys="id", deletes="close"), {}),
}
"""Loads of rows that the session reads by itself, in the system that makes tables of queries."""
PLANS = [*((kind, case) for kind in DIALECTS for case in CASES), *(("postgres", case) for case in INSIDE)]


def plan(case: str, kind: str) -> Plan:
    """Return the plan of a case for a kind of target."""
    inside = kind == "postgres" and case in INSIDE
    mode, given = (INSIDE if inside else CASES)[case]
    dialect = registry.dialect(kind)
    history = mode.name == "scd2"
    keyed = mode.name in {"merge", "scd2"} or "keyed" in given
    passing = (GONE,) if getattr(mode, "deleted_by", None) else ()
    keys = (isinstance(mode, Merge | Scd2) and mode.keys) or ("id",)
    added = (Column(name, kind_of, nullable=not inside or name == "valid_to") for name, kind_of in _HISTORY.items())
    table = (*COLUMNS, *added) if history else COLUMNS
    wanted = Wanted(TABLE, table, merge_key=keys if keyed else (), current="is_current" if history else "")
    new = bool(given.get("new"))
    event_time = getattr(mode, "event_time", None)
    change = Change(
        target=TABLE,
        columns=(*COLUMNS, *passing, HASH) if history else (*COLUMNS, *passing),
        passing=frozenset(column.name for column in passing),
        mode=mode,
        keys=keys if keyed else (),
        compare=tuple(c.name for c in COLUMNS if c.name not in {event_time, *keys}) if keyed else (),
        new=new,
        staged=bool(given.get("staged")),
        since=str(given.get("since", "")),
        inside=inside,
        made=table if inside and new else (),
        unique_keys=inside,
        hashed='md5("s"."name")' if inside and history else "",
    )
    return plan_load(change, plan_ddl(wanted, None if new else table, dialect, "error"), dialect)


def text(made: Plan) -> str:
    """Return the plan with one comment line a step: what it is, what its rows count as, what is bound."""
    lines = []
    for step in made.steps:
        about = [step.name]
        about += [f"counts {step.counts}"] if step.counts else []
        about += [f"binds {', '.join(bound)}"] if (bound := getattr(step, "parameters", ())) else []
        target = getattr(step, "table", None)
        about += [f"into {target}"] if target is not None else []
        lines += [f"-- {' | '.join(about)}", *([step_text(step) + ";"] if step_text(step) else []), ""]
    return "\n".join(lines)
