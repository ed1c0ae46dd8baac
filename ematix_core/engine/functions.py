"""The functions of a job at its source: offered where its SQL runs in ematix, refused where it runs elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends import registry
from ematix_core.engine.sourceless import Sourceless
from ematix_core.errors import UnsupportedError
from ematix_core.sql.calls import first_called

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source
    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job


def open_source(connection: Connection, job: Job) -> Source:
    """Return what reads from the connection; its queries can call the job's functions, where they run in ematix.

    A job without a source of its own may make rows by itself, for a system that cannot be read.
    """
    try:
        source = registry.source(connection)
    except UnsupportedError as error:
        if job.source_connection is not None:
            raise
        return Sourceless(registry.dialect(connection.kind), error)
    if job.functions and (take := getattr(source, "take_functions", None)) is not None:
        try:
            take(job.functions)
        except BaseException:
            source.close()
            raise
    return source


def check_calls(sql: str, source: Source, job: Job) -> None:
    """Raise UnsupportedError for a query that calls a function of the job's in a system that does not know it."""
    if not job.functions or hasattr(source, "take_functions"):
        return
    name = first_called(sql, [one.name for one in job.functions], source.dialect)
    if name:
        raise UnsupportedError(
            f"the SQL of the job runs in {source.dialect.name}, where there is no function {name}",
            where=f"job {job.name}",
            hint="Read what it takes, and derive the column on the way, in the target's table: "
            f"normalize.derive('{name}(...)'). Or call it in the job's function, on the rows of conn.query(...).",
        )
