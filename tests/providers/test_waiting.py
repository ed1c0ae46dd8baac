"""Waiting for runs: the sensor, in a worker and deferred, and its trigger."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest
from ematix_provider.triggers import EmatixTrigger

from ematix_core.errors import DeclarationError
from ematix_core.store import Status
from tests.providers.place import state, xcom

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.providers.place import Place

DAG = """
from datetime import timedelta
from airflow.sdk import DAG
from ematix_provider.sensors import EmatixRunSensor

with DAG("waits", schedule=None) as dag:
    EmatixRunSensor(task_id="it", poke_interval=0.5, {arguments})
"""


def later(act: Callable[[], object], seconds: float = 3.0) -> threading.Thread:
    def wait() -> None:
        time.sleep(seconds)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("how", ["deferrable=True", "deferrable=False", "deferrable=False, mode='reschedule'"])
def test_the_sensor_waits_for_the_end_of_a_run(place: Place, how: str) -> None:
    with place.opened() as site:
        run = site.store.begin("orders")
        thread = later(lambda: site.store.finish(run.run_id, Status.SUCCEEDED, seconds=1.0))
        waited = place.run(DAG.format(arguments=f"run_id='{run.run_id}', {how}"))
        thread.join()
    assert waited.state == "success"
    assert xcom(waited, "it") == run.run_id


def test_a_run_that_fails_fails_the_sensor_without_another_try(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    with place.opened() as site:
        run = site.store.begin_workflow("nightly", unit=True)
        thread = later(lambda: site.store.finish_workflow(run.workflow_run_id, Status.FAILED, error="job daily: no"))
        waited = place.run(DAG.format(arguments=f"run_id='{run.workflow_run_id}', retries=3"))
        thread.join()
    assert waited.state == "failed"
    assert f"run {run.workflow_run_id}: failed. job daily: no" in "".join(capfd.readouterr())


def test_a_run_that_is_not_there_fails_the_sensor(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert place.run(DAG.format(arguments="run_id='nothing'")).state == "failed"
    assert "there is no run 'nothing'" in "".join(capfd.readouterr())


def test_a_success_counts_from_since_on_and_an_earlier_one_does_not(place: Place) -> None:
    with place.opened() as site:
        first = site.store.begin("orders")
        site.store.finish(first.run_id, Status.SUCCEEDED, seconds=1.0)
        failed = site.store.begin("orders")

        def act() -> None:
            site.store.finish(failed.run_id, Status.FAILED, seconds=1.0)
            time.sleep(1)
            second = site.store.begin("orders")
            site.store.finish(second.run_id, Status.SUCCEEDED, seconds=1.0)

        thread = later(act)
        waited = place.run(DAG.format(arguments="job='orders'"))
        thread.join()
        latest = site.store.latest("orders")
    assert latest is not None
    assert xcom(waited, "it") == latest.run_id != first.run_id


def test_a_sensor_gives_up_after_its_timeout(place: Place) -> None:
    waited = place.run(DAG.format(arguments="workflow='nightly', deferrable=False, timeout=1, retries=3"))
    assert (waited.state, state(waited, "it")) == ("failed", "failed")


def test_what_is_waited_for_has_to_be_one_thing(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert place.run(DAG.format(arguments="workflow='nightly', job='orders'")).state == "failed"
    assert "exactly one of run_id=, workflow= and job=" in "".join(capfd.readouterr())


def test_the_trigger_is_the_same_after_it_was_sent(place: Place) -> None:
    one = EmatixTrigger(job="orders", since="2026-01-31", directory=str(place.folder), poll_seconds=0.1)
    path, arguments = one.serialize()
    assert path == "ematix_provider.triggers.EmatixTrigger"
    assert EmatixTrigger(**arguments).serialize() == one.serialize()


def test_a_trigger_whose_arguments_are_wrong_fails_by_name(place: Place) -> None:
    async def first() -> object:
        return await anext(EmatixTrigger(job="orders", since="yesterday", directory=str(place.folder)).run())

    with pytest.raises(DeclarationError, match="since='yesterday' is no time"):
        asyncio.run(first())
