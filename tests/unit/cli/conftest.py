"""A small project in a folder of its own, and `flow` run inside it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

import pytest
from click.testing import CliRunner, Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIPELINES = '''
import ematix_core as ematix

@ematix.connection
class shop:
    kind = "memory"

@ematix.connection
class lake:
    kind = "postgres"
    url = "postgres://ann:${LAKE_PASSWORD}@${LAKE_HOST:-db}/lake"

@ematix.job(source_connection=shop, target="crm.customers", target_connection=lake, mode=ematix.merge(keys=["id"]))
def customers():
    """Customers of the shop."""
    return "SELECT 1 AS id"

@ematix.job(source_connection=shop, target="crm.orders", target_connection=lake, schedule="0 3 * * *")
def orders():
    return "SELECT 1 AS id"

@ematix.job(target="crm.revenue", target_connection=lake, mode="truncate", depends_on=[customers, orders])
def revenue():
    return "SELECT 1 AS id"

nightly = ematix.workflow("nightly", jobs=[customers, revenue], schedule="0 2 * * *", timezone="Europe/Paris")
'''


class Flow(Protocol):
    """Runs `flow` with these arguments in the folder of the test."""

    def __call__(self, *arguments: str) -> Result: ...


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an empty working directory, without the settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EMATIX_STORE", raising=False)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def project(folder: Path) -> Path:
    """Give the test a project with three jobs, a workflow and two connections, found by its settings."""
    (folder / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    (folder / "ematix.toml").write_text('[project]\nmodules = ["pipelines"]\n', encoding="utf-8")
    return folder


@pytest.fixture
def flow() -> Flow:
    """Return a way to run `flow` without a process of its own."""
    from ematix_core.cli.root import flow as command

    return lambda *arguments: CliRunner().invoke(command, list(arguments))
