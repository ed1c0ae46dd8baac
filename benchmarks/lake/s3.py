"""Whole-process time and memory of moves within an S3 server, beside a raw client that copies the same bytes.

`python -m benchmarks.lake.s3 --rows 1M 6M --rounds 3`. A table of files and a Delta table are written from a Parquet
file in the bucket. Three figures in alternation: ours in the bucket, ours in a folder, and obstore copying the file
(each byte comes to the client and goes back). The goal is for what the bucket adds to the folder: no more than 1.3
times the copy. results/lake_s3.json has every run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.lineitem import SIZES
from benchmarks.machine import describe
from benchmarks.measure import Usage, measure
from benchmarks.places import CACHE, HERE, RESULTS, Ours, data
from benchmarks.servers import URLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOAL = 1.3
MOVES = ("parquet_to_files", "parquet_to_delta")
_BUCKET, _FOLDER, _RAW = "ours, bucket", "ours, folder", "raw client"


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", nargs="+", choices=SIZES, default=["1M", "6M"])
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    url = os.environ.get("EMATIX_TEST_S3_URL") or json.loads(URLS.read_text(encoding="utf-8"))["s3"]
    ours = Ours.prepared()
    facts, found = describe(ours.python), []
    for label in asked.rows:
        place = _Place(ours, url, label)
        for move in MOVES:
            found.append(place.compare(move, asked.rounds))
            print(_said(found[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    content = json.dumps({**facts, "goal": GOAL, "moves": found}, indent=1)
    (RESULTS / "lake_s3.json").write_text(content + "\n", encoding="utf-8")


class _Place:
    """One size of the data, in the bucket and in a folder."""

    def __init__(self, ours: Ours, url: str, label: str) -> None:
        self._ours = ours
        self._rows = SIZES[label]
        self._file = data(label) / "lineitem.parquet"
        self._bytes = self._file.stat().st_size
        self._home = CACHE / "s3"
        self._env = {**os.environ, "BENCH_S3_URL": url, "BENCH_PREFIX": f"bench-{uuid4().hex[:12]}"}
        self._raw("put", self._file)

    def compare(self, move: str, rounds: int) -> dict[str, Any]:
        """Return what each of the three took, in alternation."""
        runs: dict[str, list[Usage]] = {_BUCKET: [], _FOLDER: [], _RAW: []}
        contenders: dict[str, Callable[[], Usage]] = {
            _BUCKET: lambda: self._flow(f"{move}_in_bucket"),
            _FOLDER: lambda: self._flow(f"{move}_in_folder"),
            _RAW: lambda: self._raw("copy"),
        }
        for _ in range(rounds):
            for name, run in contenders.items():
                runs[name].append(run())
        seconds = {name: median(run.seconds for run in each) for name, each in runs.items()}
        return {
            "move": move, "rows": self._rows, "bytes": self._bytes, "seconds": seconds,
            "peak_mib": {name: max(run.peak_mib for run in each) for name, each in runs.items()},
            "added_by_the_bucket_in_copies": (seconds[_BUCKET] - seconds[_FOLDER]) / seconds[_RAW],
            "met": seconds[_BUCKET] - seconds[_FOLDER] <= GOAL * seconds[_RAW],
            "runs": {name: [asdict(run) for run in each] for name, each in runs.items()},
        }  # fmt: skip

    def _flow(self, job: str) -> Usage:
        shutil.rmtree(self._home, ignore_errors=True)
        (self._home / "in").mkdir(parents=True)
        (self._home / "in" / "lineitem.parquet").hardlink_to(self._file)
        shutil.copy(HERE / "ours" / "lake_s3.py", self._home)
        env = {**self._env, "BENCH_RUN": uuid4().hex[:12]}
        return measure([str(self._ours.flow), "run", "lake_s3.py", job], cwd=self._home, env=env, log=CACHE / "s3.log")

    def _raw(self, what: str, *arguments: Path) -> Usage:
        script = str(HERE / "peers" / "s3_copy.py")
        command = [str(self._ours.python), script, what, *map(str, arguments)]
        return measure(command, env=self._env, log=CACHE / "s3.log")


def _said(found: dict[str, Any]) -> str:
    lines = [f"{found['move']}, {found['rows']:,} rows, {found['bytes'] / 1e6:.0f} MB"]
    for name, seconds in found["seconds"].items():
        lines.append(
            f"  {name:16}{seconds:>8.2f} s{found['rows'] / seconds:>13,.0f} rows/s{found['peak_mib'][name]:>8.0f} MiB"
        )
    added = found["added_by_the_bucket_in_copies"]
    lines.append(f"  the bucket adds {added:.2f} times the copy, goal {GOAL}: {'met' if found['met'] else 'MISSED'}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
