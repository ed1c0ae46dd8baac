"""Functions of the user's over batches: types, NULLs, groups, states, and errors that name them."""

from __future__ import annotations

import gc
import math
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import ematix_core as ematix
from ematix_core import types
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import (
    ConnectError,
    ConversionError,
    EmatixError,
    FunctionError,
    ResultError,
    SqlError,
    UnsupportedError,
)
from ematix_core.query.batches import BatchSql
from ematix_core.types import BigInt, Double, Text
from tests.unit.query.aggregates import weighted

Values = Any
"""An Arrow array or table, of any type."""


def run(sql: str, rows: pa.Table, *functions: Values) -> pa.Table:
    with closing(BatchSql(sql, "source", functions)) as batches:
        return batches.run(rows)


@ematix.udf(takes=[Double, Double], returns=Double)
def margin(price: Values, cost: Values) -> Values:
    return pc.divide(pc.subtract(price, cost), price)


SALES = pa.table({"shop": [1, 1, 2, 2, 3], "price": [4.0, 8.0, None, 5.0, 10.0], "cost": [1.0, 4.0, 1.0, None, 1.0]})


def test_a_function_gives_what_the_same_in_sql_gives_where_and_select_and_arguments_included() -> None:
    found = run("SELECT margin(price, cost + 1) AS m FROM source WHERE margin(price, cost) > 0.6", SALES, margin)
    same = run("SELECT (price - (cost + 1)) / price AS m FROM source WHERE (price - cost) / price > 0.6", SALES)
    assert found.equals(same)
    assert found.num_rows == 2


def test_a_null_argument_gives_null_and_the_function_does_not_see_it() -> None:
    seen: list[int] = []

    @ematix.udf(takes=[Double], returns=Double)
    def root(value: Values) -> Values:
        seen.append(len(value))
        return pa.array([math.sqrt(one) for one in value.to_pylist()], pa.float64())

    found = run("SELECT root(price) AS r FROM source", SALES, root)
    assert found.column("r").to_pylist() == [2.0, math.sqrt(8), None, math.sqrt(5), math.sqrt(10)]
    assert seen == [0, 4]  # none, when it is made known


def test_a_function_that_takes_nulls_sees_them() -> None:
    @ematix.udf(takes=[Double], returns=types.Boolean, nulls="pass")
    def missing(value: Values) -> Values:
        return value.is_null()

    assert run("SELECT missing(price) AS m FROM source", SALES, missing).column("m").to_pylist() == [
        False, False, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (types.Boolean, True), (types.TinyInt, -3), (types.SmallInt, 300), (types.Integer, 7), (BigInt, 2**60),
        (types.UBigInt, 2**64 - 1), (types.Float, 0.5), (Double, 0.1), (types.Numeric[12, 2], Decimal("12.50")),
        (types.Numeric, Decimal("1.000000001")), (Text, "ä"), (types.Bytes, b"\x00"), (types.Date, date(2026, 1, 2)),
        (types.Time, time(1, 2, 3)), (types.Timestamp, datetime(2026, 1, 2, 3)),  # noqa: DTZ001 - the type has none
        (types.TimestampTZ, datetime(2026, 1, 2, 3, tzinfo=UTC)), (types.UUID, UUID(int=5)),
        (types.Array[types.Boolean], [True, None]), (types.Array[Text], ["a"]),
        (types.Struct[("a", BigInt), ("b", types.Boolean)], {"a": 1, "b": False}),
        (types.Map[Text, BigInt], [("a", 1)]), (types.JSON, '{"a": 1}'),
    ],
)  # fmt: skip
def test_every_type_comes_as_its_own_arrow_type_and_goes_back(kind: Values, value: Values) -> None:
    seen: list[pa.DataType] = []

    @ematix.udf(takes=[kind], returns=kind)
    def same(value: Values) -> Values:
        seen.append(value.type)
        return value

    column = pa.array([value, None, value], kind.to_arrow())
    found = run("SELECT same(v) AS v FROM source", pa.table({"v": column}), same)
    assert found.column("v").to_pylist() == column.to_pylist()
    assert all(one == kind.to_arrow() for one in seen)  # lists that only name their items otherwise are equal


def test_a_type_that_duckdb_does_not_have_is_refused_by_the_functions_name() -> None:
    @ematix.udf(takes=[types.Duration], returns=Double)
    def seconds(value: Values) -> Values:
        return value

    with pytest.raises(UnsupportedError, match="function seconds"):
        BatchSql("SELECT 1", "source", [seconds])


