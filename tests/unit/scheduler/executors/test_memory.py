"""How much memory a job takes, and how amounts are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from ematix_core.scheduler.executors import memory

MIB = 1 << 20


def test_memory_of_descendants_counts_and_shared_pages_do_not() -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "eaten = bytes([1]) * (60 << 20)\n"
        "if os.fork() == 0: time.sleep(60)\n"
        "code = 'import time; eaten = bytes([1]) * (60 << 20); print(1, flush=True); time.sleep(60)'\n"
        "subprocess.run([sys.executable, '-c', code])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        used = memory.above(process.pid, 1 * MIB)
        assert used is not None
        assert 60 * MIB < used < 110 * MIB  # its own 60 MiB are shared with the fork, the grandchild's are not
        assert memory.above(process.pid, 300 * MIB) is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_process_that_is_gone_takes_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert memory.above(process.pid, 1) is None
