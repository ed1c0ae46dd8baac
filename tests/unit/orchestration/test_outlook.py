"""What many units are worth asking: as the gate of each would answer, at the cost of what is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import Event as Success
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.orchestration import Gate, Opened, Outlook
from ematix_core.store import Status, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store import SchedulerStore

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = Unit(name="hourly", jobs=(UnitJob("load"),), schedule=Schedule("0 * * * *"))
AFTER = Unit(name="after", jobs=(UnitJob("report"),), trigger=Success("hourly"), priority=1)


@pytest.fixture
def store() -> Iterator[SchedulerStore]:
    with open_store("memory:", now=lambda: BEGINNING) as one:
        yield one


def run(store: SchedulerStore, unit: Unit, moment: datetime) -> str:
    answer = Gate(store, unit, carrier=f"test:{unit.name}", clock=lambda: moment).ask()
    assert isinstance(answer, Opened)
    return answer.run.workflow_run_id


def test_units_are_named_that_are_due_or_run(store: SchedulerStore) -> None:
    outlook = Outlook([HOURLY, AFTER])
    assert outlook.look(store, BEGINNING) == []
    hour = BEGINNING + timedelta(hours=1)
    assert outlook.look(store, hour) == ["hourly"]
    run_id = run(store, HOURLY, hour)
    assert outlook.look(store, hour) == ["hourly"]
    store.finish_workflow(run_id, Status.SUCCEEDED, carrier="test:hourly")
    assert outlook.look(store, hour) == ["after"]
    assert "hourly: succeeded" in outlook.explain("after", hour)


def test_units_count_as_seen_since_the_first_look(store: SchedulerStore) -> None:
    Outlook([HOURLY]).look(store, BEGINNING)
    later = Outlook([HOURLY])
    assert later.look(store, BEGINNING + timedelta(minutes=59)) == []
    assert later.look(store, BEGINNING + timedelta(minutes=60)) == ["hourly"]


def test_another_store_is_looked_at_anew(store: SchedulerStore) -> None:
    outlook = Outlook([HOURLY])
    outlook.look(store, BEGINNING)
    store.announce("s3://landing/orders", "1")
    store.announce("hourly", "1")
    outlook.look(store, BEGINNING + timedelta(hours=1))
    with open_store("memory:", now=lambda: BEGINNING) as empty:
        assert outlook.look(empty, BEGINNING + timedelta(hours=2)) == []
