"""Peak memory of our jobs with ten times the rows: at most 1.2 times the peak, since tables pass in batches.

`python -m benchmarks.memory --jobs sqlite_to_duckdb postgres_merge --rounds 1`. `--rows 2M 20M` compares other sizes:
caches grow with few rows, until they are full. Each job runs twice on one target: the first load makes the table, the
second one adds to it, or compares every row with it. Jobs from or to a server may also take no more than 300 MiB. They
need `make servers`, as in `benchmarks.moves`.
"""

from __future__ import annotations

import argparse
import json
import os
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contenders import MOVES
from benchmarks.course import RUN, Course, Sources, clear_folder
from benchmarks.lineitem import SIZES
from benchmarks.machine import describe
from benchmarks.measure import CommandFailedError, measure
from benchmarks.places import RESULTS, Ours, data

if TYPE_CHECKING:
    from benchmarks.measure import Usage

WITH_SERVERS = {move.name: move for move in MOVES if move.servers and move.target != "arrow"}
JOBS = (
    "sqlite_to_duckdb", "sqlite_to_duckdb_watermark", "parquet_to_duckdb", "csv_to_parquet", "duckdb_to_sqlite",
    "merge_duckdb", "merge_sqlite", "scd2_duckdb", "scd2_sqlite", *WITH_SERVERS,
)  # fmt: skip
MOST = 1.2
MOST_MIB = 300
"""For jobs from or to a server."""
LOADS = ("first load", "second load")


def main() -> None:
    """Measure the jobs at both sizes and print peaks and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS, metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--rounds", type=int, default=1, help="rounds; the median counts")
    parser.add_argument(
        "--rows", nargs=2, choices=SIZES, default=("600k", "6M"), metavar=("FEW", "MANY"), help="sizes, tenfold"
    )
    parser.add_argument("--mysql", choices=["mysql", "mariadb"], default="mysql", help="which server stands for MySQL")
    options = parser.parse_args()
    ours = Ours.prepared()
    facts = describe(ours.python)
    few, many = options.rows
    found: dict[str, dict[str, object]] = {}
    print(f"{'peak MiB':42}{few:>8}{many:>8}{'ratio':>8}", flush=True)
    with ExitStack() as stack:
        sources = {
            label: stack.enter_context(Sources(data(label), changed=False, which={"mysql": options.mysql}))
            for label in options.rows
        }
        for job in options.jobs:
            try:
                runs = [
                    {label: _loads(job, source, ours) for label, source in sources.items()}
                    for _ in range(options.rounds)
                ]
            except CommandFailedError as error:
                print(f"{job:42} failed: {str(error).strip().splitlines()[-1]}", flush=True)
                found[job] = {"failed": str(error)}
                continue
            found[job] = {load: _line(job, load, runs, number, few=few, many=many) for number, load in enumerate(LOADS)}
    RESULTS.mkdir(exist_ok=True)
    rows = {label: SIZES[label] for label in sources}
    text = json.dumps({**facts, "rows": rows, "at_most": MOST, "at_most_mib": MOST_MIB, "jobs": found}, indent=1)
    name = "memory.json" if (few, many) == parser.get_default("rows") else f"memory-{few}-{many}.json"
    (RESULTS / name).write_text(text + "\n", encoding="utf-8")


def _loads(job: str, sources: Sources, ours: Ours) -> list[Usage]:
    """Run the job twice on one target that is empty before."""
    command = (str(ours.flow), "run", "pipelines.py", job)
    if job not in WITH_SERVERS:
        clear_folder(sources.data)
        return [measure(command, cwd=RUN, log=RUN / "log") for _ in LOADS]
    course = Course.laid(WITH_SERVERS[job], sources)
    course.clear()
    env = os.environ | course.environment(course.move.phases[0])
    try:
        return [measure(command, cwd=RUN, env=env, log=RUN / "log") for _ in LOADS]
    finally:
        course.close()


def _line(
    job: str, load: str, runs: list[dict[str, list[Usage]]], number: int, *, few: str, many: str
) -> dict[str, float | str]:
    """Print one load's peaks and return them with times."""
    low, high = (median(run[label][number].peak_mib for run in runs) for label in (few, many))
    bounded = job not in WITH_SERVERS or high <= MOST_MIB
    said = "met" if high <= MOST * low and bounded else "missed"
    print(f"{job:28}{load:14}{low:>8.0f}{high:>8.0f}{high / low:>8.2f}  {said}", flush=True)
    seconds = {
        f"seconds_{label}": round(median(run[label][number].seconds for run in runs), 2) for label in (few, many)
    }
    return {f"peak_mib_{few}": round(low), f"peak_mib_{many}": round(high), "said": said, **seconds}


if __name__ == "__main__":
    main()
