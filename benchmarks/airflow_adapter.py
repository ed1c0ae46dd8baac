"""What ematix costs in Airflow: the time to parse a DAG file, and a task's time beyond `job.run()` and Airflow's own.

`python -m benchmarks.airflow_adapter --rounds 5`, in the environment of the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.machine import describe
from benchmarks.places import RESULTS
from ematix_core import Project

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = 20
_PARSED = """
import json, sys, time
began = time.perf_counter()
import airflow.sdk
from airflow.sdk import DAG, Asset, AssetAny, AssetWatcher, BaseOperator, TaskGroup, WeightRule
bare = time.perf_counter()
from ematix_airflow import to_dags
imported = time.perf_counter()
dags = to_dags("many", directory=sys.argv[1], recompile="never")
made = time.perf_counter()
print(json.dumps([bare - began, made - bare, (made - imported) / len(dags)]))
"""
_MANY = f"""
import ematix_core as ematix
lake = ematix.SQLiteConnection("lake", path="lake.db")
for w in range(50):
    jobs = []
    for j in range({JOBS}):
        name = f"w{{w}}_{{j:02}}"
        made = ematix.job(name=name, target=name, target_connection=lake, depends_on=jobs[-1:] if j % 3 else [])
        jobs.append(made(lambda: "SELECT 1 AS n"))
    globals()[f"w{{w}}"] = ematix.workflow(f"w{{w}}", jobs=jobs, schedule="0 2 * * *")
"""
_DAGS = f"""
from pathlib import Path

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from ematix_provider.operators import EmatixJobOperator

with DAG("nothing", schedule=None) as nothing:
    for number in range({JOBS}):
        PythonOperator(task_id=f"t{{number}}", python_callable=lambda: None)
with DAG("ours", schedule=None) as ours:
    for number in range({JOBS}):
        EmatixJobOperator(task_id=f"t{{number}}", job=f"j{{number}}", modules=["rows"])
"""
_ROWS = f"""
import ematix_core as ematix
import pyarrow as pa
lake = ematix.SQLiteConnection("lake", path="lake.db")
rows = pa.table({{"n": [1]}})
for j in range({JOBS}):
    globals()[f"j{{j}}"] = ematix.job(name=f"j{{j}}", target=f"t{{j}}", target_connection=lake)(lambda: rows)
"""


def main() -> None:
    """Measure both and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts")
    rounds = parser.parse_args().rounds
    with TemporaryDirectory(prefix="bench-adapter-") as name:
        folder = Path(name)
        (folder / "many.py").write_text(_MANY)
        (folder / "rows.py").write_text(_ROWS)
        (folder / "airflow_dags.py").write_text(_DAGS)
        os.environ |= {
            "AIRFLOW_HOME": name, "AIRFLOW__CORE__DAGS_FOLDER": name, "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }  # fmt: skip
        figures = parsing(folder, rounds) | overhead(folder, rounds)
    for what, value in figures.items():
        print(f"{what:60}{value:>9.1f} ms")
    RESULTS.mkdir(exist_ok=True)
    report = {**describe(Path(sys.executable)), "milliseconds": figures}
    (RESULTS / "airflow_adapter.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def parsing(folder: Path, rounds: int) -> dict[str, float]:
    """Return what a DAG file of 50 workflows of 20 jobs takes beyond airflow.sdk, each time in a new process."""
    flow = Path(sys.executable).with_name("flow")
    subprocess.run([flow, "compile", "--module", "many"], cwd=folder, check=True, capture_output=True)
    found = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-c", _PARSED, folder], check=True, capture_output=True, text=True, cwd=folder
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    bare, first, each = (median(column) * 1000 for column in zip(*found, strict=True))
    return {"import airflow.sdk": bare, "1,000 jobs, beyond that": first, "a workflow of 20 jobs": each}


def overhead(folder: Path, rounds: int) -> dict[str, float]:
    """Return what a task takes: one that does nothing, `job.run()`, a task of the job, all in this process."""
    airflow = Path(sys.executable).with_name("airflow")
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        subprocess.run([airflow, *command], check=True, capture_output=True)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    from airflow_dags import nothing, ours  # type: ignore[import-not-found]  # written by main

    jobs = list(Project.load("rows").jobs.values())
    found = []
    for _ in range(rounds + 1):
        noop, native, task = _a_task(nothing.test), _a_task(lambda: [job.run() for job in jobs]), _a_task(ours.test)
        found.append((noop, native, task, task - native - noop))
    noop, native, task, beyond = (median(column) for column in zip(*found[1:], strict=True))  # the first round imports
    return {
        "a task that does nothing (dag.test)": noop, "job.run()": native, "a task that runs the job (dag.test)": task,
        "the operator, beyond both": beyond,
    }  # fmt: skip


def _a_task(run: Callable[[], object]) -> float:
    """Return the milliseconds that each of the tasks takes when all of them are run."""
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1000 / JOBS


if __name__ == "__main__":
    main()
