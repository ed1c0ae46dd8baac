from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError
from ematix_core.model.transform import DeduplicateBy, FilterWhere, Limit, PostStep, Sample, as_post_step

if TYPE_CHECKING:
    from collections.abc import Callable


def refresh() -> str:
    return "ANALYZE"


def test_transforms_are_plain_records() -> None:
    assert ematix.deduplicate_by("a", "b", order_by="c") == DeduplicateBy(("a", "b"), "c")
    assert ematix.filter_where("a > 1") == FilterWhere("a > 1")
    assert ematix.limit(0) == Limit(0)
    assert ematix.sample(0.5) == Sample(0.5)


def test_sql_text_becomes_a_step_named_after_its_first_line() -> None:
    step = as_post_step("\n  UPDATE analytics.orders SET price_in_cents = price * 100\nWHERE price > 0")
    assert step.name == "UPDATE analytics.orders SET price_in_..."
    assert "WHERE price > 0" in step.sql


def test_a_function_becomes_a_step_of_its_name() -> None:
    assert ematix.transform(refresh) == as_post_step(refresh) == PostStep("refresh", function=refresh)


def test_a_step_stays_itself() -> None:
    step = PostStep("analyze", sql="ANALYZE")
    assert as_post_step(step) is step


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (ematix.deduplicate_by, "deduplicate_by names no column"),
        (lambda: ematix.filter_where(" "), "filter_where has no condition"),
        (lambda: ematix.limit(-1), "limit(-1): the number of rows must not be negative"),
        (lambda: ematix.sample(0), "sample(0): the percentage must be above 0 and at most 100"),
        (lambda: ematix.sample(101), "sample(101): the percentage must be above 0 and at most 100"),
        (lambda: as_post_step(" "), "step '' needs sql= or function=, and not both"),
        (lambda: PostStep("x", sql="ANALYZE", function=refresh), "step 'x' needs sql= or function=, and not both"),
        (lambda: as_post_step(5), "after=5 is neither SQL text nor a function"),  # type: ignore[arg-type]  # a wrong value is the subject
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    assert caught.value.what == message
