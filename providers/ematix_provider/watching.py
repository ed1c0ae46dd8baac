"""What a sensor and its trigger wait for, read from their arguments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from ematix_core.orchestration import RunWatch


def run_watch(*, run_id: str = "", workflow: str = "", job: str = "", since: str = "") -> RunWatch:
    """Return it; `since` is ISO 8601, UTC where it names no zone. Raises DeclarationError for none or several."""
    from ematix_core.orchestration import RunWatch

    if sum(map(bool, (run_id, workflow, job))) != 1:
        raise DeclarationError(
            "exactly one of run_id=, workflow= and job= says what is waited for",
            hint="Write run_id='...' for the end of one run, workflow='nightly' or job='orders' for a success.",
        )
    return RunWatch(run_id=run_id, workflow=workflow, job=job, since=_instant(since) if since else None)


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DeclarationError(f"since={text!r} is no time", hint="Write 2026-01-31T02:00:00+00:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
