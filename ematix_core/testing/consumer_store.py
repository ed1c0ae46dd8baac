"""ConsumerConformance: what a store keeps of the consumers of streams."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ematix_core.store import ConsumerState
from ematix_core.store.process import ProcessIdentity
from ematix_core.testing.store import StoreFixtures

if TYPE_CHECKING:
    from ematix_core.store import SchedulerStore

_STATE = ConsumerState(
    consumer_id="host:1:0:clicks:crm.größe", stream="clicks", target="crm.größe", status="running",
    started_at=datetime(2026, 11, 29, 2, 0, tzinfo=UTC),
    stats={
        "records": 2**53, "m1": {"records": 0.5}, "positions": {"clicks:0": 7, "in/a.json": [1, "ü"]}, "behind": None,
    },
)  # fmt: skip


class ConsumerConformance(StoreFixtures):
    """A consumer is one row, which its process writes again and again."""

    def test_consumer_is_noted_with_its_process_and_its_last_word_holds(self, store: SchedulerStore) -> None:
        store.note_consumer(_STATE)
        (found,) = store.consumers("clicks")
        me = ProcessIdentity.current()
        assert (found.pid, found.host, found.machine) == (me.pid, me.host, me.machine)
        assert replace(found, **vars(ProcessIdentity("", "", 0, 0.0)), heartbeat_at=_STATE.heartbeat_at) == _STATE
        store.note_consumer(replace(_STATE, status="failed", error="no answer\n'ü'", stats={"records": 3}))
        (later,) = store.consumers()
        assert (later.status, later.error, later.stats) == ("failed", "no answer\n'ü'", {"records": 3})
        assert later.started_at == found.started_at
        assert later.heartbeat_at >= found.heartbeat_at

    def test_consumers_come_by_stream_target_and_start(self, store: SchedulerStore) -> None:
        for stream, target in (("b", "x"), ("a", "y"), ("a", "x")):
            store.note_consumer(replace(_STATE, consumer_id=f"{stream}:{target}", stream=stream, target=target))
        assert [(one.stream, one.target) for one in store.consumers()] == [("a", "x"), ("a", "y"), ("b", "x")]
        assert [one.target for one in store.consumers("a")] == ["x", "y"]
        assert store.consumers("none") == []
