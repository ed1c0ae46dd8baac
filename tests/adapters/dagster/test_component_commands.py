"""The real `dg` finds the component, scaffolds it, checks it and lists what it makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PYPROJECT = """
[project]
name = "shop-dagster"
version = "0.1"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop_dagster"
"""
DEFINITIONS = """
from pathlib import Path

from dagster import definitions, load_from_defs_folder

@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


class Project:
    """A project of Dagster in a folder, and `dg` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.component = folder / "src" / "shop_dagster" / "defs" / "shop"
        self.component.parent.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PYPROJECT)
        for name, text in {"__init__.py": "", "defs/__init__.py": "", "definitions.py": DEFINITIONS}.items():
            (folder / "src" / "shop_dagster" / name).write_text(text)

    def dg(self, *words: str, code: int = 0) -> str:
        """Return what a command of `dg` prints. Raises AssertionError for another exit code."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.folder),
            "DAGSTER_HOME": str(self.folder), "PYTHONPATH": str(self.folder / "src"), "COLUMNS": "200",
        }  # fmt: skip
        (self.folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        done = subprocess.run(
            ["dg", *words], cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def say(self, attributes: str) -> None:
        """Write the component's YAML."""
        self.component.mkdir(exist_ok=True)
        (self.component / "defs.yaml").write_text(f"type: ematix_dagster.EmatixProject\n\nattributes:\n{attributes}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "shop")


def test_a_scaffolded_component_is_valid_and_lists_its_assets_job_and_sensor(project: Project) -> None:
    project.dg("scaffold", "defs", "ematix_dagster.EmatixProject", "shop")
    assert "ematix_dagster.EmatixProject" in (project.component / "defs.yaml").read_text()
    project.dg("check", "yaml")
    assert "WARNING" not in project.dg("check", "defs")
    found = json.loads(project.dg("list", "defs", "--json"))
    assert [one["asset_key"] for one in found["assets"]] == ["warehouse/numbers"]
    assert [one["name"] for one in found["jobs"]] == ["hourly"]
    assert [one["name"] for one in found["sensors"]] == ["ematix_triggers"]


def test_a_module_is_named_when_it_is_scaffolded(project: Project) -> None:
    project.dg("scaffold", "defs", "ematix_dagster.EmatixProject", "shop", "--module", "pipelines", "--directory", "..")
    assert (project.component / "defs.yaml").read_text().split() == [
        "type:", "ematix_dagster.EmatixProject", "attributes:", "module:", "pipelines", "directory:", "..",
    ]  # fmt: skip


def test_dg_knows_the_component_by_its_entry_point(project: Project) -> None:
    assert "ematix_dagster.EmatixProject" in project.dg("list", "components")


def test_an_unknown_attribute_is_shown_in_the_yaml(project: Project) -> None:
    project.say("  module: pipelines.py\n  moduls: orders.py\n")
    said = project.dg("check", "yaml", code=1)
    assert "defs.yaml:5" in said
    assert "moduls" in said


def test_a_broken_project_is_shown_with_its_problems_and_what_to_do(project: Project) -> None:
    project.say("  module: pipelines.py\n")
    (project.component / "pipelines.py").write_text(
        "import ematix_core as ematix\n"
        "warehouse = ematix.DuckDBConnection('warehouse', path='warehouse.duckdb')\n"
        "orders = ematix.job(name='orders', target='orders', target_connection=warehouse)(lambda: 'SELECT 1 AS n')\n"
        "report = ematix.job(name='report', target='report', target_connection=warehouse, depends_on=['ordres'])"
        "(lambda: 'SELECT 1 AS n')\n"
    )
    said = project.dg("check", "defs", code=1)
    assert "job report depends on 'ordres', which is no job" in said
    assert "Did you mean 'orders'?" in said
