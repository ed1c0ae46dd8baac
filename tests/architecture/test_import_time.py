"""How long a user waits before anything happens, and which libraries an import may load.

Measured as processor time of a child process: a clock would count the tests that run beside this one too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

FLOW = str(Path(sys.executable).with_name("flow"))
RUNS = 5
IMPORT_SECONDS = 0.150
HELP_SECONDS = 0.250
HEAVY = (
    "adbc_driver_manager", "adbc_driver_sqlite", "alembic", "deltalake", "duckdb", "pyarrow", "sqlalchemy", "sqlglot",
)  # fmt: skip


def _processor_seconds(*command: str) -> float:
    """Run a command with its output thrown away and return the processor time that it took, system time included."""
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[nowhere])
    _, status, usage = os.wait4(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"{' '.join(command)} failed"
    return usage.ru_utime + usage.ru_stime


def _median_seconds(*command: str) -> float:
    """Return the median of some runs, after one that fills the caches."""
    _processor_seconds(*command)
    return statistics.median(_processor_seconds(*command) for _ in range(RUNS))


def test_importing_ematix_core_takes_at_most_150_ms() -> None:
    nothing = _median_seconds(sys.executable, "-c", "pass")
    assert _median_seconds(sys.executable, "-c", "import ematix_core") - nothing <= IMPORT_SECONDS


def test_flow_help_takes_at_most_250_ms() -> None:
    assert _median_seconds(FLOW, "--help") <= HELP_SECONDS


def test_importing_ematix_core_loads_no_driver_and_no_sql_library() -> None:
    program = "import sys, ematix_core; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
