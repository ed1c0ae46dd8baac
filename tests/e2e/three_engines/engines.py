"""The three engines as the tests use them: start a workflow by hand, fill slices, and look at what comes of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tests.adapters.airflow.standalone import standalone
from tests.adapters.dagster.e2e import pages
from tests.adapters.dagster.e2e.dev import Dev
from tests.e2e.three_engines.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.adapters.airflow.standalone import Airflow

FLOW = Path(sys.executable).with_name("flow")
DAYS = ("2026-03-28", "2026-03-29", "2026-03-30")
"""Slices in Europe/Berlin; the clock changes on the second."""
_PATIENCE = 300.0
_LOOK_SECONDS = 0.3


class Engine(Protocol):
    """One way to run the project; it is at work until its context ends."""

    @property
    def world(self) -> World:
        """What it works on."""
        ...

    def start(self, workflow: str) -> None:
        """Start a workflow by hand, whatever its triggers say."""
        ...

    def fill(self, workflow: str) -> None:
        """Run the workflow once for each of `DAYS`."""
        ...


class Native:
    """`flow scheduler`, and `flow run` beside it."""

    def __init__(self, world: World) -> None:
        self.world = world

    def start(self, workflow: str) -> None:
        self._flow("run", workflow)

    def fill(self, workflow: str) -> None:
        self._flow("backfill", workflow, "--from", DAYS[0], "--to", "2026-03-31", "--by", "day")

    def _flow(self, *words: str) -> None:
        """Run a command to its end. It may fail: so do jobs of the story."""
        subprocess.run([FLOW, *words], cwd=self.world.folder, capture_output=True, check=False)


class UnderAirflow:
    """`airflow standalone`, asked by its REST API."""

    def __init__(self, world: World, airflow: Airflow) -> None:
        self.world = world
        self._airflow = airflow

    def start(self, workflow: str) -> None:
        self._airflow.start(workflow)

    def fill(self, workflow: str) -> None:
        limits = {"from_date": "2026-03-27T23:00:00Z", "to_date": "2026-03-29T22:00:00Z"}
        self._airflow.call("POST", "backfills", {"dag_id": workflow, "max_active_runs": 1, **limits})


class UnderDagster:
    """`dagster dev`, asked by GraphQL."""

    def __init__(self, world: World, dev: Dev) -> None:
        self.world = world
        self._dev = dev

    def start(self, workflow: str) -> None:
        pages.launch(self._dev, workflow)

    def fill(self, workflow: str) -> None:
        pages.backfill_job(self._dev, workflow, DAYS)


@contextmanager
def native(folder: Path) -> Iterator[Engine]:
    """Yield our own scheduler at work."""
    world = World(folder)
    with (folder / "scheduler.log").open("wb") as log:
        process = subprocess.Popen([FLOW, "scheduler"], cwd=folder, stdout=log, stderr=log)
    try:
        yield Native(world)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextmanager
def airflow(folder: Path) -> Iterator[Engine]:
    """Yield Airflow at work."""
    world = World(folder / "dags")
    with standalone(folder, world.folder) as running:
        assert running.get("importErrors")["import_errors"] == []
        yield UnderAirflow(world, running)


@contextmanager
def dagster(folder: Path) -> Iterator[Engine]:
    """Yield Dagster at work."""
    world = World(folder)
    dev = Dev(folder)
    try:
        dev.start()
        yield UnderDagster(world, dev)
    finally:
        dev.stop()


ENGINES: Mapping[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "native": native, "Airflow": airflow, "Dagster": dagster,
}  # fmt: skip


def settle(world: World, wanted: Mapping[str, list[str]]) -> None:
    """Wait until these workflows have had these runs. Fails with what there is instead."""
    deadline = time.monotonic() + _PATIENCE
    while (found := {name: world.statuses(name) for name in wanted}) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(_LOOK_SECONDS)
