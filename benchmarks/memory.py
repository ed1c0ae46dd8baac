"""Peak memory of our jobs with ten times the rows: at most 1.2 times the peak, since tables pass in batches.

`python -m benchmarks.memory --jobs sqlite_to_duckdb merge_duckdb --repeat 1`. Each job runs twice in its folder: the
first load makes the table, the second one adds to it, or compares every row with it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.lineitem import SIZES
from benchmarks.machine import describe
from benchmarks.measure import CommandFailedError, measure
from benchmarks.places import CACHE, HERE, RESULTS, Ours, data

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Usage

JOBS = (
    "sqlite_to_duckdb", "sqlite_to_duckdb_watermark", "parquet_to_duckdb", "csv_to_parquet", "duckdb_to_sqlite",
    "merge_duckdb", "merge_sqlite", "scd2_duckdb", "scd2_sqlite",
)  # fmt: skip
FEW, MANY = "600k", "6M"
MOST = 1.2
LOADS = ("first load", "second load")


def main() -> None:
    """Measure the jobs at both sizes and print peaks and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS, metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the median counts")
    options = parser.parse_args()
    sources = {label: data(label) for label in (FEW, MANY)}
    ours = Ours.prepared()
    facts = describe(ours.python)
    found: dict[str, dict[str, object]] = {}
    print(f"{'peak MiB':42}{FEW:>8}{MANY:>8}{'ratio':>8}", flush=True)
    for job in options.jobs:
        try:
            runs = [
                {label: _loads(job, folder, ours) for label, folder in sources.items()} for _ in range(options.repeat)
            ]
        except CommandFailedError as error:
            print(f"{job:42} failed: {str(error).strip().splitlines()[-1]}", flush=True)
            found[job] = {"failed": str(error)}
            continue
        found[job] = {load: _line(job, load, runs, number) for number, load in enumerate(LOADS)}
    RESULTS.mkdir(exist_ok=True)
    rows = {label: SIZES[label] for label in sources}
    text = json.dumps({**facts, "rows": rows, "at_most": MOST, "jobs": found}, indent=1)
    (RESULTS / "memory.json").write_text(text + "\n", encoding="utf-8")


def _loads(job: str, source: Path, ours: Ours) -> list[Usage]:
    """Run the job twice in an empty folder."""
    folder = CACHE / "run-memory"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    (folder / "in").symlink_to(source)
    shutil.copy(HERE / "ours" / "pipelines.py", folder)
    command = (str(ours.flow), "run", "pipelines.py", job)
    return [measure(command, cwd=folder, log=folder / "log") for _ in LOADS]


def _line(job: str, load: str, runs: list[dict[str, list[Usage]]], number: int) -> dict[str, float | str]:
    """Print one load's peaks and return them with times."""
    few, many = (median(run[label][number].peak_mib for run in runs) for label in (FEW, MANY))
    said = "met" if many <= MOST * few else "missed"
    print(f"{job:28}{load:14}{few:>8.0f}{many:>8.0f}{many / few:>8.2f}  {said}", flush=True)
    seconds = {
        f"seconds_{label}": round(median(run[label][number].seconds for run in runs), 2) for label in (FEW, MANY)
    }
    return {f"peak_mib_{FEW}": round(few), f"peak_mib_{MANY}": round(many), "said": said, **seconds}


if __name__ == "__main__":
    main()
