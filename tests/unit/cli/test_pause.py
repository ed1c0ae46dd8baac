"""`flow pause` and `flow resume`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.settings import Settings
from ematix_core.store.opening import open_store
from ematix_core.store.records import EventKind

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.usefixtures("project")


def events() -> list[tuple[EventKind, str]]:
    with open_store(Settings.load().store) as store:
        return [(event.kind, event.name) for event in store.events()]


def test_a_unit_is_paused_and_resumed(flow: Flow) -> None:
    assert flow("pause", "nightly").stdout == "nightly: paused; `flow resume nightly` lets it fire again\n"
    assert flow("pause", "nightly", "orders").stdout.splitlines() == [
        "nightly: was paused already",
        "orders: paused; `flow resume orders` lets it fire again",
    ]
    assert flow("resume", "nightly", "nightly").stdout == "nightly: resumed\n"
    assert flow("resume", "nightly").stdout == "nightly: was not paused\n"
    assert events() == [
        (EventKind.PAUSED, "nightly"), (EventKind.PAUSED, "orders"), (EventKind.RESUMED, "nightly"),
    ]  # fmt: skip


def test_json_says_what_changed(flow: Flow) -> None:
    document = {"units": [{"unit": "nightly", "paused": True, "changed": True}]}
    assert json.loads(flow("pause", "nightly", "--json").stdout) == document


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nightyl", "Did you mean 'nightly'? Known: nightly, orders."),
        ("revenue", "job revenue is not started by itself: it runs in nightly"),
        ("pipelines.py", "Name a workflow, job or stream."),
    ],
)
@pytest.mark.parametrize("command", ["pause", "resume"])
def test_what_is_no_unit_is_refused(command: str, name: str, says: str, flow: Flow) -> None:
    result = flow(command, name)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not events()
