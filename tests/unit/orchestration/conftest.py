"""What is compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.orchestration.shop import CONNECTIONS, JOBS, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a folder with the package `shop`."""
    write(tmp_path, {"shop/__init__.py": "", "shop/connections.py": CONNECTIONS, "shop/jobs.py": JOBS})
    return tmp_path
