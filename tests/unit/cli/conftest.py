"""A small project in a folder of its own, and `flow` run inside it."""

from __future__ import annotations

import json
import os
import sys
import time
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


CLICKS = """
import ematix_core as ematix

files = ematix.ObjectStoreConnection("files", path="in")
store = ematix.SQLiteConnection("store", path="store.sqlite")
clicks = ematix.stream("clicks", source=files, source_query="*.json", target=store, target_table="clicks",
    transform_sql="SELECT id, price FROM source", batch_seconds=0.2)
"""


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


def write_old(path: Path, rows: list[tuple[int, float]]) -> None:
    """Write a file of JSON lines that has not changed for a while, as it was there before anybody looked."""
    path.with_suffix(".tmp").write_text("".join(f"{json.dumps({'id': i, 'price': p})}\n" for i, p in rows))
    os.utime(path.with_suffix(".tmp"), (time.time() - 60,) * 2)
    path.with_suffix(".tmp").rename(path)


@pytest.fixture
def clicks(folder: Path) -> Path:
    """Give the test a project with a stream of a folder of JSON lines, one file with four of them, into SQLite."""
    (folder / "pipelines.py").write_text(CLICKS)
    (folder / "ematix.toml").write_text('[project]\nmodules = ["pipelines"]\n')
    (folder / "in").mkdir()
    write_old(folder / "in" / "a.json", [(1, 1.5), (2, 2.5), (3, 3.5), (4, 4.5)])
    return folder


@pytest.fixture
def flow() -> Flow:
    """Return a way to run `flow` without a process of its own."""
    from ematix_core.cli.root import flow as command

    return lambda *arguments: CliRunner().invoke(command, list(arguments))
