"""The order in which the jobs of a workflow run start, and which are lost."""

from __future__ import annotations

from graphlib import TopologicalSorter

from hypothesis import given
from hypothesis import strategies as st

from ematix_core.engine.order import Order
from ematix_core.store.records import Status

DIAMOND: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_job_is_ready_once_all_that_it_depends_on_has_succeeded() -> None:
    order = Order(DIAMOND)
    assert order.ready() == ["a"]
    order.start("a")
    assert order.ready() == []
    order.end("a", Status.SUCCEEDED)
    assert order.ready() == ["b", "c"]
    order.start("b")
    order.end("b", Status.SUCCEEDED)
    assert order.ready() == ["c"]


def test_what_comes_after_a_failure_is_lost_with_the_reason() -> None:
    order = Order(DIAMOND)
    order.start("a")
    order.end("a", Status.SUCCEEDED)
    order.start("b")
    assert order.end("b", Status.FAILED) == [("d", "upstream b failed")]
    assert order.ready() == ["c"]
    order.start("c")
    order.end("c", Status.SUCCEEDED)
    assert order.finished
    assert order.status is Status.FAILED


def test_loss_goes_on_down_the_graph() -> None:
    order = Order({"a": (), "b": ("a",), "c": ("b",)})
    order.start("a")
    assert order.end("a", Status.CANCELLED) == [("b", "upstream a cancelled"), ("c", "upstream b skipped")]
    assert order.status is Status.CANCELLED


def test_what_succeeded_in_an_earlier_run_is_not_started_again() -> None:
    order = Order(DIAMOND, done=["a", "b"])
    assert order.ready() == ["c"]


def test_upstream_that_is_no_part_of_the_run_is_not_waited_for() -> None:
    assert Order({"b": ("a",)}).ready() == ["b"]


def test_a_job_that_has_to_be_started_again_waits_again() -> None:
    order = Order(DIAMOND)
    order.start("a")
    order.again("a")
    assert order.ready() == ["a"]
    assert not order.running


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Return a graph without a circle: a job depends on earlier ones only."""
    names = [f"job{n}" for n in range(draw(st.integers(1, 8)))]
    return {name: tuple(draw(st.sets(st.sampled_from(names[:n]))) if n else ()) for n, name in enumerate(names)}


@given(graphs(), st.data())
def test_every_job_ends_once_and_none_starts_before_what_it_needs(
    graph: dict[str, tuple[str, ...]], data: st.DataObject
) -> None:
    order = Order(graph)
    running: list[str] = []
    skipped: list[str] = []
    while not order.finished:
        for job in order.ready():
            assert all(order.ended[name] is Status.SUCCEEDED for name in graph[job])
            order.start(job)
            running.append(job)
        job = running.pop(data.draw(st.integers(0, len(running) - 1)))
        lost = order.end(job, data.draw(st.sampled_from([Status.SUCCEEDED, Status.FAILED])))
        skipped += [name for name, _ in lost]
    assert set(order.ended) == set(graph)
    assert len(skipped) == len(set(skipped)) == sum(status is Status.SKIPPED for status in order.ended.values())
    for name in TopologicalSorter(graph).static_order():
        needs_ok = all(order.ended[up] is Status.SUCCEEDED for up in graph[name])
        assert (order.ended[name] is not Status.SKIPPED) == needs_ok
