"""`flow doctor`: what is there, what is missing, what is broken."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, NoReturn

import pytest

from ematix_core.backends import registry
from ematix_core.errors import MissingDriverError

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from tests.unit.cli.conftest import Flow


def _findings(flow: Flow) -> dict[str, dict[str, str]]:
    return {one["subject"]: one for one in json.loads(flow("doctor", "--json").stdout)["findings"]}


@pytest.mark.usefixtures("project")
def test_healthy_project_has_nothing_failed(flow: Flow) -> None:
    result = flow("doctor")
    assert result.exit_code == 0, result.output
    found = _findings(flow)
    assert found["modules"]["detail"] == "pipelines: 3 jobs, 1 workflow, 2 connections, 0 tables"
    assert found["store"]["detail"].endswith("runs.db: no run yet")
    assert found["backend duckdb"]["status"] == "ok"


@pytest.mark.usefixtures("project")
def test_missing_driver_comes_with_its_pip_line(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    def source(connection: Connection) -> NoReturn:
        raise MissingDriverError(connection.kind, "some_driver", connection.kind)

    monkeypatch.setattr(registry, "source", source)
    result = flow("doctor")
    assert result.exit_code == 0
    assert 'backend sqlite: Run: pip install "ematix[sqlite]"\n' in result.stdout


def test_broken_module_fails(project: Path, flow: Flow) -> None:
    (project / "pipelines.py").write_text("1 / 0", encoding="utf-8")
    assert flow("doctor").exit_code == 1
    assert "ZeroDivisionError" in _findings(flow)["modules"]["detail"]


def test_store_that_cannot_be_opened_fails(project: Path, flow: Flow) -> None:
    (project / ".ematix").write_text("a file, no folder", encoding="utf-8")
    assert flow("doctor").exit_code == 1
    assert _findings(flow)["store"]["status"] == "failed"


@pytest.mark.usefixtures("folder")
def test_folder_without_a_project_says_how_to_begin(flow: Flow) -> None:
    found = _findings(flow)
    assert found["modules"]["status"] == "missing"
    assert "flow init" in found["modules"]["detail"]
    assert found["settings"]["status"] == "missing"


@pytest.mark.usefixtures("folder")
def test_full_disk_fails(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert flow("doctor").exit_code == 1
