"""The example of the repository is valid, and does under Dagster what its page says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.dagster.e2e.records import rows
from tests.architecture.checkout import ROOT


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a copy of the example."""
    return Path(shutil.copytree(ROOT / "examples" / "dagster", tmp_path / "shop", ignore=shutil.ignore_patterns(".*")))


def dagster(folder: Path, *words: str) -> str:
    """Return what a command of Dagster prints."""
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["dagster", *words], cwd=folder, env={"PATH": path, "HOME": str(folder), "DAGSTER_HOME": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_example_is_valid_and_its_workflow_runs(shop: Path) -> None:
    assert "Validation successful" in dagster(shop, "definitions", "validate")
    dagster(shop, "job", "execute", "-f", "definitions.py", "-j", "nightly")
    assert rows(shop, "SELECT sku FROM products ORDER BY sku", file="warehouse.duckdb") == [
        ("cup",),
        ("pot",),
        ("tea",),
    ]
