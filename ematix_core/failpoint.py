"""Failpoints: named places before and after every external effect, where a test can kill the process.

In production a failpoint costs one comparison. Environment variables, read once, arm them:

- `EMATIX_FAILPOINT=name` or `name#3`: SIGKILL this process at the (third) time that the point is reached; with
  `EMATIX_FAILPOINT_SIGNAL=STOP` it is stopped there, until somebody sends SIGCONT.
- `EMATIX_FAILPOINT_TRACE=file`: append the name of every point reached, one a line, to find out which exist.

The crash harness in `ematix_core.testing.crash` uses the last to list the points of a scenario and the first to
die at each of them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

_ARMED, _, _NTH = os.environ.get("EMATIX_FAILPOINT", "").partition("#")
_SIGNAL = signal.Signals[f"SIG{os.environ.get('EMATIX_FAILPOINT_SIGNAL', 'KILL')}"]
_TRACE = os.environ.get("EMATIX_FAILPOINT_TRACE", "")
_ACTIVE = bool(_ARMED or _TRACE)
_reached: Counter[str] = Counter()
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Mark a place beside an external effect, such as `duckdb.commit.before`; does nothing unless armed."""
    if not _ACTIVE:
        return
    with _lock:
        _reached[name] += 1
        if _TRACE:
            with Path(_TRACE).open("a", encoding="utf-8") as trace:
                trace.write(f"{name}\n")
        if name == _ARMED and _reached[name] == int(_NTH or 1):
            os.kill(os.getpid(), _SIGNAL)
