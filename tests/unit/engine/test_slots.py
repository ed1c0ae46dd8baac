"""Which of the waiting jobs is next, and how many run at one time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ematix_core.engine.slots import Slots


def test_the_higher_priority_is_first_then_the_one_that_came_first() -> None:
    slots: Slots[str] = Slots(10, {})
    slots.offer("first")
    slots.offer("second")
    slots.offer("urgent", priority=5)
    assert [slots.take(), slots.take(), slots.take()] == [("urgent", ""), ("first", ""), ("second", "")]


def test_no_more_run_than_there_are_places() -> None:
    slots: Slots[str] = Slots(1, {})
    slots.offer("a")
    slots.offer("b")
    assert slots.take() == ("a", "")
    assert slots.take() is None
    slots.release("")
    assert slots.take() == ("b", "")


def test_a_full_pool_does_not_hold_up_the_others() -> None:
    slots: Slots[str] = Slots(10, {"warehouse": 1})
    slots.offer("a", pool="warehouse", priority=9)
    slots.offer("b", pool="warehouse", priority=9)
    slots.offer("c")
    assert [slots.take(), slots.take(), slots.take()] == [("a", "warehouse"), ("c", ""), None]
    slots.release("warehouse")
    assert slots.take() == ("b", "warehouse")


def test_a_pool_without_a_limit_has_none() -> None:
    slots: Slots[int] = Slots(3, {})
    for number in range(4):
        slots.offer(number, pool="any")
    assert [slots.take(), slots.take(), slots.take(), slots.take()] == [(0, "any"), (1, "any"), (2, "any"), None]


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(0, 3))), st.integers(1, 4), st.integers(1, 2))
def test_limits_hold_and_nothing_is_left(offers: list[tuple[str, int]], total: int, limit: int) -> None:
    slots: Slots[int] = Slots(total, {"a": limit})
    for number, (pool, priority) in enumerate(offers):
        slots.offer(number, pool=pool, priority=priority)
    running: list[str] = []
    taken = 0
    while taken < len(offers):
        while (found := slots.take()) is not None:
            taken += 1
            running.append(found[1])
        assert len(running) <= total
        assert running.count("a") <= limit
        assert running
        slots.release(running.pop(0))
