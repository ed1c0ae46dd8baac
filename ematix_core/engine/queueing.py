"""Waiting for systems that admit one process (a DuckDB or SQLite file): jobs queue, and say what they wait for."""

from __future__ import annotations

import hashlib
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ematix_core.engine.cancel import Cancellation

_POLL_SECONDS = 0.05


@contextmanager
def exclusive(
    files: Iterable[Path | None], *, wait: float, tell: Callable[[str], None], cancellation: Cancellation
) -> Iterator[None]:
    """Hold the files for this job alone, among all ematix jobs of this machine.

    Files are taken in one order, so that two jobs never wait for each other. `tell` gets a line as soon as there is
    something to wait for. Raises LockedError after `wait` seconds. A killed process lets go by itself.
    """
    deadline = time.monotonic() + wait
    with ExitStack() as held:
        for path in sorted({path.resolve() for path in files if path is not None}):
            held.enter_context(_one(path, deadline, wait, tell, cancellation))
        yield


@contextmanager
def _one(
    path: Path, deadline: float, wait: float, tell: Callable[[str], None], cancellation: Cancellation
) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(_lock_file(path), thread_local=False)
    told = False
    while True:
        cancellation.check()
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"waited {wait:g} s for {path}, which another job holds",
                    hint="It admits one writing process. Wait for the other job, or raise the limit with --lock-wait.",
                ) from None
        if not told:
            tell(f"waits for {path.name}, which another job holds (up to {wait:g} s)")
            told = True
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _lock_file(path: Path) -> Path:
    """Return a lock file outside the data's folder, which may be read-only or listed by others."""
    folder = Path(tempfile.gettempdir()) / "ematix-locks"
    folder.mkdir(mode=0o1777, exist_ok=True)
    return folder / f"{path.name}-{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.lock"
