"""A million open groups of a window: `python groups.py keep|restore FOLDER GROUPS`. Prints JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from ematix_core.model.window import tumbling
from ematix_core.streaming.state.entries import pack, unpack
from ematix_core.streaming.windows.stage import WindowStage

BATCH = 122_880
START = int(datetime(2026, 11, 29, tzinfo=UTC).timestamp()) * 1_000_000


def stage() -> WindowStage:
    """Return the window of a day."""
    window = tumbling("1 day", on="seen", by="who", aggregate={"n": "count", "total": "sum(price)"})
    return WindowStage(window, lambda: datetime(2026, 11, 29, 12, tzinfo=UTC))


def batch(first: int, groups: int) -> pa.Table:
    """Return a micro-batch with a record of each of the next users."""
    numbers = range(first, min(first + BATCH, groups))
    seen = pa.array([START + number for number in numbers], pa.int64()).cast(pa.timestamp("us", "UTC"))
    who = pa.array([f"user-{number:09}" for number in numbers])
    return pa.table({"who": who, "price": pa.array([number % 100 for number in numbers]), "seen": seen})


def main() -> None:
    """Keep them, twice so that each has more than one record; or restore them."""
    doing, folder, groups = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    at_work = stage()
    if doing == "keep":
        for first in (*range(0, groups, BATCH), *range(0, groups, BATCH)):
            rows = batch(first, groups)
            at_work.take(rows, at_work.times.newest(rows), [""])
        Path(folder, "state").write_bytes(pack({}, at_work.snapshot()))
        found = {"groups": at_work.state()["groups"]}
    else:
        began = time.perf_counter()
        at_work.restore(unpack(Path(folder, "state").read_bytes()))
        found = {"restore_seconds": round(time.perf_counter() - began, 2)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, f"{doing}_peak_mib": round(peak, 1)}))


if __name__ == "__main__":
    main()
