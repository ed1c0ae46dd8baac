"""What the catalog shows of a load: what the engine counted and knew while it loaded. Nothing is asked afterwards."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dagster import DataVersion, MetadataValue, TableColumn, TableColumnDep, TableColumnLineage, TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dagster import AssetKey

    from ematix_core import RunResult
    from ematix_core.orchestration import CompiledJob, CompiledTarget, TargetConsumed

COUNTS = ("inserted", "updated", "unchanged", "deleted", "closed", "quarantined")
_OF_STREAMS = (
    "records", "batches", "inserted", "updated", "unchanged", "deleted", "closed", "dropped", "restarts"
)  # fmt: skip
_CHANGES = ("inserted", "updated", "deleted", "closed")


def of_target(result: RunResult, number: int, target: CompiledTarget) -> dict[str, Any]:
    """Return the metadata of one target's materialization.

    `dagster/row_count`: the rows that the load has read for it, which with mode `truncate` are those of the table.
    """
    loaded, seconds = result.targets[number], result.seconds
    found: dict[str, Any] = {
        "dagster/row_count": loaded.rows_read,
        "dagster/table_name": target.name,
        **{f"ematix/{name}": getattr(loaded, name) for name in COUNTS},
        "ematix/mode": loaded.mode,
        "ematix/seconds": round(seconds, 3),
        "ematix/rows_per_second": round(loaded.rows_read / seconds, 1) if seconds else 0.0,
        "ematix/attempts": result.attempts,
        "ematix/run_id": result.run_id,
    }
    if loaded.warnings:
        found["ematix/warnings"] = "\n".join(loaded.warnings)
    if result.plan is not None:
        plan = result.plan.to_dict()["targets"][number]
        found["ematix/plan"] = MetadataValue.md(_markdown(plan["steps"]))
        found["ematix/plan_hash"] = result.plan.targets[number].hash()
    if columns := target.columns or _columns(result, number):
        found["dagster/column_schema"] = column_schema(columns)
    return found


def of_stream(consumed: TargetConsumed, target: CompiledTarget, seconds: float, behind: int | None) -> dict[str, Any]:
    """Return the metadata of what a stream has loaded into one target since the materialization before.

    `behind`: records that the source had beyond when it was last asked; None: not told.
    """
    found: dict[str, Any] = {
        "dagster/row_count": consumed.rows,
        "dagster/table_name": target.name,
        **{f"ematix/{name}": getattr(consumed, name) for name in _OF_STREAMS},
        "ematix/dead_letters": consumed.dead,
        "ematix/mode": target.mode,
        "ematix/seconds": round(seconds, 3),
        "ematix/records_per_second": round(consumed.records / seconds, 1) if seconds else 0.0,
        "ematix/positions": MetadataValue.json(dict(consumed.positions)),
    }
    if behind is not None:
        found["ematix/behind"] = behind
    if target.columns:
        found["dagster/column_schema"] = column_schema(target.columns)
    return found


def reached(consumed: TargetConsumed) -> DataVersion:
    """Return the version of a target's rows: they are those up to these positions."""
    return _version(json.dumps(dict(consumed.positions), sort_keys=True, default=str))


def _columns(result: RunResult, number: int) -> tuple[tuple[str, str], ...]:
    """Return the columns that the load has found, of a table that is not declared."""
    planned = result.plan.targets[number].columns if result.plan is not None else ()
    return tuple((column.name, column.type.label()) for column in planned)


def column_schema(columns: Iterable[tuple[str, str]]) -> TableSchema:
    """Return columns, each with its name and type, as Dagster shows them."""
    return TableSchema([TableColumn(name, kind) for name, kind in columns])


def column_lineage(
    job: CompiledJob, target: CompiledTarget, tables: Mapping[str, AssetKey]
) -> TableColumnLineage | None:
    """Return which columns the target's are made of, as far as the SQL tells; None when it tells nothing.

    `tables`: the asset of each table that the job reads.
    """
    known = {name for name, _ in target.columns} or job.lineage.keys()
    found = {
        column: [TableColumnDep(tables[table], source) for table, source in sources if table in tables]
        for column, sources in job.lineage.items()
        if column in known
    }
    return TableColumnLineage(found) if any(found.values()) else None


def has_changed(result: RunResult, number: int) -> bool:
    """Say whether the load has changed any row of the target."""
    return any(getattr(result.targets[number], name) for name in _CHANGES)


def data_version(result: RunResult, number: int) -> DataVersion:
    """Return the version of the target's rows after the load."""
    plan = result.plan.targets[number].hash() if result.plan is not None else ""
    return _version(f"{plan}/{result.run_id}")


def _version(text: str) -> DataVersion:
    return DataVersion(sha256(text.encode()).hexdigest()[:16])


def _markdown(steps: Iterable[Mapping[str, str]]) -> str:
    """Return the steps of a plan with their SQL."""
    return "\n".join(
        f"{number}. **{step['name']}**: {step['why']}\n" + (f"```sql\n{step['sql']}\n```\n" if step["sql"] else "")
        for number, step in enumerate(steps, 1)
    )
