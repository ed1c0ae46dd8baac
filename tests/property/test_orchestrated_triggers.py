"""An orchestrator that wakes our gate decides as the scheduler does, over random histories under a standing clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.orchestrated_histories import STEPS, Orchestrated, told_twice, two_stores
from tests.property.soak import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store import SchedulerStore

WORLDS = iter(range(1_000_000))


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[SchedulerStore, SchedulerStore]]:
    with two_stores() as both:
        yield both


@examples("an orchestrator's decisions", sample=150, full=5_000)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, STEPS))
def test_an_orchestrator_that_asks_the_gate_runs_what_the_scheduler_runs(
    stores: tuple[SchedulerStore, SchedulerStore], seed: int, steps: int
) -> None:
    told_twice(stores, Orchestrated, f"w{next(WORLDS)}_", seed, steps)
