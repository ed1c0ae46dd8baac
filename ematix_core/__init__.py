"""ematix: declare connections, tables, jobs and workflows once; run them alone, in Airflow or in Dagster.

The public names, and nothing else. They are looked up when first used, so that importing this loads no driver;
`from ematix_core import ematix` is the same namespace.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ematix_core as ematix
    from ematix_core import errors, types
    from ematix_core.engine.result import JobPlan, RunResult, WorkflowResult
    from ematix_core.errors import EmatixError
    from ematix_core.model import check as expect
    from ematix_core.model import normalize
    from ematix_core.model.connection import (
        Connection,
        DuckDBConnection,
        MemoryConnection,
        MySQLConnection,
        ObjectStoreConnection,
        PostgresConnection,
        SQLiteConnection,
        connection,
    )
    from ematix_core.model.job import Job, job, pipeline, target
    from ematix_core.model.message import inbox, queue
    from ematix_core.model.mode import append, merge, scd2, truncate
    from ematix_core.model.project import Project
    from ematix_core.model.retry import Retry
    from ematix_core.model.table import ManagedTable, TableDef, natural_key, pk, table
    from ematix_core.model.transform import deduplicate_by, filter_where, limit, sample, transform
    from ematix_core.model.trigger import all_of, any_of
    from ematix_core.model.workflow import Workflow, workflow

    __version__: str

_HOMES = {
    "ematix_core.engine.result": ("JobPlan", "RunResult", "WorkflowResult"),
    "ematix_core.errors": ("EmatixError",),
    "ematix_core.model.connection": (
        "Connection", "DuckDBConnection", "MemoryConnection", "MySQLConnection", "ObjectStoreConnection",
        "PostgresConnection", "SQLiteConnection", "connection",
    ),
    "ematix_core.model.job": ("Job", "job", "pipeline", "target"),
    "ematix_core.model.message": ("inbox", "queue"),
    "ematix_core.model.mode": ("append", "merge", "scd2", "truncate"),
    "ematix_core.model.project": ("Project",),
    "ematix_core.model.retry": ("Retry",),
    "ematix_core.model.table": ("ManagedTable", "TableDef", "natural_key", "pk", "table"),
    "ematix_core.model.transform": ("deduplicate_by", "filter_where", "limit", "sample", "transform"),
    "ematix_core.model.trigger": ("all_of", "any_of"),
    "ematix_core.model.workflow": ("Workflow", "workflow"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_NAMESPACES = {
    "ematix": "ematix_core",
    "errors": "ematix_core.errors",
    "expect": "ematix_core.model.check",
    "normalize": "ematix_core.model.normalize",
    "types": "ematix_core.types",
}

__all__ = [
    "Connection", "DuckDBConnection", "EmatixError", "Job", "JobPlan", "ManagedTable", "MemoryConnection",
    "MySQLConnection", "ObjectStoreConnection", "PostgresConnection", "Project", "Retry", "RunResult",
    "SQLiteConnection", "TableDef", "Workflow", "WorkflowResult", "all_of", "any_of", "append", "connection",
    "deduplicate_by", "ematix", "errors", "expect", "filter_where", "inbox", "job", "limit", "merge", "natural_key",
    "normalize", "pipeline", "pk", "queue", "sample", "scd2", "table", "target", "transform", "truncate", "types",
    "workflow",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    elif name in _NAMESPACES:
        value = import_module(_NAMESPACES[name])
    elif name == "__version__":
        from importlib.metadata import version

        value = version("ematix")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
