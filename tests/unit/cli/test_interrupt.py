"""Signals while jobs run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from ematix_core.cli.interrupt import cancel_on_signal

TWICE = """
import os, signal, time
from ematix_core.cli.interrupt import cancel_on_signal

with cancel_on_signal(lambda: os.write(1, b"rolling back")):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        os.write(1, b", the echo is ignored")
        time.sleep(0.6)
        os.kill(os.getpid(), signal.SIGTERM)
        os.write(1, b", still here")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_cancels(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), cancel_on_signal(lambda: said.append("rolling back")):
        os.kill(os.getpid(), number)
    assert said == ["rolling back"]
    assert signal.getsignal(number) is before


def test_second_signal_leaves_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (130, "rolling back, the echo is ignored")
    assert "left at once" in done.stderr


def test_other_threads_run_without_handlers() -> None:
    entered: list[bool] = []

    def work() -> None:
        with cancel_on_signal(lambda: None):
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]
