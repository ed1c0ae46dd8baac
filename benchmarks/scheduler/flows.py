"""What the scheduler is given to run: a project, loaded by the benchmarks and by `flow scheduler`.

A workflow waits for the success of a job of its own, `go_<workflow>`, which the benchmarks record themselves.
"""

from __future__ import annotations

import os

import pyarrow as pa

import ematix_core as ematix

CHAIN = 20
WIDE = 400
SOME = 100
"""For jobs that are processes, of which there are fewer a second."""
PULSE = 10
IDLE = int(os.environ.get("BENCH_IDLE_WORKFLOWS", "0"))
"""Workflows beside those above that wait all the time, for the figure of a scheduler without work."""
memory = ematix.MemoryConnection("memory")


def job(name: str, *depends_on: str) -> ematix.Job:
    """Return the cheapest real job: one row into memory."""

    @ematix.job(name=name, target=name, target_connection=memory, depends_on=depends_on)
    def body() -> pa.Table:
        return pa.table({"n": [1]})

    return body


def chained(name: str, length: int) -> list[ematix.Job]:
    """Return jobs that run one after another."""
    return [job(f"{name}{n}", *([f"{name}{n - 1}"] if n else [])) for n in range(length)]


def waiting(name: str, jobs: list[ematix.Job]) -> ematix.Workflow:
    """Return a workflow that waits for `go_<name>`."""
    globals()[f"go_{name}"] = job(f"go_{name}")
    return ematix.workflow(name, jobs=jobs, triggered_by=[f"go_{name}"])


def idle(number: int) -> ematix.Workflow:
    """Return a workflow of three jobs that is not due today: half of them wait for a time, half for another one."""
    jobs = chained(f"idle{number}_", 3)
    if number % 2:
        return ematix.workflow(f"idle{number}", jobs=jobs, triggered_by=[f"idle{number - 1}"])
    return ematix.workflow(f"idle{number}", jobs=jobs, schedule="0 0 29 2 *")


one = waiting("one", [job("one0")])
chain = waiting("chain", chained("chain", CHAIN))
wide = waiting("wide", [job(f"wide{n}") for n in range(WIDE)])
some = waiting("some", [job(f"some{n}") for n in range(SOME)])
pulse = waiting("pulse", [job(f"pulse{n}") for n in range(PULSE)])
globals().update({f"idle{number}": idle(number) for number in range(IDLE)})
