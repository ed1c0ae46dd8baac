"""Projects in folders of their own, and real instances of Dagster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from dagster import DagsterInstance

from ematix_core.orchestration import Site
from tests.adapters.dagster.shop import SHOP, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.orchestration import OpenSite


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the module `shop`, and a store beside it."""
    monkeypatch.setenv("EMATIX_STORE", f"sqlite:///{tmp_path}/runs.db")
    write(tmp_path, "shop", SHOP)
    return tmp_path


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Let each test import modules of its own under the names that others have used."""
    before, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before:
        if name in {"shop", "pipelines"}:
            del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as one:
        yield one


@pytest.fixture
def site(folder: Path) -> Iterator[OpenSite]:
    with Site(modules=("shop",), directory=str(folder)).opened() as opened:
        yield opened
