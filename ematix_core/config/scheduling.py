"""`[scheduler]`, `[pools]` and `[store] keep`: how a scheduler works, and how long runs are kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ematix_core.config import tables
from ematix_core.config.size import parse_size
from ematix_core.errors import ConfigError, DeclarationError, near
from ematix_core.model.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

EXECUTORS = ("process", "thread")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+")


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    """What `[scheduler]` says."""

    executor: str = "process"
    """Where jobs run: `process`, `thread`, or a URL such as `kubernetes://...`."""
    parallel: int = 8
    """Jobs that run at one time."""
    lease_seconds: float = 10.0
    """How long a scheduler may be silent before another one takes over."""
    memory: str | None = None
    """How much memory a job's process may take, such as `1 GiB`; None for no limit."""


def read_scheduler(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what the file's `[scheduler]` sets, checked. Raises ConfigError."""
    found = tables.table(content, "scheduler", where, [field.name for field in fields(SchedulerSettings)])
    where = f"{where}, [scheduler]"
    checked: dict[str, Any] = {}
    if "executor" in found:
        checked["executor"] = _executor(found["executor"], where)
    if "parallel" in found:
        checked["parallel"] = tables.whole(found["parallel"], "parallel", where, 8)
    if "lease_seconds" in found:
        checked["lease_seconds"] = tables.number(found["lease_seconds"], "lease_seconds", where, 10)
    if "memory" in found:
        checked["memory"] = tables.text(found["memory"], "memory", where, "1 GiB")
        parse_size(checked["memory"], where=where)
    return checked


def read_pools(content: Mapping[str, Any], where: str) -> dict[str, int]:
    """Return the pools of the file's `[pools]` with their sizes. Raises ConfigError."""
    found = tables.table(content, "pools", where)
    return {name: tables.whole(size, name, f"{where}, [pools]", 2) for name, size in found.items()}


def read_keep(value: object, where: str) -> timedelta:
    """Return how long runs are kept. Raises ConfigError."""
    text = tables.text(value, "keep", where, "90 days")
    try:
        return parse_duration(text, "keep")
    except DeclarationError as error:
        raise ConfigError(error.what, where=where, hint=error.hint) from None


def _executor(value: object, where: str) -> str:
    name = tables.text(value, "executor", where, "process")
    if name not in EXECUTORS and not _URL.fullmatch(name):
        hint = f"{near(name, EXECUTORS)} Or give a URL, such as kubernetes://cluster/namespace."
        raise ConfigError(f"unknown executor {name!r}", where=where, hint=hint)
    return name
