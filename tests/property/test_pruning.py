"""Pruning changes no decision: random histories in a real store, pruned at a random moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Literal, get_args

from hypothesis import given
from hypothesis import strategies as st

from ematix_core.scheduler.triggers import decide
from ematix_core.store import SCHEDULER_LEASE, Status, open_store
from tests.property import trigger_traces
from tests.property.soak import examples

if TYPE_CHECKING:
    from ematix_core.model.unit import Unit
    from ematix_core.store import SchedulerStore

STEPS = 60
"""As many at most happen in one history."""
BEGINNING = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)
Action = Literal["due", "by hand", "job", "pause", "resume", "message", "gap", "slice", "time", "prune"]
ACTIONS: tuple[Action, ...] = (*get_args(Action), "due", "due", "due", "time", "time", "by hand")
ENDS = (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class World:
    """A store, and units that a scheduler and people work with. What begins ends at once, or at the next step."""

    def __init__(self, store: SchedulerStore, units: list[Unit]) -> None:
        self.store = store
        self.units = units
        self.now = BEGINNING
        self.open: str | None = None
        lease = store.acquire_lease(SCHEDULER_LEASE, "test", 3600)
        assert lease is not None
        self.token = lease.token
        store.see([unit.name for unit in units], token=self.token)

    def step(self, action: Action, which: int, much: int) -> None:
        """Let something happen."""
        unit, status = self.units[which % len(self.units)], ENDS[much % len(ENDS)]
        if self.open is not None:
            self.store.finish_workflow(self.open, status)
            self.open = None
        match action:
            case "due":
                self._fire(status, stay_open=which == 0)
            case "by hand":
                run = self.store.begin_workflow(unit.name, unit=True)
                self.store.finish_workflow(run.workflow_run_id, status)
            case "job":
                name = trigger_traces.JOBS[which % len(trigger_traces.JOBS)]
                self.store.finish(self.store.begin(name).run_id, status, seconds=0)
            case "pause":
                self.store.pause(unit.name)
            case "resume":
                self.store.resume(unit.name)
            case "message" if unit.messages is not None:
                self.store.add_message(unit.name, f"m{much}", None, token=self.token)
            case "gap":
                self.store.gap(self.now - timedelta(minutes=much), token=self.token)
            case "slice":
                run = self.store.begin_workflow(unit.name, unit=True, slice=str(much))
                self.store.finish_workflow(run.workflow_run_id, status)
            case "time":
                self.now += timedelta(minutes=[1, 20, 60, 600][which % 4] * (much + 1))
            case "prune":
                self.prune(self.now - timedelta(minutes=20 * much))

    def prune(self, before: datetime) -> None:
        """Prune, and compare what is due afterwards, now and later."""
        moments = [self.now + timedelta(hours=hours) for hours in (0, 1, 30)]
        events = self.store.events()
        expected = [decide(self.units, events, moment) for moment in moments]
        self.store.prune(before)
        left = self.store.events()
        assert [decide(self.units, left, moment) for moment in moments] == expected

    def _fire(self, status: Status, *, stay_open: bool) -> None:
        for decision in decide(self.units, self.store.events(), self.now):
            run = self.store.begin_workflow(
                decision.unit, unit=True, key=decision.key, tick=decision.tick, message=decision.message,
                token=self.token,
            )  # fmt: skip
            if stay_open and self.open is None:
                self.open = run.workflow_run_id
            else:
                self.store.finish_workflow(run.workflow_run_id, status)


@examples("histories pruned", sample=60, full=3000)
@given(st.integers(0, 2**32), st.integers(20, STEPS))
def test_pruning_changes_no_decision_and_leaves_what_it_promises(seed: int, steps: int) -> None:
    def now() -> datetime:
        return world.now if world else BEGINNING

    random, world = Random(seed), None  # noqa: S311 - a history, no secret
    with open_store("memory:", now=now) as store:
        world = World(store, trigger_traces.project(random))
        for _ in range(steps):
            world.step(random.choice(ACTIONS), random.randrange(12), random.randrange(12))
        if world.open is not None:
            store.finish_workflow(world.open, Status.SUCCEEDED)
        world.now += timedelta(seconds=1)
        events = store.events()
        world.prune(world.now)
        assert store.events() == trigger_traces.pruned(events)
        assert store.runs() == []
        assert store.workflow_runs() == []
