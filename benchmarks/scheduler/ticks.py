"""How long one look at very many workflows takes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from ematix_core.model.schedule import Schedule
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.scheduler.triggers import Triggers
from ematix_core.store import Event, EventKind

WORKFLOWS = 10_000
_MET = datetime(2026, 1, 1, 11, 30, tzinfo=UTC)
_TICK = datetime(2026, 1, 1, 12, tzinfo=UTC)


def one_tick(rounds: int) -> tuple[list[float], list[float]]:
    """Return the ms of `Triggers.due` for each round: when no workflow is due, and when every one is."""
    pairs = [_look() for _ in range(rounds)]
    return [none for none, _ in pairs], [every for _, every in pairs]


def _look() -> tuple[float, float]:
    jobs, schedule = (UnitJob("job"),), Schedule("0 * * * *")
    triggers = Triggers(Unit(name=f"flow{n}", jobs=jobs, schedule=schedule) for n in range(WORKFLOWS))
    for number in range(WORKFLOWS):
        triggers.apply(Event(number + 1, EventKind.SEEN, f"flow{number}", _MET))
    _timed(triggers, _MET, due=0)  # the first look reads every cron pattern
    return _timed(triggers, _TICK - timedelta(minutes=1), due=0), _timed(triggers, _TICK, due=WORKFLOWS)


def _timed(triggers: Triggers, moment: datetime, *, due: int) -> float:
    started = time.perf_counter()
    found = triggers.due(moment)
    seconds = time.perf_counter() - started
    if len(found) != due:
        message = f"{len(found)} workflows are due at {moment}, not {due}"
        raise RuntimeError(message)
    return seconds * 1000
