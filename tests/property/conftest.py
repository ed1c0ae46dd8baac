"""Prints at the end how many examples the properties had, in the full run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.property import soak

if TYPE_CHECKING:
    from collections.abc import Iterable


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Lift the time limit in the full run: 3,000 examples of one property take about 13 minutes of CPU."""
    if soak.SOAK:
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.timeout(0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if soak.SOAK and soak.TRIED:
        terminalreporter.section("examples tried")
        for name, number in soak.TRIED.items():
            terminalreporter.write_line(f"{number:>6} {name}")
        terminalreporter.write_line(f"{sum(soak.TRIED.values()):>6} in all")
