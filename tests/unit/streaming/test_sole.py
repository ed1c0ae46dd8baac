"""One consumer of a stream at a time: the lease, its loss, and the wait for a consumer that is dead."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import CancelledError, LeaseLostError, StoreError
from ematix_core.store import open_store
from ematix_core.streaming.control import Control
from ematix_core.streaming.sole import alone
from tests.unit.streaming.rows import ids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.store import Lease, SchedulerStore
    from tests.unit.streaming.conftest import Arrive

_HOLDER = """
import sys, time
from ematix_core.store import open_store
from ematix_core.streaming.control import Control
from ematix_core.streaming.sole import alone
with open_store(sys.argv[1]) as store, alone(store, "clicks", holder="first", control=Control(), seconds=3) as control:
    print("held", flush=True)
    while not control.stopping:
        time.sleep(0.05)
    print("stopping", flush=True)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'control.sqlite'}"


@pytest.fixture
def control_store(url: str) -> Iterator[SchedulerStore]:
    with open_store(url) as store:
        yield store


def _first(url: str) -> subprocess.Popen[str]:
    """Start a consumer in another process, which says when it is one and when it has to stop."""
    return subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_next_consumer_waits_until_the_first_has_ended(control_store: SchedulerStore) -> None:
    told: list[str] = []
    order: list[str] = []

    def second() -> None:
        with alone(control_store, "clicks", holder="second", control=Control(), waiting=told.append):
            order.append("second began")

    with alone(control_store, "clicks", holder="first", control=Control()) as control:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1.2)
        assert not control.stopping
        order.append("first ends")
    thread.join(10)
    assert order == ["first ends", "second began"]
    (text,) = told
    assert text.startswith("another consumer of stream clicks is at work, or was until now: first, process ")


def test_streams_of_other_names_do_not_wait(control_store: SchedulerStore) -> None:
    with (
        alone(control_store, "clicks", holder="a", control=Control()),
        alone(control_store, "views", holder="b", control=Control()) as control,
    ):
        assert not control.stopping


def test_a_wait_can_be_stopped(control_store: SchedulerStore) -> None:
    stopped = Control()
    stopped.stop()
    with (
        alone(control_store, "clicks", holder="first", control=Control()),
        pytest.raises(CancelledError, match="stopped while it waited for another consumer: first, process"),
        alone(control_store, "clicks", holder="second", control=stopped),
    ):
        raise AssertionError


def test_a_killed_consumer_s_lease_lapses_and_is_not_taken_before(control_store: SchedulerStore, url: str) -> None:
    with _first(url) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        time.sleep(4)  # longer than the lease: it is renewed
        lease = control_store.lease("stream:clicks")
        first.kill()
        assert lease is not None
        began = time.monotonic()
        with alone(control_store, "clicks", holder="second", control=Control(), seconds=3):
            assert 1.5 < time.monotonic() - began < 6


def test_a_consumer_that_was_asleep_stops_before_it_goes_on(control_store: SchedulerStore, url: str) -> None:
    with _first(url) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        first.send_signal(signal.SIGSTOP)
        with alone(control_store, "clicks", holder="second", control=Control(), seconds=3) as control:
            first.send_signal(signal.SIGCONT)
            out, error = first.communicate(timeout=20)
            assert out == "stopping\n"
            assert "LeaseLostError" in error
            assert not control.stopping


class _Mute:
    """A store that stops answering."""

    def __init__(self, store: SchedulerStore) -> None:
        self._store = store
        self.acquire_lease, self.lease, self.release_lease = store.acquire_lease, store.lease, store.release_lease

    def renew_lease(self, *_: object) -> Lease | None:
        raise StoreError("no answer")


def test_a_consumer_whose_store_does_not_answer_rolls_back_before_its_lease_is_over(
    control_store: SchedulerStore, files: Connection, store: Connection, arrive: Arrive
) -> None:
    stream = ematix.stream("clicks", source=files, source_query="*.json", target=store, target_table="clicks")
    arrive({"id": 1})
    began = time.monotonic()
    with (
        pytest.raises(LeaseLostError, match="was not renewed for 6 s"),
        alone(_Mute(control_store), "clicks", holder="first", control=Control(), seconds=9) as control,  # type: ignore[arg-type]  # of a store what it needs
    ):
        stream.consume(control=control)
    assert time.monotonic() - began < 9
    assert ids(store) == [1]