def test_arguments_of_another_type_are_refused_with_the_types_that_the_function_takes() -> None:
    with pytest.raises(SqlError) as refused:
        run("SELECT margin(shop::VARCHAR, cost) FROM source", SALES, margin)
    assert "'margin(VARCHAR, DOUBLE)'" in refused.value.what
    assert "_ematix" not in str(refused.value)
    with pytest.raises(SqlError, match=r"Macro margin\(\) does not support the supplied arguments"):
        run("SELECT margin(price) FROM source", SALES, margin)


def failing(value: Values) -> Values:
    if len(value):
        message = "no such rate"
        raise LookupError(message)
    return value


def test_a_function_that_raises_is_named_and_its_exception_is_the_cause() -> None:
    declared = ematix.udf(name="rate", takes=[Double], returns=Double)(failing)
    with pytest.raises(FunctionError) as raised:
        run("SELECT rate(price) FROM source", SALES, declared)
    assert raised.value.what == "the function raised LookupError: no such rate"
    assert raised.value.where == f"function rate, module {__name__}"
    assert isinstance(raised.value.__cause__, LookupError)


def test_no_batch_is_kept_by_the_errors_of_a_function_that_raised_for_it() -> None:
    declared = ematix.udf(name="rate", takes=[Double], returns=Double)(failing)
    with closing(BatchSql("SELECT rate(price) FROM source", "source", [declared])) as batches:
        gc.collect()
        before = pa.total_allocated_bytes()
        for number in range(20):
            with pytest.raises(FunctionError):
                batches.run(pa.table({"price": pa.array([float(number)] * 100_000)}))
        gc.collect()
        assert pa.total_allocated_bytes() - before < 2_000_000  # of 16 MB


def test_an_error_of_ours_that_a_function_raises_passes_through() -> None:
    def refuse(value: Values) -> Values:
        if len(value):
            raise ConversionError("no number", where="column price")
        return value

    declared = ematix.udf(takes=[Double], returns=Double)(refuse)
    with pytest.raises(ConversionError, match=r"no number \(column price\)"):
        run("SELECT refuse(price) FROM source", SALES, declared)


def test_a_network_that_fails_is_no_fault_of_the_rows() -> None:
    def ask(value: Values) -> Values:
        if len(value):
            raise TimeoutError
        return value

    declared = ematix.udf(takes=[Double], returns=Double)(ask)
    with pytest.raises(ConnectError, match="could not reach something: TimeoutError"):
        run("SELECT ask(price) FROM source", SALES, declared)


@pytest.mark.parametrize(
    ("result", "what", "hint"),
    [
        (lambda v: v.to_pylist(), "returned builtins.list, which is no Arrow array", "pa.array(values, type=double)"),
        (lambda v: v.slice(1), "returned 2 values for 3 rows", "Return one value for each"),
        (lambda v: v.cast(pa.float32()), "returned float, and is declared to return Double, which is double", "Cast"),
    ],
)
def test_what_a_function_returns_instead_of_its_declaration_is_named_with_the_remedy(
    result: Values, what: str, hint: str
) -> None:
    declared = ematix.udf(name="wrong", takes=[Double], returns=Double)(result)
    with pytest.raises(ResultError) as raised:
        run("SELECT wrong(v) FROM source", pa.table({"v": [1.0, 2.0, 3.0]}), declared)
    assert what in raised.value.what
    assert hint in raised.value.hint
    assert "function wrong" in raised.value.where


def test_a_wrong_type_is_found_before_there_are_rows() -> None:
    declared = ematix.udf(name="wrong", takes=[Double], returns=Text)(lambda value: value)
    with pytest.raises(ResultError, match="returned double, and is declared to return Text"):
        BatchSql("SELECT 1", "source", [declared])


def test_a_result_without_a_value_has_the_declared_type() -> None:
    declared = ematix.udf(name="never", takes=[Double], returns=Text)(lambda value: pa.nulls(len(value)))
    assert run("SELECT never(price) AS n FROM source", SALES, declared).schema.field("n").type == pa.string()


