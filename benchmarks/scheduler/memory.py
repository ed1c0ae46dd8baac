"""Whether a scheduler's memory grows with the runs that it has seen: `python -m benchmarks.scheduler.memory RUNS`.

A process of its own, so that nothing else is counted. It prints a line of JSON for each of the counts.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil

from benchmarks.places import HERE
from benchmarks.scheduler.site import NO_ENGINE, Site, new_store

if TYPE_CHECKING:
    from collections.abc import Iterator

EARLY = (2_000, 10_000)
MOST = 1.05
"""So many times the memory after 10,000 runs may be there at the end: caches fill, and pages come and go."""


def resident(runs: int) -> dict[int, float]:
    """Return the MiB of a new process after 2,000, 10,000 and `runs` runs of jobs in 10 a workflow run."""
    command = [sys.executable, "-m", "benchmarks.scheduler.memory", str(runs)]
    said = subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {line["runs"]: line["mib"] for line in map(json.loads, said.splitlines())}


def _watch(counts: list[int]) -> Iterator[dict[str, float]]:
    process = psutil.Process()
    done, started = 0, time.monotonic()
    with new_store("SQLite") as url, Site(url, NO_ENGINE) as site:
        for count in counts:
            while done < count:
                done += len(site.run("pulse"))
            gc.collect()
            mib = process.memory_info().rss / 2**20
            yield {"runs": count, "mib": round(mib, 1), "seconds": round(time.monotonic() - started, 1)}


def main() -> None:
    """Print the memory after each of the counts."""
    last = int(sys.argv[1])
    for line in _watch(sorted({last, *(count for count in EARLY if count < last)})):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
