"""How fast the scheduler is, and what it costs, beside Airflow in the same run.

`python -m benchmarks.scheduler --rounds 3 --runs 100000 --without airflow`. PostgreSQL takes part when `make servers`
has started it. JSON with every round goes to `benchmarks/results/scheduler.json`.
"""

from __future__ import annotations

import argparse
import json
import os
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
    figures = []
    for figure in _figures(options.parts, options.rounds, options.runs, _Best(peers)):
        print(figure.line(), flush=True)
        figures.append(figure.plain())
    facts |= said | {"load_average_after": [round(value, 1) for value in os.getloadavg()]}
    facts["seconds_in_all"] = round(time.monotonic() - started)
    options.results.parent.mkdir(exist_ok=True)
    text = json.dumps({**facts, "rounds": options.rounds, "figures": figures}, indent=1)
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


def _figures(parts: list[str], rounds: int, runs: int, best: _Best) -> Iterator[Figure]:
    """Yield the figures as they are measured."""
    stores = kinds_of_store()
    if "latency" in parts:
        for executor, wanted in (("thread", 30.0), ("process", 150.0)):
            for store in stores:
                yield Figure(
                    name=f"task to task, {executor} executor, {store}", unit="ms", wanted=wanted,
                    rounds=latency.task_to_task(store, executor, rounds), airflow=best.task_to_task,
                )  # fmt: skip
    if "throughput" in parts:
        for store in stores:
            yield from _throughput(store, rounds, best)
    if "trigger" in parts:
        for executor in ("thread", "process"):
            for store in stores:
                yield Figure(
                    name=f"trigger to start, {executor} executor, {store}", unit="ms", wanted=100.0,
                    rounds=latency.trigger_to_start(store, executor, rounds),
                )  # fmt: skip
    if "tick" in parts:
        none, every = ticks.one_tick(rounds)
        yield Figure(name="one tick over 10,000 workflows, none due", unit="ms", wanted=200.0, rounds=none)
        yield Figure(name="one tick over 10,000 workflows, all due", unit="ms", wanted=200.0, rounds=every)
    if "idle" in parts:
        yield Figure(
            name="idle, 100 workflows, SQLite", unit="% CPU", wanted=1.0, rounds=idle.idle_cpu("SQLite", rounds)
        )
    if "memory" in parts:
        yield from _memory(runs)


def _throughput(store: str, rounds: int, best: _Best) -> Iterator[Figure]:
    yield Figure(
        name=f"no-op jobs, scheduler and store alone, {store}", unit="/s", wanted=200.0, more_is_better=True,
        rounds=throughput.jobs_a_second(store, NO_ENGINE, rounds), airflow=best.tasks_a_second,
        note="each job is begun and finished in the store, and nothing between",
    )  # fmt: skip
    yield Figure(
        name=f"real jobs into memory, thread executor, {store}", unit="/s", more_is_better=True,
        rounds=throughput.jobs_a_second(store, "thread", rounds), airflow=best.tasks_a_second,
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
