"""Which units run now: the evaluator against DESIGN 7 in plain Python, over random histories."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from ematix_core.scheduler.triggers import Triggers, decide
from tests.property import trigger_model, trigger_traces
from tests.property.soak import examples

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ematix_core.scheduler.triggers import Decision

STEPS = 60
"""As many at most happen in one history."""
MOMENT = timedelta(microseconds=1)


def plain(decisions: Iterable[Decision]) -> set[trigger_model.Due]:
    return {trigger_model.Due(one.unit, one.key, one.tick, one.message) for one in decisions}


@examples("decisions on triggers", sample=400, full=20_000)
@given(st.integers(0, 2**32), st.integers(1, STEPS))
def test_the_evaluator_decides_as_the_design_says_and_a_restart_changes_nothing(seed: int, steps: int) -> None:
    world = trigger_traces.World.begin(Random(seed))  # noqa: S311 - a history, no secret
    running, taken = Triggers(world.units), 0
    for _ in range(steps):
        before = world.units
        world.step(running.due(world.now))
        if world.units is not before:
            running.replace(world.units)
        for event in world.events[taken:]:
            running.apply(event)
        taken = len(world.events)
        found = running.due(world.now)
        assert plain(found) == trigger_model.due(world.units, world.events, world.now, world.span)
        assert decide(world.units, world.events, world.now) == found
        assert decide(world.units, trigger_traces.pruned(world.events), world.now) == found
        assert found == sorted(found, key=lambda one: (-one.priority, one.since, one.unit))
        check_next_tick(running, world)
        check_explanations(running, world, found)


def check_next_tick(running: Triggers, world: trigger_traces.World) -> None:
    """Until the next tick time changes nothing, and then it does."""

    def due(now: datetime) -> set[trigger_model.Due]:
        return trigger_model.due(world.units, world.events, now, world.span)

    tick = running.next_tick()
    now = due(world.now)
    if tick is not None and tick <= world.span.last:
        assert tick > world.now
        assert due(tick - MOMENT) == now
        assert due(tick) != now
    else:
        assert due(world.span.last) == now


def check_explanations(running: Triggers, world: trigger_traces.World, found: list[Decision]) -> None:
    due = {decision.unit for decision in found}
    for unit in world.units:
        explanation = running.explain(unit.name, world.now)
        assert (explanation.state == "due") == (unit.name in due)
        assert (explanation.state == "running") == (unit.name in world.open)
        if explanation.state in {"due", "held"}:
            assert all(condition.met for condition in explanation.conditions)
        if explanation.state == "waiting":
            assert not all(condition.met for condition in explanation.conditions)
        assert str(explanation)
