"""Parsing a DAG file: what is not loaded, what is not asked, how long it takes, and what a broken project says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from ematix_airflow import to_dags
from ematix_airflow.version import check_airflow

from ematix_core.errors import ProjectError, UnsupportedError
from ematix_core.orchestration import compiled

if TYPE_CHECKING:
    from pathlib import Path

PIPELINES = """
import ematix_core as ematix
lake = ematix.DuckDBConnection("lake", path="lake.duckdb")
for w in range({workflows}):
    jobs, before = [], []
    for j in range(20):
        name = f"w{{w}}_{{j:02}}"
        made = ematix.job(name=name, target=name, target_connection=lake, depends_on=before[-1:] if j % 3 else [])
        jobs.append(made(lambda: "SELECT 1 AS n"))
        before.append(jobs[-1])
    globals()[f"w{{w}}"] = ematix.workflow(f"w{{w}}", jobs=jobs, schedule="0 2 * * *")
"""
MEASURED = """
    import json, sys, time

    import airflow.sdk
    from airflow.sdk import DAG, Asset, AssetAny, AssetWatcher, BaseOperator, TaskGroup, WeightRule

    before = set(sys.modules)
    began = time.process_time()
    from ematix_airflow import to_dags

    dags = to_dags("pipelines", directory=sys.argv[1], recompile="never")
    first = time.process_time() - began
    began = time.process_time()
    to_dags("pipelines", directory=sys.argv[1], recompile="never")
    again = time.process_time() - began
    tasks = sum(len(dag.tasks) for dag in dags.values())
    print(json.dumps({"first": first, "again": again, "tasks": tasks, "loaded": sorted(set(sys.modules) - before)}))
"""


def measured(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURED), folder], capture_output=True, text=True, check=False,
        env={**os.environ, "AIRFLOW_HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def written(folder: Path, text: str) -> Path:
    (folder / "pipelines.py").write_text(text)
    return folder


def test_a_thousand_jobs_are_parsed_in_a_third_of_a_second(tmp_path: Path) -> None:
    compiled(["pipelines"], written(tmp_path, PIPELINES.format(workflows=50)))
    best = min((measured(tmp_path) for _ in range(3)), key=lambda found: found["first"])
    assert best["tasks"] == 1_100
    assert best["first"] < 0.45, "CPU seconds; 0.3 at most on a machine that does nothing else"
    assert best["again"] / 50 < 0.0075, "CPU seconds; 5 ms a workflow of 20 jobs on a machine that does nothing else"


def test_parsing_loads_no_driver_no_sql_library_and_none_of_the_users_modules(tmp_path: Path) -> None:
    compiled(["pipelines"], written(tmp_path, PIPELINES.format(workflows=1)))
    roots = {name.partition(".")[0] for name in measured(tmp_path)["loaded"]}
    heavy = {
        "adbc_driver_manager",
        "alembic",
        "asyncpg",
        "connectorx",
        "duckdb",
        "pandas",
        "pyarrow",
        "pymysql",
        "sqlglot",
    }
    assert not roots & (heavy | {"pipelines"})


def test_a_module_that_cannot_be_imported_here_is_no_hindrance_while_its_compiled_file_is_fresh(tmp_path: Path) -> None:
    only_once = 'from pathlib import Path\nPath("compiled").touch(exist_ok=False)\n'
    compiled(["pipelines"], written(tmp_path, only_once + PIPELINES.format(workflows=1)))
    assert list(to_dags("pipelines", directory=tmp_path)) == ["w0"]


def test_a_compiled_file_that_is_missing_or_stale_is_named_with_the_remedy(tmp_path: Path) -> None:
    written(tmp_path, PIPELINES.format(workflows=1))
    with pytest.raises(ProjectError, match=r"no compiled project .*pipelines\.ematix\.json(.|\n)*flow compile"):
        to_dags("pipelines", directory=tmp_path, recompile="never")
    to_dags("pipelines", directory=tmp_path)
    written(tmp_path, PIPELINES.format(workflows=2))
    with pytest.raises(ProjectError, match=r"is stale:(.|\n)*pipelines\.py has changed(.|\n)*flow compile"):
        to_dags("pipelines", directory=tmp_path, recompile="never")
    assert sorted(to_dags("pipelines", directory=tmp_path)) == ["w0", "w1"], "in development it is made anew"


def test_a_broken_project_raises_and_makes_no_empty_list(tmp_path: Path) -> None:
    written(tmp_path, "import nothing_of_that_name\n")
    with pytest.raises(ProjectError, match="nothing_of_that_name"):
        to_dags("pipelines", directory=tmp_path)
    written(tmp_path, PIPELINES.format(workflows=1).replace('"0 2 * * *"', '"often"'))
    with pytest.raises(ProjectError, match="no cron pattern"):
        to_dags("pipelines", directory=tmp_path)


def test_modules_are_found_beside_the_dag_file(tmp_path: Path) -> None:
    written(tmp_path, PIPELINES.format(workflows=1))
    script = tmp_path / "dags.py"
    script.write_text(
        'from ematix_airflow import to_dags\nprint([dag.fileloc for dag in to_dags("pipelines").values()])\n'
    )
    done = subprocess.run(
        [sys.executable, script], cwd="/", capture_output=True, text=True, check=True,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == str([str(script)]), "Airflow shows the DAG file as the code of the DAG"


@pytest.mark.parametrize("version", ["2.11.0", "3.0.6"])
def test_an_airflow_that_is_too_old_is_named_with_the_remedy(version: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"needs Airflow 3\.1 or newer, and this is {version}"):
        check_airflow(version)


@pytest.mark.parametrize("version", ["3.1.0", "3.3.2", "3.4.0b1", "4.0.0"])
def test_an_airflow_that_is_new_enough_is_fine(version: str) -> None:
    check_airflow(version)
