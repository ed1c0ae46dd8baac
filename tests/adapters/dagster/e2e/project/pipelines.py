"""What the tests run under Dagster and natively: each part shows one thing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

import ematix_core as ematix
from ematix_core import expect
from ematix_core.errors import SourceError, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.engine.body import RunContext

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")
ledger = ematix.SQLiteConnection("ledger", path="ledger.db")
crash = ematix.SQLiteConnection("crash", path="crash.db")
crash_too = ematix.DuckDBConnection("crash_too", path="crash_too.duckdb")
desk = ematix.ObjectStoreConnection("desk", path="desk", format="csv")

LONG = 600.0
"""Seconds; longer than any test waits: who is left waiting is killed."""


class LineDownError(SourceError, Transient):
    """A failure that may go away by itself."""


def first_time(name: str) -> bool:
    """Say whether nobody has asked for this name before, in any process."""
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def wait_for(name: str) -> None:
    """Wait for a file."""
    deadline = time.monotonic() + LONG
    while not Path(name).exists() and time.monotonic() < deadline:
        time.sleep(0.1)


# By hand, or at night: two tables, one made of the other.


@ematix.job(target="customers", target_connection=warehouse, mode=ematix.merge(keys="customer_id"))
def customers() -> pa.Table:
    """Load the customers."""
    return pa.table({"customer_id": [1, 2, 3], "city": ["Lyon", "Nice", "Nice"]})


@ematix.job(target="cities", target_connection=warehouse, mode="truncate", depends_on=[customers])
def cities() -> str:
    """Count the customers of each city."""
    return "SELECT city, count(*) AS customers FROM customers GROUP BY city"


nightly = ematix.workflow("nightly", jobs=[customers, cities], schedule="0 2 * * *", timezone="Europe/Paris")


# A failure that goes away, one that does not, and data that is not as expected.


@ematix.job(target="flaky", target_connection=ledger, retries=2)
def flaky() -> pa.Table:
    """Fail once."""
    if first_time("flaky.tried"):
        raise LineDownError("the network is down")
    return pa.table({"n": [1, 2]})


@ematix.job(target="wrong", target_connection=ledger, retries=2)
def wrong() -> str:
    """Fail in a way that no further attempt mends."""
    raise SourceError("the price list has no prices", hint="Ask the shop for a new one.")


@ematix.job(
    target="checked",
    target_connection=ledger,
    checks=[expect.not_null("n"), expect.row_count(min=10, severity="warn")],
)
def checked() -> pa.Table:
    """Load fewer rows than expected."""
    return pa.table({"n": [1, 2, 3]})


@ematix.job(target="refused", target_connection=ledger, checks=[expect.not_null("n")])
def refused() -> pa.Table:
    """Load a NULL where none may be."""
    return pa.table({"n": [1, None, 3]})


# Slices of time.


@ematix.job(target="daily", target_connection=ledger, mode=ematix.merge(keys="since"))
def daily(run: RunContext) -> pa.Table:
    """Keep which slices there were."""
    return pa.table({"since": [str(run.parameters["slice_start"])], "until": [str(run.parameters["slice_end"])]})


# What the sensor sees: a tick each minute, a success that something waits for, a message.


@ematix.job(target="ticks", target_connection=ledger)
def pulse(run: RunContext) -> pa.Table:
    """Keep which ticks there were."""
    return pa.table({"tick": [str(run.parameters["slice_end"])]})


@ematix.job(target="echoes", target_connection=ledger)
def echo() -> pa.Table:
    """Add a row."""
    return pa.table({"n": [1]})


@ematix.job(target="letters", target_connection=ledger)
def letter(run: RunContext) -> pa.Table:
    """Add the message; one that says so is waited with, until a file of that name is there."""
    text = str(run.parameters["message"]).strip()
    if text.startswith("wait"):
        Path("waiting").touch()
        wait_for("go on")
    return pa.table({"text": [text]})


every_minute = ematix.workflow("every_minute", jobs=[pulse], schedule="* * * * *")
after_it = ematix.workflow("after_it", jobs=[echo], triggered_by=[every_minute])
letters = ematix.workflow("letters", jobs=[letter], on_message=ematix.inbox("in", connection=desk, path="in/*.txt"))


# Processes that are killed in the middle of a load, the first time.


def half_way(name: str) -> Iterator[pa.RecordBatch]:
    """Yield a thousand rows; the first time, write down which process this is and never come to an end."""
    yield pa.record_batch({"n": list(range(500))})
    if first_time(f"{name}.began"):
        Path(f"{name}.pid").write_text(str(os.getpid()), encoding="ascii")
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            time.sleep(0.1)
            yield pa.record_batch({"n": [-1]})
    yield pa.record_batch({"n": list(range(500, 1000))})


@ematix.job(target="killed_and_retried", target_connection=crash, retries=2)
def killed_and_retried() -> Iterator[pa.RecordBatch]:
    """Load a thousand rows; Dagster starts the step again."""
    return half_way("killed_and_retried")


@ematix.job(target="killed", target_connection=crash_too)
def killed() -> Iterator[pa.RecordBatch]:
    """Load a thousand rows; somebody starts it again."""
    return half_way("killed")
