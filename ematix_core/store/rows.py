"""Between rows of the tables and records; what a run is from the outside: an open one whose process is dead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ematix_core.store.process import is_alive
from ematix_core.store.records import Attempt, Event, LogLine, Run, Status, WorkflowRun

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Row

_Owned = TypeVar("_Owned", Run, WorkflowRun)


def run_record(row: Row[Any]) -> Run:
    """Return the record as it is stored."""
    values = _values(row, Run)
    return Run(**values | {"targets": tuple(values["targets"])})


def workflow_run_record(row: Row[Any]) -> WorkflowRun:
    """Return the record as it is stored."""
    values = _values(row, WorkflowRun)
    lists = {name: tuple(values[name] or ()) for name in ("cause", "jobs")}
    return WorkflowRun(**values | lists | {"parameters": values["parameters"] or {}})


def attempt_record(row: Row[Any]) -> Attempt:
    """Return the record."""
    return Attempt(**_values(row, Attempt))


def log_line_record(row: Row[Any]) -> LogLine:
    """Return the record."""
    return LogLine(**_values(row, LogLine))


def event_record(row: Row[Any]) -> Event:
    """Return the record."""
    return Event(**_values(row, Event))


def as_seen(record: _Owned, now: datetime) -> _Owned:
    """Return an open record whose process is dead as interrupted, any other as it is."""
    if record.status is Status.RUNNING and not is_alive(record, record.heartbeat_at, now):
        return replace(record, status=Status.INTERRUPTED)
    return record


def storable(text: str) -> str:
    """Return the text with what not every database takes written out: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def redacted(value: Any, mask: Callable[[str], str]) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return plain data with every text in it masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: redacted(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, mask) for item in value]
    return value


def _values(row: Row[Any], record: type[Run | WorkflowRun | Attempt | LogLine | Event]) -> dict[str, Any]:
    values = row._asdict()
    return {name: values[name] for name in record.__dataclass_fields__}
