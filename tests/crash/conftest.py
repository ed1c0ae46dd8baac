"""Prints at the end where processes were killed, in the full run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash import tally

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if tally.KILLS or tally.NOTES:
        terminalreporter.section("kills")
        for name, (kills, again) in tally.KILLS.items():
            terminalreporter.write_line(f"{kills:>6} {name}, run again after {again}")
        for line in tally.NOTES:
            terminalreporter.write_line(line)
        if tally.KILLS:
            terminalreporter.write_line(f"{sum(kills for kills, _ in tally.KILLS.values()):>6} at failpoints in all")
