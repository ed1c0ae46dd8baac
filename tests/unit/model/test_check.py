from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core import expect
from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.model.check import Check


def test_checks_carry_their_arguments_as_plain_data() -> None:
    assert expect.not_null("a", "b").columns == ("a", "b")
    assert expect.unique("a", "b", severity="quarantine").severity == "quarantine"
    assert expect.in_set("status", ["new", "paid"]).values == ("new", "paid")
    assert expect.fresh("updated_at", within="1 day").within == timedelta(days=1)
    assert expect.sql("total = price * qty", name="total").condition == "total = price * qty"
    price = expect.between("price", 0)
    assert (price.low, price.high) == (0, None)
    count = expect.row_count(min=1, max=10)
    assert (count.low, count.high) == (1, 10)


def test_names_say_what_is_checked() -> None:
    checks = (
        expect.not_null("a"),
        expect.unique("a", "b"),
        expect.row_count(min=1),
        expect.sql("a > b", name="a above b"),
    )
    assert [check.name for check in checks] == ["not_null(a)", "unique(a, b)", "row_count", "a above b"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (expect.not_null, "check not_null names no column"),
        (lambda: expect.in_set("a", []), "check in_set(a): the set must hold values, and None is none"),
        (lambda: expect.in_set("a", ["x", None]), "check in_set(a): the set must hold values, and None is none"),
        (lambda: expect.between("a"), "check between(a) has no bound"),
        (lambda: expect.between("a", 2, 1), "check between(a): the lower bound 2 is above the upper bound 1"),
        (expect.row_count, "check row_count has no bound"),
        (lambda: expect.fresh("a", within="1 month"), "within='1 month' has an unknown unit"),
        (lambda: expect.fresh("a", within="soon"), "within='soon' is no length of time"),
        (lambda: expect.fresh("a", within=timedelta(0)), "within=datetime.timedelta(0) is not positive"),
        (lambda: expect.sql(" ", name="x"), "check sql needs a condition and a name"),
        (
            lambda: expect.row_count(min=1, severity="quarantine"),
            ("check row_count: severity 'quarantine' needs single rows to set aside, "
            "and row_count is about the load as a whole"),
        ),
        (
            lambda: expect.fresh("a", within="1 day", severity="quarantine"),
            ("check fresh(a): severity 'quarantine' needs single rows to set aside, "
            "and fresh is about the load as a whole"),
        ),
        (lambda: expect.not_null("a", severity="wran"), "check not_null(a): unknown severity 'wran'"),  # type: ignore[arg-type]  # a misspelling is the subject
    ],
)  # fmt: skip
def test_a_check_that_contradicts_itself_is_refused(make: Callable[[], Check], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    assert caught.value.what == message
