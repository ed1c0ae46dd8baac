"""Declarations of maintenance: what they say, when they are due, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import pytest

import ematix_core as ematix
from ematix_core import types
from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.model.maintenance import Maintenance

NOW = datetime(2026, 1, 10, tzinfo=UTC)


def test_a_length_of_time_lies_between_two_runs() -> None:
    step = ematix.optimize(every="2 days")
    assert step.due(at=NOW, last=NOW - timedelta(days=2), versions=0)
    assert not step.due(at=NOW, last=NOW - timedelta(days=2) + timedelta(seconds=1), versions=999)
    assert step.due(at=NOW, last=None, versions=0)


def test_versions_lie_between_two_runs() -> None:
    step = ematix.vacuum(every=10)
    assert not step.due(at=NOW, last=None, versions=9)
    assert step.due(at=NOW, last=NOW, versions=10)


@pytest.mark.parametrize(
    ("step", "label", "schedule"),
    [
        (ematix.optimize(), "optimize()", "every 1 day"),
        (ematix.optimize(z_order="day", every=1), "optimize(z_order=['day'])", "after each load"),
        (ematix.vacuum(retain="1 week", every=5), "vacuum(retain='7 days')", "every 5 versions"),
        (ematix.vacuum(unlisted=False, every="90 minutes"), "vacuum(unlisted=False)", "every 90 minutes"),
        (ematix.checkpoint(), "checkpoint()", "every 100 versions"),
        (ematix.clean_log(every="1.5 seconds"), "clean_log()", "every 1.5 seconds"),
    ],
)
def test_a_step_says_what_it_does_and_when(step: Maintenance, label: str, schedule: str) -> None:
    assert (step.label(), step.schedule()) == (label, schedule)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: ematix.optimize(every=0), r"optimize\(every=0\): the number of versions must be at least 1"),
        (lambda: ematix.optimize(every=True), r"optimize\(every=True\) is no length of time"),
        (lambda: ematix.vacuum(every="soon"), r"vacuum\(every\)='soon' is no length of time"),
        (lambda: ematix.vacuum(retain="90 minutes"), "is no number of whole hours"),
        (lambda: ematix.optimize(z_order=["a", "a"]), "is no list of column names, each once"),
        (
            lambda: ematix.target("t", maintenance=["optimize"]),  # type: ignore[list-item]  # what is refused
            "maintenance='optimize' does not belong there",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(make: Callable[[], object], what: str) -> None:
    with pytest.raises(DeclarationError, match=what):
        make()


def test_z_order_names_columns_that_the_table_declares() -> None:
    @ematix.table
    class Orders:
        order_id: Annotated[types.BigInt, ematix.pk()]

    with pytest.raises(DeclarationError, match=r"z_order.* names 'ordre_id', which is no column of orders"):
        ematix.target(Orders, maintenance=ematix.optimize(z_order="ordre_id"))
