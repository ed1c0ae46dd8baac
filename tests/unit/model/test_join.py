"""Declarations of joins: what they mean, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError

MINUTE = 60_000_000


def side(name: str, **options: Any) -> ematix.Side:  # noqa: ANN401 - those of `side`
    return ematix.side(name, **{"source": "events", "source_query": name, "on_time": "at", **options})


def joined(**options: Any) -> ematix.Join:  # noqa: ANN401 - those of `join`
    return ematix.join(side("orders"), side("payments"), **{"on": "order_id", "within": "10 minutes", **options})


def stream(source: ematix.Join, **options: Any) -> ematix.Stream:  # noqa: ANN401 - those of `stream`
    return ematix.stream("paid", source=source, target="warehouse", target_table="paid", **options)


def test_within_reaches_as_far_back_as_forward_and_bounds_of_their_own_are_zero_unless_given() -> None:
    assert (joined().before, joined().after) == (10 * MINUTE, 10 * MINUTE)
    after = joined(within=None, after="1 minute")
    assert (after.before, after.after) == (0, MINUTE)
    both = joined(within=None, before="0 seconds", after="2 minutes")
    assert (both.before, both.after) == (0, 2 * MINUTE)


def test_keys_are_names_or_pairs_of_names() -> None:
    assert joined().on == (("order_id", "order_id"),)
    assert joined(on=["shop", ("id", "order_id")]).on == (("shop", "shop"), ("id", "order_id"))


def test_a_join_is_told_on_one_line() -> None:
    told = str(joined(how="left", on=[("id", "order_id")], lateness="5 seconds"))
    assert told == (
        "orders left join payments on id = order_id, payments from 600 s before to 600 s after orders, lateness 5 s"
    )


def test_a_stream_knows_the_connections_of_both_sides() -> None:
    source = ematix.join(
        side("orders", registry="schemas", format="avro"), side("payments", source="bank"), on="id", within="1 minute"
    )
    assert stream(source).connection_names == ("events", "schemas", "bank", "warehouse")
    assert stream(source).source_query == "orders inner join payments"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "outer"}, "unknown how 'outer'"),
        ({"late": "reopen"}, "unknown late 'reopen'"),
        ({"within": None}, "needs within=, or before= and after="),
        ({"before": "1 minute"}, "needs within=, or before= and after=, and not both"),
        ({"on": []}, "needs on="),
        ({"on": [("a", "b", "c")]}, r"on= has \('a', 'b', 'c'\)"),
        ({"max_rows": 0}, "max_rows=0 is no positive whole number"),
        ({"within": "soon"}, "within='soon' is no length of time"),
        ({"wihtin": "1 minute"}, "wihtin"),
    ],
)
def test_a_join_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        joined(**options)


def test_sides_need_names_of_their_own_and_a_time() -> None:
    with pytest.raises(DeclarationError, match="both sides are named 'orders'"):
        ematix.join(side("orders"), side("orders"), on="id", within="1 minute")
    with pytest.raises(DeclarationError, match="on_time= names the column"):
        side("orders", on_time="")
    with pytest.raises(DeclarationError, match="is no side of a join"):
        ematix.join("orders", side("payments"), on="id", within="1 minute")  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_query": "orders"}, "source_query= is given, and the source is a join"),
        ({"format": "avro"}, "format= is given, and the source is a join"),
        ({"options": {"group": "g"}}, "options= is given, and the source is a join"),
    ],
)
def test_what_the_sides_say_is_not_said_by_the_stream(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        stream(joined(), **options)


def test_a_window_goes_behind_a_join_and_gives_a_merge_its_keys() -> None:
    window = ematix.tumbling("1 minute", on="at", by="shop", aggregate={"n": "count"})
    declared = stream(joined(), window=window, mode="merge")
    assert (declared.join, declared.window) == (joined(), window)
    assert declared.targets[0].mode == ematix.merge(keys=["shop", "window_start"])
    with pytest.raises(DeclarationError, match="with early= a window is told again"):
        stream(joined(), window=ematix.tumbling("1 minute", on="at", aggregate={"n": "count"}, early="1 second"))


def test_late_rows_as_dead_letters_need_on_error() -> None:
    with pytest.raises(DeclarationError, match="late rows are to be dead letters"):
        stream(joined(late="dead_letter"))
    assert stream(joined(late="dead_letter"), on_error="dead_letter").keeps_state
