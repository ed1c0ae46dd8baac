"""An aggregate of parts, merged in any order, is that of the whole; a function sees rows in any chunks."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core.errors import EmatixError
from ematix_core.query.batches import BatchSql
from ematix_core.query.local import run_sql
from ematix_core.types import BigInt, Boolean
from tests.unit.query.exact import spread

Values = Any
"""An Arrow array or table, of any type."""

ROW = st.tuples(
    st.integers(0, 6), st.integers(0, 3), st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    st.one_of(st.none(), st.booleans()),
)  # fmt: skip
ROWS = st.lists(ROW, max_size=60)
NAMES = ("shop", "part", "value", "counted")
KINDS = (pa.int64(), pa.int64(), pa.int64(), pa.bool_())


def table(rows: list[tuple[Any, ...]], chunk: int) -> pa.Table:
    """Return the rows as a table of chunks, the first of which begins amid a buffer."""
    columns = list(zip(*rows, strict=True)) or [()] * len(NAMES)
    made = pa.table([pa.array([None, *one], kind) for one, kind in zip(columns, KINDS, strict=True)], names=[*NAMES])
    batches = made.slice(1).to_batches(max_chunksize=chunk)
    return pa.Table.from_batches(batches, made.schema)


def run(sql: str, rows: pa.Table, *functions: Values) -> pa.Table:
    with closing(BatchSql(sql, "source", functions)) as batches:
        return batches.run(rows)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 20))
def test_states_of_any_parts_merge_to_the_whole(rows: list[tuple[Any, ...]], chunk: int) -> None:
    source = table(rows, chunk)
    whole = run("SELECT shop, spread(value, counted) AS v FROM source GROUP BY shop ORDER BY shop", source, spread)
    states = run("SELECT shop, part, spread__update(value, counted) AS s FROM source GROUP BY ALL", source, spread)
    twice = "SELECT shop, part % 2, spread__merge(s) AS s FROM source GROUP BY ALL"
    parts = run(
        f"SELECT shop, spread__finish(spread__merge(s)) AS v FROM ({twice}) GROUP BY shop ORDER BY shop",
        states, spread,
    )  # fmt: skip
    assert parts.equals(whole)
    assert dict(zip(*(one.to_pylist() for one in whole.columns), strict=True)) == {
        shop: _spread(rows, shop) for shop in {row[0] for row in rows}
    }


def _spread(rows: list[tuple[Any, ...]], shop: int) -> int | None:
    values = [value for of, _, value, counted in rows if of == shop and value is not None and counted]
    return max(values) - min(values) if values else None


@ematix.udf(takes=[BigInt, Boolean], returns=BigInt)
def signed(value: Values, negative: Values) -> Values:
    return pc.if_else(negative, pc.negate(value), value)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 20))
def test_a_function_gives_what_the_same_in_sql_gives_for_any_rows(rows: list[tuple[Any, ...]], chunk: int) -> None:
    source = table(rows, chunk)
    found = run("SELECT signed(value, counted) AS v FROM source", source, signed)
    same = "SELECT CASE WHEN counted THEN -value WHEN NOT counted THEN value END AS v FROM source"
    assert found.equals(run(same, source))


ITEM = st.sampled_from(
    ("shop", "*", "value", "part * 2 AS two", "value IS NULL AS missing", "CAST(shop AS VARCHAR) AS text",
     "signed(value, counted) AS v", "signed(part, counted) AS w", "signed(value + shop, NOT counted)",
     "signed(CASE WHEN part > 1 THEN value END, shop = 1) AS x", "signed(two, counted) AS y", "signed(NULL, TRUE) AS z",
     "signed(signed(value, TRUE), counted) AS inner_one", "coalesce(signed(value, counted), 0) AS known"),
)  # fmt: skip
WHERE = st.sampled_from(("", "", "WHERE part > 1", "WHERE counted", "WHERE signed(value, counted) > 0"))


@settings(deadline=None, max_examples=200)
@given(ROWS, st.integers(1, 20), st.lists(ITEM, min_size=1, max_size=4, unique=True), WHERE)
def test_a_function_gives_the_same_for_a_whole_batch_as_for_the_chunks_that_duckdb_makes(
    rows: list[tuple[Any, ...]], chunk: int, items: list[str], where: str
) -> None:
    source = table(rows, chunk)
    sql = f"SELECT {', '.join(items)} FROM source {where}"
    try:
        chunked = run_sql(sql, source.to_reader(), "source", [signed]).read_all()
    except EmatixError as error:
        with pytest.raises(type(error)):
            run(sql, source, signed)
    else:
        found = run(sql, source, signed)
        assert found.schema.names == chunked.schema.names
        assert [one.to_pylist() for one in found.columns] == [one.to_pylist() for one in chunked.columns]


def test_a_function_sees_a_batch_at_once_where_the_query_shows_its_rows() -> None:
    seen: list[int] = []

    @ematix.udf(takes=[BigInt], returns=BigInt)
    def same(value: Values) -> Values:
        seen.append(len(value))
        return value

    rows = pa.table({"n": range(50_000), "shop": [1] * 50_000})
    assert run("SELECT shop, same(n) AS n FROM source WHERE n >= 10000", rows, same).num_rows == 40_000
    assert seen == [0, 40_000]  # none, when it is made known
