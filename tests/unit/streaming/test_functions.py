"""Streams with functions of the user's in their SQL, and over whole batches: results, bad records, plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import ematix_core as ematix
from ematix_core.errors import FunctionError, ResultError
from ematix_core.model.retry import Retry
from ematix_core.streaming import supervision
from ematix_core.streaming.dead_letters import list_letters
from ematix_core.types import BigInt, Double, Text
from tests.unit.query.aggregates import weighted
from tests.unit.streaming.rows import ids, rows

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tests.unit.streaming.conftest import Arrive

Values = Any
"""An Arrow array or table, of any type."""


@ematix.udf(takes=[Text], returns=BigInt)
def cents(amount: Values) -> Values:
    return pa.array([round(float(one) * 100) for one in amount.to_pylist()], pa.int64())


def with_sign(batch: pa.Table) -> pa.Table:
    return batch.append_column("negative", pc.less(batch.column("cents"), pa.scalar(0)))


def without_zero(batch: pa.Table) -> pa.Table:
    return batch.filter(pc.not_equal(batch.column("cents"), pa.scalar(0)))


def refuses_large(batch: pa.Table) -> pa.Table:
    if (pc.max(batch.column("cents")).as_py() or 0) > 10_000:
        message = "too large"
        raise ValueError(message)
    return batch


CENTS = "SELECT id, cents(amount) AS cents FROM source"


def payments(source: Connection, target: Connection, **options: Values) -> Stream:
    return ematix.stream(
        "payments", source=source, source_query="*.json", target=target, target_table="payments",
        **{"transform_sql": CENTS, "functions": cents, **options},
    )  # fmt: skip


def paid(number: int, amount: str) -> dict[str, Any]:
    return {"id": number, "amount": amount}


def test_sql_of_a_stream_calls_functions_and_functions_take_its_result(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(paid(1, "1.50"), paid(2, "-2"), paid(3, "0"))
    done = payments(files, store, enrich=[with_sign, without_zero]).consume(until_idle=True).targets[0]
    assert (done.records, done.rows, done.inserted) == (3, 2, 2)
    assert rows(store, "payments") == [{"id": 1, "cents": 150, "negative": 0}, {"id": 2, "cents": -200, "negative": 1}]


def test_a_function_that_raises_stops_a_stream_that_fails_and_nothing_of_the_batch_is_loaded(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(paid(1, "1"), paid(2, "one"))
    with pytest.raises(FunctionError) as raised:
        payments(files, store).consume(until_idle=True)
    assert "raised ValueError: could not convert string to float: 'one'" in raised.value.what
    assert "function cents" in raised.value.where
    assert "stream payments" in raised.value.where
    assert payments(files, store, on_error="drop").consume(until_idle=True).targets[0].inserted == 1


def test_the_records_that_a_function_raises_for_become_dead_letters_one_by_one(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(*(paid(number, "one" if number in {3, 8} else str(number)) for number in range(12)))
    stream = payments(files, store, on_error="dead_letter")
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead) == (10, 2)
    assert ids(store, "payments") == [0, 1, 2, 4, 5, 6, 7, 9, 10, 11]
    assert all("function cents" in str(letter["error"]) for letter in list_letters(stream).letters)


def test_the_records_that_a_function_of_batches_raises_for_are_dropped_one_by_one(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(paid(1, "5"), paid(2, "500"), paid(3, "7"))
    done = payments(files, store, on_error="drop", enrich=refuses_large).consume(until_idle=True).targets[0]
    assert (done.inserted, done.dropped) == (2, 1)
    assert ids(store, "payments") == [1, 3]


def test_a_function_that_is_wrong_whatever_the_records_stops_the_stream_and_drops_none(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(paid(1, "5"))
    by_function = payments(files, store, on_error="drop", enrich=lambda batch: batch.no_such_method())
    with pytest.raises(FunctionError, match="AttributeError"):
        by_function.consume(until_idle=True)
    by_type = payments(files, store, on_error="drop", enrich=lambda batch: batch.to_pylist())
    with pytest.raises(ResultError, match=r"builtins\.list, which is no pa\.Table"):
        by_type.consume(until_idle=True)
    by_length = payments(
        files, store, on_error="drop",
        functions=ematix.udf(name="cents", takes=Text, returns=Double)(lambda some: pa.array([1.0] * 2 * len(some))),
    )  # fmt: skip
    with pytest.raises(ResultError, match="2 values for 1 rows"):
        by_length.consume(until_idle=True)
    twice = payments(files, store, on_error="drop", enrich=lambda batch: batch.append_column("id", batch.column("id")))
    with pytest.raises(ResultError, match="two columns named 'id'"):
        twice.consume(until_idle=True)
    assert payments(files, store).consume(until_idle=True).targets[0].inserted == 1


def test_a_service_that_a_function_cannot_reach_is_asked_again_and_costs_no_record(
    files: Connection, store: Connection, arrive: Arrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "RESTARTS", Retry(delay=0.01, backoff="fixed"))
    arrive(paid(1, "5"))
    failures = [ConnectionResetError("by peer")]

    def ask(batch: pa.Table) -> pa.Table:
        if batch.num_rows and failures:
            raise failures.pop()
        return batch

    done = payments(files, store, on_error="drop", enrich=ask).consume(until_idle=True).targets[0]
    assert (done.restarts, done.inserted, done.dropped) == (1, 1, 0)


def test_messages_are_not_read_with_the_columns_that_a_function_adds(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(paid(1, "5"))

    def add(batch: pa.Table) -> pa.Table:
        return batch.select(["id"]).append_column("score", pa.array([0.5] * batch.num_rows))

    stream = payments(files, store, transform_sql="", functions=(), enrich=add)
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert rows(store, "payments") == [{"id": 1, "score": 0.5}]


def test_the_plan_names_functions_and_what_enriches(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(paid(1, "5"))
    plan = payments(files, store, enrich=with_sign).plan()
    assert plan.columns == ("id", "cents", "negative")
    assert "SQL may call cents(amount: Text) -> BigInt" in plan.notes
    assert "enriched by with_sign, batch by batch" in plan.notes


def test_transforms_of_a_streams_target_call_its_functions(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(paid(1, "5"), paid(2, "0.1"))
    large = ematix.target("payments", connection=store, transforms=ematix.filter_where("cents(amount) > 100"))
    stream = ematix.stream("payments", source=files, source_query="*.json", targets=large, functions=cents)
    assert stream.consume(until_idle=True).targets[0].inserted == 1


def test_windows_aggregate_with_an_aggregate_of_the_users_over_batches_and_restarts(
    files: Connection, store: Connection, arrive: Arrive, tmp_path: Path
) -> None:
    def sold(minute: int, price: float, quantity: int) -> dict[str, Any]:
        return {"id": 1, "sold": f"2026-01-01 00:{minute:02}:00", "price": price, "quantity": quantity}

    sales = ematix.stream(
        "sales", source=files, source_query="*.json", target=store, target_table="sales", functions=weighted,
        transform_sql="SELECT id, sold::TIMESTAMP AS sold, price, quantity FROM source", batch_rows=1,
        window=ematix.tumbling(
            "5 minutes", by="id", on="sold", aggregate={"mean": "weighted(price, quantity)", "n": "count"}
        ),
        state=ematix.ObjectStoreConnection("state", path=str(tmp_path / "state")),
    )  # fmt: skip
    arrive(sold(0, 2.0, 1), sold(1, 4.0, 3))
    sales.consume(until_idle=True)
    arrive(sold(2, 8.0, 4), sold(20, 1.0, 1))
    assert sales.plan().columns == ("id", "window_start", "window_end", "mean", "n")
    sales.consume(until_idle=True)
    assert [(row["mean"], row["n"]) for row in rows(store, "sales")] == [(5.75, 3)]  # (2 * 1 + 4 * 3 + 8 * 4) / 8
