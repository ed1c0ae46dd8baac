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
        DeltaConnection,
        DuckDBConnection,
        FederatedConnection,
        GlueSchemaRegistryConnection,
        KafkaConnection,
        MemoryConnection,
        MySQLConnection,
        ObjectStoreConnection,
        PostgresConnection,
        SchemaRegistryConnection,
        SQLiteConnection,
        connection,
    )
    from ematix_core.model.format import Format
    from ematix_core.model.function import Udaf, Udf, udaf, udf
    from ematix_core.model.job import Job, job, pipeline, target
    from ematix_core.model.join import Join, Side, join, side
    from ematix_core.model.maintenance import checkpoint, clean_log, optimize, vacuum
    from ematix_core.model.message import inbox, queue, topic, versions
    from ematix_core.model.mode import append, merge, scd2, truncate
    from ematix_core.model.project import Project
    from ematix_core.model.retry import Retry
    from ematix_core.model.stream import Lookup, Stream, lookup, stream, streaming_pipeline
    from ematix_core.model.table import ManagedTable, TableDef, natural_key, pk, table
    from ematix_core.model.transform import deduplicate_by, filter_where, limit, sample, transform
    from ematix_core.model.trigger import all_of, any_of
    from ematix_core.model.window import Window, hopping, session, tumbling
    from ematix_core.model.workflow import Workflow, workflow
    from ematix_core.streaming.result import StreamPlan, StreamResult

    __version__: str

_HOMES = {
    "ematix_core.engine.result": ("JobPlan", "RunResult", "WorkflowResult"),
    "ematix_core.errors": ("EmatixError",),
    "ematix_core.model.connection": (
        "Connection", "DeltaConnection", "DuckDBConnection", "FederatedConnection", "GlueSchemaRegistryConnection",
        "KafkaConnection", "MemoryConnection", "MySQLConnection", "ObjectStoreConnection", "PostgresConnection",
        "SQLiteConnection", "SchemaRegistryConnection", "connection",
    ),
    "ematix_core.model.format": ("Format",),
    "ematix_core.model.function": ("Udaf", "Udf", "udaf", "udf"),
    "ematix_core.model.job": ("Job", "job", "pipeline", "target"),
    "ematix_core.model.join": ("Join", "Side", "join", "side"),
    "ematix_core.model.maintenance": ("checkpoint", "clean_log", "optimize", "vacuum"),
    "ematix_core.model.message": ("inbox", "queue", "topic", "versions"),
    "ematix_core.model.mode": ("append", "merge", "scd2", "truncate"),
    "ematix_core.model.project": ("Project",),
    "ematix_core.model.retry": ("Retry",),
    "ematix_core.model.stream": ("Lookup", "Stream", "lookup", "stream", "streaming_pipeline"),
    "ematix_core.model.table": ("ManagedTable", "TableDef", "natural_key", "pk", "table"),
    "ematix_core.model.transform": ("deduplicate_by", "filter_where", "limit", "sample", "transform"),
    "ematix_core.model.trigger": ("all_of", "any_of"),
    "ematix_core.model.window": ("Window", "hopping", "session", "tumbling"),
    "ematix_core.model.workflow": ("Workflow", "workflow"),
    "ematix_core.streaming.result": ("StreamPlan", "StreamResult"),
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
    "Connection", "DeltaConnection", "DuckDBConnection", "EmatixError", "FederatedConnection", "Format",
    "GlueSchemaRegistryConnection", "Job", "JobPlan", "Join", "KafkaConnection", "Lookup", "ManagedTable",
    "MemoryConnection", "MySQLConnection", "ObjectStoreConnection", "PostgresConnection", "Project", "Retry",
    "RunResult", "SQLiteConnection", "SchemaRegistryConnection", "Side", "Stream", "StreamPlan", "StreamResult",
    "TableDef", "Udaf", "Udf", "Window", "Workflow", "WorkflowResult", "all_of", "any_of", "append", "checkpoint",
    "clean_log", "connection", "deduplicate_by", "ematix", "errors", "expect", "filter_where", "hopping", "inbox",
    "job", "join", "limit", "lookup", "merge", "natural_key", "normalize", "optimize", "pipeline", "pk", "queue",
    "sample", "scd2", "session", "side", "stream", "streaming_pipeline", "table", "target", "topic", "transform",
    "truncate", "tumbling", "types", "udaf", "udf", "vacuum", "versions", "workflow",
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
