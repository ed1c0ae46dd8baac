"""A project in a folder of its own, a store in a SQLite file, and an executor of each kind."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.scheduler.executors.process import ProcessExecutor
from ematix_core.store import open_store
from tests.unit.scheduler.executors.harness import Place
from tests.unit.scheduler.executors.jobs import write_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ematix_core.store import RunStore


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a project, without the settings of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("EMATIX_STORE", raising=False)
    write_project(tmp_path)
    return tmp_path


@pytest.fixture
def url(folder: Path) -> str:
    return f"sqlite:///{folder}/runs.db"


@pytest.fixture
def store(url: str) -> Iterator[RunStore]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def processes(folder: Path, store: RunStore, url: str) -> Callable[..., AbstractContextManager[Place]]:
    """Make a place whose executor starts processes, with these options."""

    @contextmanager
    def make(**options: Any) -> Iterator[Place]:  # noqa: ANN401 - options of the executor
        executor = ProcessExecutor(store=store, modules=["pipelines.py"], directory=str(folder), **options)
        try:
            yield Place(folder, store, url, executor)
        finally:
            executor.close()

    return make


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a place whose processes a module's tests share: a template takes a second to start."""
    folder = tmp_path_factory.mktemp("shared")
    write_project(folder)
    url = f"sqlite:///{folder}/runs.db"
    with pytest.MonkeyPatch.context() as patch, open_store(url) as store:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.delenv("EMATIX_STORE", raising=False)
        executor = ProcessExecutor(store=store, modules=["pipelines.py"], directory=str(folder))
        yield Place(folder, store, url, executor)
        executor.close()


@pytest.fixture
def place(shared: Place) -> Iterator[Place]:
    """Return the shared place, with nothing left of the tests before."""
    for written in (*shared.folder.glob("*.pid"), *shared.folder.glob("*.txt")):
        written.unlink()
    yield shared
    for started in shared.started:
        started.running.kill()
        started.ending()
    shared.started.clear()
