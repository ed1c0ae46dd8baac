"""Stopping a step: the load is rolled back, and the record says that it was cancelled."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from dagster import DagsterExecutionInterruptedError
from ematix_dagster.stopping import stoppable

from ematix_core.errors import CancelledError
from ematix_core.orchestration import Cancellation, Status
from tests.adapters.dagster.shop import write

if TYPE_CHECKING:
    from pathlib import Path

    from dagster import DagsterInstance

    from ematix_core.orchestration import OpenSite

SLOW = """
import os, pathlib, signal, threading, time
import pyarrow as pa
import ematix_core as ematix

lake = ematix.SQLiteConnection("lake", path="lake.db")

@ematix.job(target="slow", target_connection=lake)
def slow():
    def batches():
        for n in range(600):
            if n == 3:  # as Dagster does when somebody terminates the run
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            yield pa.record_batch({"n": [n]})
    return pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())

flow = ematix.workflow("flow", jobs=[slow], schedule="0 2 * * *")
"""


def test_a_step_that_is_terminated_is_rolled_back(folder: Path, instance: DagsterInstance, site: OpenSite) -> None:
    from ematix_dagster import to_definitions

    write(folder, "pipelines", SLOW)
    job = to_definitions("pipelines", directory=folder).resolve_job_def("flow")
    begun = time.monotonic()
    with pytest.raises(DagsterExecutionInterruptedError):
        job.execute_in_process(instance=instance)

    assert time.monotonic() - begun < 30
    (run,) = site.store.runs()
    assert (run.status, run.inserted) == (Status.CANCELLED, 0)


def test_what_is_stopped_ends_before_the_interrupt_goes_on() -> None:
    told: list[str] = []

    def work(cancellation: Cancellation) -> None:
        threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        while cancellation.reason is None:
            time.sleep(0.01)
        time.sleep(0.1)
        told.append("rolled back")
        cancellation.check()

    with pytest.raises(KeyboardInterrupt):
        stoppable(work)
    assert told == ["rolled back"]


def test_errors_of_the_work_come_through() -> None:
    def work(cancellation: Cancellation) -> None:
        cancellation.cancel()
        cancellation.check()

    with pytest.raises(CancelledError):
        stoppable(work)
