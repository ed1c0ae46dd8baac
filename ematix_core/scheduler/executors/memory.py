"""How much memory a job takes, and the limit on it.

The limit is held by looking at the processes ten times a second, and not by the system. RLIMIT_AS and RLIMIT_DATA count
what is reserved: Arrow's allocator, DuckDB and the stacks of threads reserve far more than they use. A cgroup counts
the right thing, but only root or a systemd unit with `Delegate=` may make one. What is counted are private pages:
those that a job shares with the template process which it was forked from cost nothing.
"""

from __future__ import annotations

from pathlib import Path

import psutil

MIB = 1 << 20


def in_words(size: int) -> str:
    """Return an amount as `700 MiB`."""
    return f"{size / MIB:.0f} MiB"


def above(pid: int, limit: int) -> int | None:
    """Return how much a process and its descendants take if it is more than the limit, else None.

    Costs 30 us for a process far below its limit. Descendants are counted on Linux only.
    """
    family = _family(pid)
    if sum(_resident(process) for process in family) <= limit:
        return None  # private memory is part of it
    private = sum(_private(process) for process in family)
    return private if private > limit else None


def _family(pid: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    ids = [pid]
    while ids:
        try:
            found.append(psutil.Process(ids[-1]))
            ids += _children(ids.pop())
        except psutil.NoSuchProcess:
            ids.pop()
    return found


def _children(pid: int) -> list[int]:
    # psutil would look through all processes of the machine.
    try:
        lists = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it ended meanwhile, or this is not Linux
        return []
    return [int(child) for text in lists for child in text.split()]


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _private(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0
