"""Heartbeats: sent while the block lasts, and how a request to cancel is heard."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import StoreError
from ematix_core.store import beating, recording
from ematix_core.store.process import ProcessIdentity

if TYPE_CHECKING:
    from ematix_core.store import SchedulerStore


def test_beating_sends_heartbeats_until_the_block_ends(store: SchedulerStore) -> None:
    run = store.begin("orders")
    with beating(store, run.run_id, every=0.01):
        deadline = datetime.now(UTC) + timedelta(seconds=20)
        while store.run(run.run_id).heartbeat_at == run.heartbeat_at:
            assert datetime.now(UTC) < deadline
    last = store.run(run.run_id).heartbeat_at
    time.sleep(0.05)
    assert store.run(run.run_id).heartbeat_at == last


def test_what_is_logged_is_written_while_the_run_goes_on(store: SchedulerStore) -> None:
    run = store.begin("orders")
    logger = logging.Logger("test.store.slow")  # noqa: LOG001 - one of its own, that no other test logs to
    with recording(store, run.run_id, logger) as recorder, beating(store, run.run_id, meanwhile=recorder.flush):
        logger.info("the only line for a long time")
        deadline = datetime.now(UTC) + timedelta(seconds=20)
        while not store.logs(run.run_id):
            assert datetime.now(UTC) < deadline
    assert not store.logs(run.run_id, skip=1)


@pytest.mark.parametrize("of", ["run", "workflow"])
def test_a_request_to_cancel_is_heard_once(store: SchedulerStore, of: str) -> None:
    workflow = store.begin_workflow("nightly", unit=True)
    run = store.begin("orders", workflow_run_id=workflow.workflow_run_id)
    heard = threading.Event()
    calls = []

    def cancelled() -> None:
        calls.append(1)
        heard.set()

    with beating(store, run.run_id, every=0.01, cancelled=cancelled):
        assert not heard.wait(0.1)
        store.cancel(run.run_id if of == "run" else workflow.workflow_run_id)
        assert heard.wait(20)
        beat = store.run(run.run_id).heartbeat_at
        while store.run(run.run_id).heartbeat_at <= beat + timedelta(seconds=0.05):
            time.sleep(0.01)
    assert calls == [1]


def test_leaving_does_not_wait_for_the_next_heartbeat(store: SchedulerStore) -> None:
    begun = time.monotonic()
    for _ in range(20):
        with beating(store, "no run", every=60):
            pass
    assert time.monotonic() - begun < 5


def test_a_heartbeat_that_fails_is_tried_again(
    store: SchedulerStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = store.begin("orders")
    beat, failures = store.heartbeat, [StoreError("the store is away")]

    def heartbeat(run_id: str) -> bool:
        if failures:
            raise failures.pop()
        return beat(run_id)

    monkeypatch.setattr(store, "heartbeat", heartbeat)
    with beating(store, run.run_id, every=0.01):
        deadline = time.monotonic() + 20
        while store.run(run.run_id).heartbeat_at == run.heartbeat_at:
            assert time.monotonic() < deadline
    assert "the store is away" in caplog.text


def test_a_forked_process_has_an_identity_of_its_own() -> None:
    me = ProcessIdentity.current()
    assert ProcessIdentity.current() is me
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may go on in here
        os.write(writer, str(ProcessIdentity.current().pid).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 20)) == child != me.pid
    os.close(reader)
    os.close(writer)
