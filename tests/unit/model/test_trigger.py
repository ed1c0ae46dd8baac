from __future__ import annotations

import pytest

from ematix_core.errors import DeclarationError
from ematix_core.model.trigger import AllOf, AnyOf, Event, all_of, any_of, parse_trigger


class Orders:
    name = "orders"


def test_a_list_waits_for_all_of_its_names() -> None:
    assert parse_trigger(["a", "b"]) == AllOf((Event("a"), Event("b")))


def test_a_single_part_needs_no_combination() -> None:
    assert parse_trigger("a") == parse_trigger(["a"]) == all_of("a") == any_of("a") == Event("a")


def test_whatever_has_a_name_can_trigger() -> None:
    assert parse_trigger([Orders(), "b"]) == all_of("orders", "b")


def test_combinations_nest_and_print_as_they_read() -> None:
    trigger = all_of("a", any_of("b", all_of("c", "a")))
    assert trigger == AllOf((Event("a"), AnyOf((Event("b"), AllOf((Event("c"), Event("a")))))))
    assert str(trigger) == "a, (b or (c, a))"
    assert trigger.names() == ("a", "b", "c")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "triggered_by names nothing"),
        (["a", "a"], "triggered_by names 'a' twice"),
        ("", "'' cannot trigger anything"),
        (5, "5 cannot trigger anything"),
    ],
)
def test_what_cannot_trigger_is_refused(value: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse_trigger(value)
    assert caught.value.what == message