def test_a_result_in_chunks_is_taken_as_one() -> None:
    declared = ematix.udf(name="twice", takes=[Double], returns=Double)(
        lambda value: pa.chunked_array([value.slice(0, 1), value.slice(1)], value.type)
    )
    assert run("SELECT twice(cost) AS c FROM source", SALES, declared).column("c").equals(SALES.column("cost"))


def test_an_aggregate_counts_rows_without_null_and_gives_null_for_none() -> None:
    found = run("SELECT shop, weighted(price, cost) AS m FROM source GROUP BY shop ORDER BY shop", SALES, weighted)
    assert found.to_pylist() == [{"shop": 1, "m": 7.2}, {"shop": 2, "m": None}, {"shop": 3, "m": 10.0}]


def test_an_aggregate_of_no_rows_at_all_is_that_of_an_empty_group() -> None:
    assert run("SELECT weighted(price, cost) AS m FROM source WHERE false", SALES, weighted).to_pylist() == [
        {"m": None}
    ]


def test_states_of_parts_are_merged_and_finished_to_what_the_whole_gives() -> None:
    parts = "SELECT shop, price > 5 AS part, weighted__update(price, cost) AS state FROM source GROUP BY ALL"
    states = run(parts, SALES, weighted)
    assert states.schema.field("state").type == weighted.state_type.to_arrow()
    merged = "SELECT shop, weighted__finish(weighted__merge(state)) AS m FROM source GROUP BY shop ORDER BY shop"
    whole = "SELECT shop, weighted(price, cost) AS m FROM source GROUP BY shop ORDER BY shop"
    assert run(merged, states, weighted).equals(run(whole, SALES, weighted))


def test_a_state_that_is_null_does_not_count_and_finishes_as_null() -> None:
    states = run("SELECT weighted__update(price, cost) AS s FROM source UNION ALL SELECT NULL", SALES, weighted)
    found = run(
        "SELECT weighted__finish(weighted__merge(s)) AS m, count(weighted__finish(s)) AS n FROM source",
        states,
        weighted,
    )
    assert found.to_pylist() == [{"m": pytest.approx(46 / 6), "n": 1}]


def test_the_method_of_an_aggregate_that_fails_is_named() -> None:
    class Broken:
        n: BigInt

        def init(self, n: int) -> Values:
            return pa.StructArray.from_arrays([pa.array([0] * n, pa.int64())], ["n"])

        def update(self, state: Values, groups: Values, value: Values) -> Values:
            del groups, value
            return state.slice(1)

        def merge(self, state: Values, groups: Values, other: Values) -> Values:
            del groups, other
            return state

        def finish(self, state: Values) -> Values:
            return state.field("n")

    broken = ematix.udaf(takes=Double, returns=BigInt)(Broken)
    with pytest.raises(ResultError) as raised:
        run("SELECT broken(price) FROM source", SALES, broken)
    assert raised.value.what == "the function returned 0 values for 1 rows"
    assert "function broken.update" in raised.value.where


def test_a_source_can_be_closed_while_its_functions_are_at_work() -> None:
    rows = ematix.MemoryConnection("rows", tables={"t": pa.table({"v": [float(one) for one in range(600_000)]})})
    scaled = ematix.udf(name="scaled", takes=[Double], returns=Double)(lambda value: pc.multiply(value, 2.0))
    for _ in range(5):
        source: Any = registry.source(rows)
        source.take_functions([scaled])
        reader = source.read(Query(sql="SELECT scaled(v) AS v FROM t"))
        assert reader.read_next_batch().num_rows
        source.close()


def test_two_users_of_one_database_have_functions_of_one_name_each_its_own() -> None:
    rows = ematix.MemoryConnection("rows", tables={"t": pa.table({"v": [1.0]})})

    def source(factor: float) -> Values:
        made = registry.source(rows)
        made.take_functions(  # type: ignore[attr-defined]  # this kind has it
            [ematix.udf(name="scaled", takes=[Double], returns=Double)(lambda value: pc.multiply(value, factor))]
        )
        return made

    first, second = source(2.0), source(3.0)
    query = Query(sql="SELECT scaled(v) AS v FROM t")
    assert [one.read(query).read_all().column("v").to_pylist() for one in (first, second)] == [[2.0], [3.0]]
    first.close()
    assert second.read(query).read_all().column("v").to_pylist() == [3.0]
    second.close()
    third = registry.source(rows)
    with pytest.raises(EmatixError, match="scaled does not exist"):
        third.read(query)
    third.close()
