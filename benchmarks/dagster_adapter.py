"""What ematix costs in Dagster: the time to load a code location, and an asset's beyond `job.run()` and Dagster's own.

`python -m benchmarks.dagster_adapter --rounds 5`, in the environment of the tests.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dagster import AssetsDefinition, DagsterInstance, asset, materialize
from ematix_dagster import EmatixResource, ematix_assets

from benchmarks.machine import describe
from benchmarks.places import RESULTS
from ematix_core import Project

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = 20
WORKFLOWS = 50
_PLAIN = f"""
import json, sys, time
began = time.perf_counter()
from dagster import AssetSelection, Definitions, RetryPolicy, SkipReason, asset, define_asset_job, sensor
bare = time.perf_counter()

def made(name, upstream):
    @asset(
        name=name, key_prefix=["lake"], deps=[["lake", one] for one in upstream], group_name=name[:3],
        description="SELECT 1 AS n", kinds={{"sqlite"}}, retry_policy=RetryPolicy(max_retries=2),
        metadata={{"dagster/table_name": name, "mode": "append"}},
    )
    def load():
        return None
    return load

assets, jobs = [], []
for w in range({WORKFLOWS}):
    names = [f"w{{w:02}}_{{j:02}}" for j in range({JOBS})]
    assets += [made(name, names[j - 1 : j] if j % 3 else []) for j, name in enumerate(names)]
    jobs.append(define_asset_job(f"w{{w:02}}", selection=AssetSelection.assets(*(["lake", name] for name in names))))

@sensor(jobs=jobs)
def triggers():
    return SkipReason("nothing")

definitions = Definitions(assets=assets, jobs=jobs, sensors=[triggers])
Definitions.validate_loadable(definitions)
print(json.dumps([bare - began, time.perf_counter() - bare]))
"""
_OURS = """
import json, sys, time
import dagster
from dagster import Definitions
began = time.perf_counter()
from ematix_dagster import to_definitions
definitions = to_definitions("many", directory=sys.argv[1], recompile="never")
made = time.perf_counter()
Definitions.validate_loadable(definitions)
print(json.dumps([made - began, time.perf_counter() - began]))
"""
_MANY = f"""
import ematix_core as ematix
lake = ematix.SQLiteConnection("lake", path="lake.db")
for w in range({WORKFLOWS}):
    jobs = []
    for j in range({JOBS}):
        name = f"w{{w:02}}_{{j:02}}"
        upstream = jobs[-1:] if j % 3 else []
        made = ematix.job(name=name, target=name, target_connection=lake, depends_on=upstream, retries=2)
        jobs.append(made(lambda: "SELECT 1 AS n"))
    globals()[f"w{{w:02}}"] = ematix.workflow(f"w{{w:02}}", jobs=jobs, schedule="0 2 * * *")
"""
_ROWS = f"""
import ematix_core as ematix
import pyarrow as pa
lake = ematix.SQLiteConnection("lake", path="lake.db")
rows = pa.table({{"n": [1]}})
jobs = [
    ematix.job(name=f"j{{j}}", target=f"t{{j}}", target_connection=lake)(lambda: rows) for j in range({JOBS})
]
globals().update({{job.name: job for job in jobs}})
flow = ematix.workflow("flow", jobs=jobs, schedule="0 2 * * *")
"""


def main() -> None:
    """Measure both and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts")
    rounds = parser.parse_args().rounds
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with TemporaryDirectory(prefix="bench-adapter-") as name:
        folder = Path(name)
        (folder / "many.py").write_text(_MANY)
        (folder / "rows.py").write_text(_ROWS)
        os.environ["EMATIX_STORE"] = f"sqlite:///{folder}/runs.db"
        figures = loading(folder, rounds) | overhead(folder, rounds)
    for what, value in figures.items():
        print(f"{what:60}{value:>9.1f} ms")
    ratio = figures["to_definitions, 1,000 jobs"] / figures["plain Dagster, 1,000 assets"]
    print(f"{'to_definitions / plain Dagster':60}{ratio:>9.2f}")
    RESULTS.mkdir(exist_ok=True)
    report = {**describe(Path(sys.executable)), "milliseconds": figures, "ratio": round(ratio, 3)}
    (RESULTS / "dagster_adapter.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def loading(folder: Path, rounds: int) -> dict[str, float]:
    """Return what a code location takes beyond `import dagster`, until all of it is resolved; in new processes."""
    flow = Path(sys.executable).with_name("flow")
    subprocess.run([flow, "compile", "--module", "many"], cwd=folder, check=True, capture_output=True)
    found = []
    for _ in range(rounds):
        (bare, plain), (made, ours) = (_in_process(code, folder) for code in (_PLAIN, _OURS))
        found.append((bare, plain, made, ours))
    bare, plain, made, ours = (median(column) * 1000 for column in zip(*found, strict=True))
    return {
        "import dagster": bare, "plain Dagster, 1,000 assets": plain, "to_definitions, 1,000 jobs": ours,
        "of that, until Dagster resolves them": made,
    }  # fmt: skip


def _in_process(code: str, folder: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True, text=True, cwd=folder)
    return [float(figure) for figure in json.loads(done.stdout.splitlines()[-1])]


def overhead(folder: Path, rounds: int) -> dict[str, float]:
    """Return what an asset takes: one that does nothing, `job.run()`, the asset of the job, all in this process."""
    os.chdir(folder)
    ours = ematix_assets("flow", "rows", directory=folder)
    plain = [_nothing(number) for number in range(JOBS)]
    jobs = list(Project.load("rows").jobs.values())
    found = []
    with DagsterInstance.ephemeral() as instance:
        for _ in range(rounds + 1):
            noop = _an_asset(lambda: materialize(plain, instance=instance))
            native = _an_asset(lambda: [job.run() for job in jobs])
            whole = _an_asset(lambda: materialize(ours, instance=instance, resources={"ematix": EmatixResource()}))
            found.append((noop, native, whole, whole - native - noop))
    noop, native, whole, beyond = (median(column) for column in zip(*found[1:], strict=True))  # the first round imports
    return {
        "an asset that does nothing (materialize)": noop, "job.run()": native,
        "an asset of the job (materialize)": whole, "the adapter, beyond both": beyond,
    }  # fmt: skip


def _nothing(number: int) -> AssetsDefinition:
    @asset(name=f"nothing_{number}")
    def load() -> None: ...

    return load


def _an_asset(run: Callable[[], object]) -> float:
    """Return the milliseconds that each of the assets takes when all of them are made."""
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1000 / JOBS


if __name__ == "__main__":
    main()
