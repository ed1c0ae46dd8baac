"""EmatixStreamOperator: its ends, its wait in the triggerer, its facts, and what stopping it leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from ematix_provider.streams import EmatixStreamTrigger

from ematix_core.errors import MissingSourceError
from tests.providers.place import state, xcom

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.providers.place import Place

PROJECT = """
import ematix_core as ematix

@ematix.connection
class files:
    kind = "objects"
    path = "in"

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

clicks = ematix.stream("clicks", source=files, source_query="*.json", target=warehouse, target_table="clicks")
wrong = ematix.stream(
    "wrong", source=files, source_query="*.json", target=warehouse, target_table="wrong",
    transform_sql="SELECT nothing FROM source",
)
"""
REMOTE = """
silent = ematix.KafkaConnection("silent", url="kafka://127.0.0.1:9", options={"timeout": 1})
remote = ematix.stream("remote", source=silent, source_query="t", target=warehouse, target_table="t")
"""
DAG = """
from airflow.sdk import DAG, Asset
from ematix_provider.operators import EmatixStreamOperator

with DAG("one_stream", schedule=None) as dag:
    EmatixStreamOperator(task_id="it", stream="{{{{ '{stream}' }}}}", outlets=[Asset("ematix://a/b")], {arguments})
"""


@pytest.fixture
def inbox(place: Place) -> Place:
    (place.folder / "in").mkdir()
    place.write(PROJECT)
    return place


def arrive(inbox: Place, number: int) -> None:
    half = inbox.folder / "half"
    half.write_text(json.dumps({"id": number}))
    os.utime(half, (time.time() - 600 + number,) * 2)  # one that has just changed is not read at once
    half.rename(inbox.folder / "in" / f"{number}.json")


def dag(arguments: str, stream: str = "clicks") -> str:
    return DAG.format(stream=stream, arguments=arguments)


def when(holds: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Act as soon as something holds, in a thread."""

    def wait() -> None:
        limit = time.monotonic() + 60
        while not holds() and time.monotonic() < limit:
            time.sleep(0.1)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def consumers(inbox: Place) -> list[Any]:
    with inbox.opened() as site:
        return site.store.consumers("clicks")


def test_it_loads_all_there_is_and_its_facts_are_in_xcom(inbox: Place) -> None:
    arrive(inbox, 1)
    arrive(inbox, 2)
    run = inbox.run(dag("until_idle=True"))
    assert run.state == "success"
    facts = xcom(run, "it")
    assert (facts["stream"], facts["records"], facts["inserted"], facts["dead"], facts["restarts"]) == (
        "clicks", 2, 2, 0, 0,
    )  # fmt: skip
    assert facts["positions"] == {"clicks": {"0": [2, 0]}}
    assert xcom(run, "it", "_link_EmatixStreamLink") == "https://flow.example.com/streams/clicks"
    assert inbox.rows("SELECT id FROM clicks ORDER BY id") == [(1,), (2,)]


def test_it_waits_without_a_worker_and_goes_on_when_something_comes(inbox: Place) -> None:
    arrive(inbox, 1)
    rested = when(
        lambda: [one.status for one in consumers(inbox)] == ["stopped"], lambda: arrive(inbox, 2)
    )  # fmt: skip
    run = inbox.run(dag("seconds=24, rest_after=0.5, poll_interval=0.2"))
    rested.join()
    assert run.state == "success"
    facts = xcom(run, "it")
    assert (facts["records"], facts["inserted"]) == (2, 2)
    assert facts["positions"] == {"clicks": {"0": [2, 0]}}
    assert facts["seconds"] < 18, "it was at work for a part of its time"
    assert inbox.rows("SELECT id FROM clicks ORDER BY id") == [(1,), (2,)]


def test_airflow_s_signal_ends_it_and_a_further_try_goes_on(inbox: Place) -> None:
    arrive(inbox, 1)
    at_work = when(
        lambda: [one.stats["records"] for one in consumers(inbox)] == [1], lambda: os.kill(os.getpid(), signal.SIGTERM)
    )
    stopped = inbox.run(dag("deferrable=False"))
    at_work.join()
    assert (stopped.state, state(stopped, "it")) == ("failed", "failed")
    with inbox.opened() as site:
        assert site.store.lease("stream:clicks") is None
    arrive(inbox, 2)
    assert inbox.run(dag("until_idle=True")).state == "success"
    assert inbox.rows("SELECT id FROM clicks ORDER BY id") == [(1,), (2,)]


def test_what_cannot_go_on_is_not_tried_again(inbox: Place, capfd: pytest.CaptureFixture[str]) -> None:
    arrive(inbox, 1)
    run = inbox.run(dag("until_idle=True, retries=3", "wrong"))
    assert (run.state, state(run, "it")) == ("failed", "failed")
    assert "nothing" in "".join(capfd.readouterr())


def trigger(inbox: Place, *, end: Any, seconds: float) -> EmatixStreamTrigger:  # noqa: ANN401 - positions, or none
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return EmatixStreamTrigger(
        stream="clicks", end=end, until=until.isoformat(), directory=str(inbox.folder), state={}, poll_seconds=0.1
    )


def first(waiting: EmatixStreamTrigger) -> Any:  # noqa: ANN401 - an event's payload
    async def one() -> Any:  # noqa: ANN401 - an event's payload
        try:
            return (await anext(waiting.run())).payload
        finally:
            await waiting.cleanup()

    return asyncio.run(one())


def test_the_trigger_is_the_same_after_it_was_sent(inbox: Place) -> None:
    one = trigger(inbox, end={"clicks:0": 7}, seconds=5)
    path, arguments = one.serialize()
    assert path == "ematix_provider.streams.EmatixStreamTrigger"
    assert EmatixStreamTrigger(**json.loads(json.dumps(arguments))).serialize() == one.serialize()


def test_the_trigger_fires_when_the_source_has_more_or_the_time_is_over(inbox: Place) -> None:
    arrive(inbox, 1)
    assert first(trigger(inbox, end={"0": [1, 0, {}]}, seconds=2)) == {"new": False, "state": {}}
    assert first(trigger(inbox, end={"0": [0, 0, {}]}, seconds=60)) == {"new": True, "state": {}}


def test_the_trigger_waits_for_the_end_of_a_pause(inbox: Place) -> None:
    with inbox.opened() as site:
        site.store.pause("clicks")
        assert first(trigger(inbox, end=None, seconds=2)) == {"new": False, "state": {}}
        site.store.resume("clicks")
        assert first(trigger(inbox, end=None, seconds=60)) == {"new": True, "state": {}}


def test_a_source_that_is_gone_ends_the_wait_and_one_that_does_not_answer_does_not(
    inbox: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    inbox.write(PROJECT + REMOTE)
    until = (datetime.now(UTC) + timedelta(seconds=6)).isoformat()
    remote = EmatixStreamTrigger(
        stream="remote", end={}, until=until, directory=str(inbox.folder), state={"a": 1}, poll_seconds=0.1
    )
    assert first(remote) == {"new": False, "state": {"a": 1}}
    assert "does not answer, asking again" in "".join(capfd.readouterr())
    (inbox.folder / "in").rmdir()
    with pytest.raises(MissingSourceError, match="there is no folder"):
        first(trigger(inbox, end={"0": [1, 0, {}]}, seconds=60))
