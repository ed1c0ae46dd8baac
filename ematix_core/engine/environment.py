"""What a run needs from outside: project, settings, secrets, clock, progress, found once and handed down."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ematix_core.config.connections import find_connection, with_sources
from ematix_core.config.redact import Redactor
from ematix_core.config.secrets import resolve_connection
from ematix_core.config.settings import Settings
from ematix_core.engine.progress import Silent
from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.engine.progress import Progress
    from ematix_core.model.connection import Connection, ConnectionLookup
    from ematix_core.model.job import Job, Target

CLOCK_VARIABLE = "EMATIX_CLOCK"


def now() -> datetime:
    """Return the time in UTC; `EMATIX_CLOCK` (ISO 8601) fixes it, for tests that compare whole tables."""
    fixed = os.environ.get(CLOCK_VARIABLE)
    return datetime.fromisoformat(fixed).astimezone(UTC) if fixed else datetime.now(UTC)


@dataclass(frozen=True)
class Environment:
    """Where a run looks things up and reports to.

    `lock_wait`: seconds to wait for a file that another job holds. `clock`: gives the time in UTC.
    """

    project: ConnectionLookup | None = None
    settings: Settings = field(default_factory=Settings.load)
    progress: Progress = field(default_factory=Silent)
    redactor: Redactor = field(default_factory=Redactor)
    clock: Callable[[], datetime] = now
    lock_wait: float = 60.0

    def connection(self, reference: Connection | str) -> Connection:
        """Return the connection with its secrets resolved. Raises UnknownConnectionError, SecretError."""
        declared = self.project.connections if self.project else {}
        found = find_connection(reference, declared, self.settings) if isinstance(reference, str) else reference
        return resolve_connection(with_sources(found, declared, self.settings), redactor=self.redactor)

    def target_connection(self, job: Job, target: Target) -> Connection:
        """Return a target's connection; default the job's source connection."""
        reference = target.connection or job.source_connection
        if reference is None:
            raise DeclarationError(
                f"target {target.name} has no connection", where=f"job {job.name}",
                hint="Pass target_connection= (a connection or its name).",
            )  # fmt: skip
        return self.connection(reference)

    def source_connection(self, job: Job) -> Connection:
        """Return the source's connection; default that of the first target."""
        if job.source_connection is not None:
            return self.connection(job.source_connection)
        return self.target_connection(job, job.targets[0])
