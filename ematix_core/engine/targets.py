"""Opening a target as it is declared, with the registry of its messages' format."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.backends import registry
from ematix_core.errors import UnsupportedError
from ematix_core.model.connection import named_connection

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Target
    from ematix_core.engine.environment import Environment
    from ematix_core.engine.planning import TargetPlan
    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Target as Declared


def open_target(env: Environment, connection: Connection, declared: Declared, watermark: str | None = None) -> Target:
    """Return what writes the target to its connection; a registry is asked nothing yet, and closed with the target.

    Raises UnsupportedError for a format where there are no messages, and for the watermark of a job where nothing
    remembers it.
    """
    with ExitStack() as stack:
        target = registry.target(connection)
        stack.callback(target.close)
        if watermark and not target.dialect.keeps_loads:
            raise UnsupportedError(
                f"{target.dialect.name} does not remember how far a job has read",
                hint="Leave watermark= out, or read the source by a stream.",
            )
        if declared.format is not None:
            take = getattr(target, "take_format", None)
            if take is None:
                raise UnsupportedError(
                    f"{declared.name} in connection {connection.name} of kind {connection.kind} has rows, no messages",
                    hint="Leave its format out.",
                )
            from ematix_core.codecs.registry import open_registry

            asked = named_connection(declared.format.registry, "registry")
            take(declared.format, open_registry(env.connection(asked)) if asked else None)
        stack.pop_all()
    return target


def checked_schema(target: Target, plan: TargetPlan) -> TargetPlan:
    """Return the plan, with a note when it could not be asked whether messages with its columns may be written.

    Raises what the registry refuses their schema with: DriftError, MissingSourceError, AccessError.
    """
    check = getattr(target, "check_schema", None)
    note = check(plan.table, plan.columns) if check is not None else ""
    return replace(plan, plan=replace(plan.plan, notes=(*plan.plan.notes, note))) if note else plan
