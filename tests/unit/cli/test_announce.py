"""`flow announce`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.settings import Settings
from ematix_core.model.trigger import Event as Success
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.scheduler.triggers import decide
from ematix_core.store.opening import open_store

if TYPE_CHECKING:
    from ematix_core.scheduler.triggers import Decision
    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.usefixtures("project")

LANDED = "s3://landing/orders"


def due() -> list[Decision]:
    unit = Unit(name="load", jobs=(UnitJob("orders"),), trigger=Success(LANDED))
    with open_store(Settings.load().store) as store:
        begun = store.begin_workflow("clock")
        return decide([unit], store.events(), begun.started_at)


def test_what_waits_for_it_fires(flow: Flow) -> None:
    assert not due()
    assert flow("announce", LANDED).stdout == f"{LANDED}: announced\n"
    (decision,) = due()
    assert decision.cause[0].startswith(f"{LANDED} succeeded at ")


def test_told_twice_with_the_same_key_it_counts_once(flow: Flow) -> None:
    assert json.loads(flow("announce", LANDED, "--key", "1", "--json").stdout) == {"name": LANDED, "new": True}
    assert flow("announce", LANDED, "--key", "1").stdout == f"{LANDED}: was announced already\n"
    assert flow("announce", LANDED, "--key", "2").stdout == f"{LANDED}: announced\n"


def test_a_workflow_is_not_announced(flow: Flow) -> None:
    result = flow("announce", "nightly")
    assert result.exit_code == 2
    assert "'nightly' is not the URI of something outside" in result.stderr
    assert "flow run nightly" in result.stderr
