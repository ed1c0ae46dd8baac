"""Prints at the end how many examples the properties had, in the full run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.property import soak

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if soak.SOAK and soak.TRIED:
        terminalreporter.section("examples tried")
        for name, number in soak.TRIED.items():
            terminalreporter.write_line(f"{number:>6} {name}")
        terminalreporter.write_line(f"{sum(soak.TRIED.values()):>6} in all")
