"""How fast the scheduler is, and what it costs, beside Airflow in the same run.

`python -m benchmarks.scheduler --rounds 3 --runs 100000 --without airflow`. PostgreSQL takes part when `make servers`
has started it. JSON with every round goes to `benchmarks/results/scheduler.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import describe
from benchmarks.places import RESULTS
from benchmarks.scheduler import airflow, idle, latency, memory, throughput, ticks
from benchmarks.scheduler.figures import HEAD, Figure
from benchmarks.scheduler.site import NO_ENGINE, kinds_of_store
from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.scheduler.airflow import Peer

PARTS = ("latency", "throughput", "trigger", "tick", "idle", "memory")
FEW_WORKERS = 2
"""Airflow is measured with so many tasks at once, one for each CPU of a small machine, and with its default of 32."""


def main() -> None:
    """Measure everything, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts")
    parser.add_argument("--runs", type=int, default=20_000, help="runs over which memory is watched")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which figures of ours")
    parser.add_argument("--without", nargs="+", choices=["airflow"], default=[], help="leave the peer out")
    parser.add_argument("--results", type=Path, default=RESULTS / "scheduler.json", help="where the JSON goes")
    options = parser.parse_args()
    started = time.monotonic()
    facts = describe(Path(sys.executable))
    facts["versions_of_the_store"] = {name: version(name) for name in ("sqlalchemy", "psycopg")}
    peers, said = _peers(options.rounds) if "airflow" not in options.without else ([], {"airflow": "left out"})
    print(HEAD)
    figures, missing = [], {}
    for part in options.parts:
        try:
            for figure in _figures(part, options.rounds, options.runs, _Best(peers)):
                print(figure.line(), flush=True)
                figures.append(figure.plain())
        except (EmatixError, RuntimeError, OSError, queue.Empty, subprocess.SubprocessError) as error:
            missing[part] = f"{type(error).__name__}: {error}"
            print(f"{part}: the rest was not measured: {missing[part]}", flush=True)
    facts |= said | {"load_average_after": [round(value, 1) for value in os.getloadavg()]}
    facts |= {"seconds_in_all": round(time.monotonic() - started), "rounds": options.rounds}
    options.results.parent.mkdir(exist_ok=True)
    text = json.dumps({**facts, "figures": figures, "not_measured": missing}, indent=1)
    options.results.write_text(text + "\n", encoding="utf-8")


class _Best:
    """The better of Airflow's two settings for each figure; None when it was not measured."""

    def __init__(self, peers: list[Peer]) -> None:
        self.task_to_task = min((median(peer.task_to_task) for peer in peers), default=None)
        self.tasks_a_second = max((median(peer.tasks_a_second) for peer in peers), default=None)


def _peers(rounds: int) -> tuple[list[Peer], dict[str, object]]:
    """Measure Airflow, print what it took, and return that with what the JSON says of it."""
    try:
        place = airflow.folder()
        peers = [airflow.measure(place, workers, rounds) for workers in (FEW_WORKERS, None)]
    except airflow.AirflowFailedError as error:
        print(f"Airflow was not measured: {error}")
        return [], {"airflow": f"not measured: {error}"}
    for peer in peers:
        print(
            f"Airflow, parallelism {peer.parallelism}: {median(peer.task_to_task):.0f} ms from task to task, a task of "
            f"nothing {median(peer.task_seconds) * 1000:.0f} ms, {median(peer.tasks_a_second):.1f} tasks/s"
        )
    return peers, {"airflow": {"version": airflow.version(place), "settings": [vars(peer) for peer in peers]}}


def _figures(part: str, rounds: int, runs: int, best: _Best) -> Iterator[Figure]:
    """Yield the figures of a part as they are measured."""
    match part:
        case "latency":
            for executor, wanted in (("thread", 30.0), ("process", 150.0)):
                for store in kinds_of_store():
                    yield Figure(
                        name=f"task to task, {executor} executor, {store}", unit="ms", wanted=wanted,
                        rounds=latency.task_to_task(store, executor, rounds), airflow=best.task_to_task,
                    )  # fmt: skip
        case "throughput":
            for store in kinds_of_store():
                yield from _throughput(store, rounds, best)
        case "trigger":
            for executor in ("thread", "process"):
                for store in kinds_of_store():
                    yield Figure(
                        name=f"trigger to start, {executor} executor, {store}", unit="ms", wanted=100.0,
                        rounds=latency.trigger_to_start(store, executor, rounds),
                    )  # fmt: skip
        case "tick":
            none, every = ticks.one_tick(rounds)
            yield Figure(name="one tick over 10,000 workflows, none due", unit="ms", wanted=200.0, rounds=none)
            yield Figure(name="one tick over 10,000 workflows, all due", unit="ms", wanted=200.0, rounds=every)
        case "idle":
            name = f"idle, {idle.WORKFLOWS} workflows, SQLite"
            yield Figure(name=name, unit="% CPU", wanted=1.0, rounds=idle.idle_cpu("SQLite", rounds))
        case _:
            yield from _memory(runs)


def _throughput(store: str, rounds: int, best: _Best) -> Iterator[Figure]:
    yield Figure(
        name=f"no-op jobs, scheduler and store alone, {store}", unit="/s", wanted=200.0, more_is_better=True,
        rounds=throughput.jobs_a_second(store, NO_ENGINE, rounds), airflow=best.tasks_a_second,
        note="each job is begun and finished in the store, and nothing between; Airflow's tasks are processes",
    )  # fmt: skip
    for executor in ("thread", "process"):
        yield Figure(
            name=f"real jobs into memory, {executor} executor, {store}", unit="/s", more_is_better=True,
            rounds=throughput.jobs_a_second(store, executor, rounds), airflow=best.tasks_a_second,
            note="each job is a whole run of the engine: plan, one row loaded, counts and log recorded",
        )  # fmt: skip


def _memory(runs: int) -> Iterator[Figure]:
    found = memory.resident(runs)
    base = found.get(memory.EARLY[-1])
    for count, mib in found.items():
        last = count == runs and base is not None and count > memory.EARLY[-1]
        yield Figure(
            name=f"memory after {count:,} runs", unit="MiB", rounds=[mib],
            wanted=round(base * memory.MOST, 1) if last and base else None,
            note=f"wanted: at most {memory.MOST:g} times that after {memory.EARLY[-1]:,} runs" if last else "",
        )  # fmt: skip


if __name__ == "__main__":
    main()
