"""Messages of ours as events of Airflow, and the DAG that takes them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
from ematix_provider import messages
from ematix_provider.messages import EmatixMessageTrigger

from ematix_core.store import Status

if TYPE_CHECKING:
    from tests.providers.place import Place

PROJECT = """
import pyarrow as pa
import ematix_core as ematix

@ematix.connection
class drop:
    kind = "objects"
    path = "drop"

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.job(target="texts", target_connection=warehouse)
def texts(run):
    return pa.table({"text": [run.parameters["message"]]})

imports = ematix.workflow("imports", jobs=[texts], on_message=ematix.inbox("drops", connection=drop, path="in/*.txt"))
nightly = ematix.workflow("nightly", jobs=[texts], schedule="0 2 * * *")
"""


@pytest.fixture
def inbox(place: Place) -> Place:
    place.write(PROJECT)
    (place.folder / "drop" / "in").mkdir(parents=True)
    return place


def events(trigger: Any, count: int, seconds: float = 20.0) -> list[Any]:  # noqa: ANN401 - any trigger
    """Return the payloads of so many events, or of those that came in so many seconds."""
    found: list[Any] = []

    async def collect() -> None:
        async for event in trigger.run():
            found.append(event.payload)
            if len(found) == count:
                return

    async def limited() -> None:
        try:
            await asyncio.wait_for(collect(), seconds)
        except TimeoutError:
            pass
        finally:
            await trigger.cleanup()

    asyncio.run(limited())
    return found


def test_a_message_is_told_of_through_airflow_s_own_trigger_of_queues(inbox: Place) -> None:
    (inbox.folder / "drop/in/a.txt").write_text("hello")
    trigger = MessageQueueTrigger(scheme="ematix", workflow="imports", poll_seconds=0.1).trigger
    assert isinstance(trigger, EmatixMessageTrigger)
    (event,) = events(trigger, 1)
    assert event["workflow"] == "imports"
    assert event["position"].startswith("in/a.txt@")
    path, arguments = trigger.serialize()
    assert path == "ematix_provider.messages.EmatixMessageTrigger"
    assert EmatixMessageTrigger(**arguments).serialize() == trigger.serialize()


def test_one_message_at_a_time_and_the_next_when_its_run_has_ended(inbox: Place) -> None:
    for name in "ab":
        (inbox.folder / f"drop/in/{name}.txt").write_text(name)

    def told() -> list[str]:
        found = events(EmatixMessageTrigger(workflow="imports", poll_seconds=0.1), 2, seconds=5)
        return [event["position"].partition("@")[0] for event in found]

    assert told() == ["in/a.txt"]
    with inbox.opened() as site:
        position = next(e.data["position"] for e in site.store.events(names=["imports"]) if e.data)
        run = site.store.begin_workflow("imports", unit=True, message=position)
        assert told() == []
        site.store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
    assert told() == ["in/b.txt"]
    assert (inbox.folder / "drop/in/done/a.txt").read_text() == "a"
    assert not (inbox.folder / "drop/in/a.txt").exists()


def test_a_message_that_nobody_takes_is_told_of_again(inbox: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "AGAIN_SECONDS", 1.0)
    (inbox.folder / "drop/in/a.txt").write_text("hello")
    first, second = events(EmatixMessageTrigger(workflow="imports", poll_seconds=0.1), 2)
    assert first == second
    with inbox.opened() as site:
        assert len(site.store.events(names=["imports"])) == 1


def test_a_source_that_cannot_be_read_is_asked_again(inbox: Place, capfd: pytest.CaptureFixture[str]) -> None:
    (inbox.folder / "drop" / "in").rmdir()
    trigger = EmatixMessageTrigger(workflow="imports", poll_seconds=0.1)

    def repair() -> None:
        (inbox.folder / "drop" / "in").mkdir()
        (inbox.folder / "drop/in/a.txt").write_text("hello")

    timer = threading.Timer(2.0, repair)
    timer.start()
    (event,) = events(trigger, 1)
    timer.join()
    assert event["position"].startswith("in/a.txt@")
    told = "".join(capfd.readouterr())
    assert "imports: no messages can be read, asking again" in told
    assert "there is no folder" in told


def test_a_workflow_without_messages_is_told_of_by_name(inbox: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert inbox.folder.exists()
    assert events(EmatixMessageTrigger(workflow="nightly", poll_seconds=0.1), 1, seconds=1) == []
    assert "nightly runs for no messages" in "".join(capfd.readouterr())
