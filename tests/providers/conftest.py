"""A real Airflow with a home of its own: a metadata database, a folder of DAGs, a project of ours beside them.

Airflow reads its settings when it is first imported, so they are made here, before any test module is.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.providers.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

if "airflow" not in sys.modules:  # a home that another process has handed down is not used
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-of-tests-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers look at once: with `dag.test()` there is no worker that has to be cleared away."""
    from ematix_provider import triggers

    monkeypatch.setattr(triggers, "FIRST_LOOK_SECONDS", 0.1)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """Return Airflow's home, with its database."""
    home = Path(os.environ["AIRFLOW_HOME"])
    if not (home / "airflow.db").exists():
        command = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
        subprocess.run(command, check=True, capture_output=True)
    (home / "dags").mkdir(exist_ok=True)
    return home


@pytest.fixture
def place(airflow_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Return a project's folder, to which the connection `ematix_default` leads."""
    extra = {"directory": str(tmp_path), "modules": "pipelines.py", "web_url": "https://flow.example.com/"}
    monkeypatch.setenv("AIRFLOW_CONN_EMATIX_DEFAULT", json.dumps({"conn_type": "ematix", "extra": extra}))
    made = Place(tmp_path, airflow_home / "dags")
    handler = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, handler)  # a task leaves behind a handler that keeps this process from being ended
    made.dag_file.unlink(missing_ok=True)
