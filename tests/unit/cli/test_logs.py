"""`flow logs`: several jobs by time, the end of a log, and what comes while one looks."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.settings import Settings
from ematix_core.store.opening import open_store
from ematix_core.store.records import LogLine, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store.protocol import RunStore
    from tests.unit.cli.conftest import Flow

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def store(folder: object) -> Iterator[RunStore]:
    """Open the store of the test's folder."""
    assert folder
    with open_store(Settings.load().store) as opened:
        yield opened


@pytest.fixture
def nightly(store: RunStore) -> dict[str, str]:
    """Begin a workflow run of two jobs that log in turn; return the ids by name."""
    whole = store.begin_workflow("nightly").workflow_run_id
    ids = {job: store.begin(job, workflow_run_id=whole).run_id for job in ("orders", "customers")}
    for minute, job in enumerate(("orders", "customers", "orders")):
        store.log([LogLine(ids[job], NOON + timedelta(minutes=minute), "INFO", f"line {minute}")])
    return ids | {"nightly": whole}


def end(store: RunStore, ids: dict[str, str]) -> None:
    for job in ("orders", "customers"):
        store.finish(ids[job], Status.SUCCEEDED, seconds=1)
    store.finish_workflow(ids["nightly"], Status.SUCCEEDED)


def messages(text: str) -> list[str]:
    return [line.split(" ", 2)[2] for line in text.splitlines()]


ALL = ["INFO    orders: line 0", "INFO    customers: line 1", "INFO    orders: line 2"]


def test_the_jobs_of_a_workflow_run_are_in_order_of_time(nightly: dict[str, str], flow: Flow) -> None:
    assert messages(flow("logs", nightly["nightly"]).stdout) == ALL
    assert messages(flow("logs", "nightly").stdout) == ALL


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tail", "2"], ALL[1:]),
        (["--tail", "0"], []),
        (["--tail", "9"], ALL),
        (["--since", "2026-01-02T12:01:00Z"], ALL[1:]),
        (["--since", "2026-01-02T12:01:00Z", "--tail", "1"], ALL[2:]),
        (["--since", "1 hour ago"], []),
    ],
)
def test_only_the_end_of_a_log(options: list[str], expected: list[str], flow: Flow) -> None:
    assert messages(flow("logs", "nightly", *options).stdout) == expected


def test_following_what_has_ended_prints_it_all_and_leaves(
    store: RunStore, nightly: dict[str, str], flow: Flow
) -> None:
    end(store, nightly)
    result = flow("logs", "nightly", "--follow")
    assert messages(result.stdout) == ALL
    assert result.stderr == f"run {nightly['nightly']} of nightly: succeeded\n"


def test_following_goes_on_with_new_lines_and_new_jobs_until_the_end(
    store: RunStore, nightly: dict[str, str], flow: Flow
) -> None:
    def go_on() -> None:
        late = store.begin("late", workflow_run_id=nightly["nightly"]).run_id
        store.log([LogLine(late, NOON + timedelta(minutes=4), "WARNING", "line 4")])
        store.log([LogLine(nightly["orders"], NOON + timedelta(minutes=3), "INFO", "line 3")])
        store.finish(late, Status.SUCCEEDED, seconds=1)
        end(store, nightly)

    timer = threading.Timer(1.2, go_on)
    timer.start()
    result = flow("logs", "nightly", "--follow", "--tail", "1")
    timer.join()
    assert result.exit_code == 0
    assert messages(result.stdout) == [ALL[2], "INFO    orders: line 3", "WARNING late: line 4"]


def test_following_as_json_prints_a_document_a_line(store: RunStore, nightly: dict[str, str], flow: Flow) -> None:
    end(store, nightly)
    lines = [json.loads(line) for line in flow("logs", "nightly", "-f", "--json").stdout.splitlines()]
    assert [(line["job"], line["message"]) for line in lines] == [
        ("orders", "line 0"), ("customers", "line 1"), ("orders", "line 2"),
    ]  # fmt: skip
