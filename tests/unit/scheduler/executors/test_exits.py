"""Exit codes and signals in words."""

from __future__ import annotations

import pytest

from ematix_core.scheduler.executors.exits import reason, reason_of_code


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (3 << 8, "ended with exit code 3 without a result"),
        (0, "ended with exit code 0 without a result"),
        (9, "killed by signal 9 (SIGKILL)"),
        (15, "killed by signal 15 (SIGTERM)"),
        (11, "segmentation fault (signal 11)"),
        (6 | 0x80, "aborted by a library (signal 6)"),
        (40, "killed by signal 40 (real-time signal)"),
    ],
)
def test_wait_status_is_told_in_words(status: int, words: str) -> None:
    assert reason(status) == words


def test_exit_code_of_a_signal_is_negative() -> None:
    assert reason_of_code(-9) == "killed by signal 9 (SIGKILL)"
