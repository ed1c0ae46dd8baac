"""What `flow runs watch` shows: runs as they are at one moment, and what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.cli.history import is_open, name_of
from ematix_core.store.records import Run, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store.records import WorkflowRun


@dataclass(frozen=True)
class Watched:
    """A workflow run with the runs of its jobs, or a job's run alone."""

    record: Run | WorkflowRun
    jobs: tuple[Run, ...] = ()

    def named(self) -> Iterator[tuple[str, Run | WorkflowRun]]:
        """Yield the records, each with the name that tells it from the others."""
        yield name_of(self.record), self.record
        for job in self.jobs:
            yield f"{name_of(self.record)}/{job.job}", job


def state(record: Run | WorkflowRun) -> str:
    """Return what is to be said of a record besides its status: rows and seconds, or the error."""
    if record.error:
        return record.error.partition("\n")[0]
    if isinstance(record, Run) and record.status is Status.SUCCEEDED:
        return f"{record.rows_read:,} rows read in {record.seconds:.2f} s"
    if record.cancel_requested and is_open(record):
        return "asked to stop"
    if isinstance(record, Run) and record.attempts > 1:
        return f"attempt {record.attempts}"
    return ""
