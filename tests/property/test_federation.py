"""A query over several systems gives what the same query gives over the same rows in one DuckDB."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from tests.property.soak import examples

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = st.one_of(st.none(), st.integers(-3, 3))
TEXT = st.one_of(st.none(), st.sampled_from(["a", "A", "b "]))
FRACTION = st.one_of(st.none(), st.sampled_from([-1.5, 0.0, 0.1, 2.0]))
ROW = st.tuples(st.integers(0, 5), NUMBER, TEXT, FRACTION)
ROWS = st.lists(ROW, max_size=12)
SCHEMA: pa.Schema = pa.table({"id": [1], "n": [1], "t": [""], "x": [0.5]}).schema
TABLES = {"lake": 'lake."part/*.parquet"', "shop": "shop.things", "store": "store.main.things"}

CONDITION = st.sampled_from(
    ("{0}.n > 0", "{0}.n >= :mark", "{0}.t = 'a'", "{0}.t <> 'a'", "{0}.t IN ('a', 'b ')", "{0}.n IS NULL",
     "{0}.n IS NOT NULL", "{0}.x = 0.1", "{0}.x BETWEEN -2 AND 0", "({0}.n = 1 OR {0}.t = 'A')", "NOT ({0}.n = 1)",
     "{0}.n = {1}.n", "({0}.n = 1 OR {1}.n = 2)", "{0}.n + 1 > 1", "coalesce({0}.n, 1) = 1", "{0}.t < 'b'",
     "{0}.id IN (SELECT id FROM {table} WHERE n > 0)",
     "EXISTS (SELECT 1 FROM {table} e WHERE e.id = {0}.id AND e.n = 1)"),
)  # fmt: skip
JOIN = st.sampled_from(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
SELECT = st.sampled_from(
    (
        "a.*, b.id AS bid, b.n AS bn, b.t AS bt, b.x AS bx",
        "a.id, b.t",
        "a.*, b.x AS other",
        "count(*) AS c",
        "a.t, count(DISTINCT b.n) AS c, max(b.x) AS m",
    ),
)
SHAPE = st.sampled_from(
    ("{query}", "SELECT * FROM ({query}) AS q", "WITH q AS ({query}) SELECT * FROM q UNION ALL SELECT * FROM q")
)
SIDE = st.sampled_from(
    ("{0}", "{0}", "(SELECT * FROM {0})", "(SELECT id, x, t, n FROM {0} WHERE x IS NOT NULL)",
     "(SELECT l.id, r.n, l.t, r.x FROM {0} l LEFT JOIN {1} r ON l.id = r.id)",
     "(SELECT id, max(n) AS n, min(t) AS t, sum(x) AS x FROM {0} GROUP BY id)",
     "(SELECT id, n, t, x FROM {0} ORDER BY id, n, t, x LIMIT 3)", "(SELECT DISTINCT * FROM {0} UNION FROM {1})"),
)  # fmt: skip
NAMES = st.sampled_from(sorted(TABLES.values()))


@st.composite
def queries(draw: st.DrawFn) -> str:
    a, b = draw(st.permutations(["a", "b"]))
    where = " AND ".join(one.format(a, b, table=draw(NAMES)) for one in draw(st.lists(CONDITION, max_size=3)))
    select = draw(SELECT)
    left, right = draw(SIDE).format(draw(NAMES), draw(NAMES)), draw(SIDE).format(draw(NAMES), draw(NAMES))
    query = f"SELECT {select} FROM {left} AS a {draw(JOIN)} {right} AS b ON a.id = b.id"
    query += (f" WHERE {where}" if where else "") + (" GROUP BY ALL" if "count" in select else "")
    return draw(SHAPE).format(query=query)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation")
    (folder / "lake" / "part").mkdir(parents=True)
    return folder


def filled(place: Path, rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, pa.Table]:
    """Put the rows into the three systems, and return them as tables."""
    tables = {
        name: pa.Table.from_arrays(
            [pa.array([row[i] for row in given], field.type) for i, field in enumerate(SCHEMA)], schema=SCHEMA
        )
        for name, given in rows.items()
    }
    pq.write_table(tables["lake"], place / "lake" / "part" / "rows.parquet")
    with closing(sqlite3.connect(place / "shop.db")) as shop:
        shop.execute("DROP TABLE IF EXISTS things")
        shop.execute("CREATE TABLE things (id BIGINT, n BIGINT, t TEXT, x DOUBLE)")
        shop.executemany("INSERT INTO things VALUES (?, ?, ?, ?)", rows["shop"])
        shop.commit()
    with duckdb.connect(str(place / "store.duckdb")) as store:
        store.register("given", tables["store"])
        store.execute("CREATE OR REPLACE TABLE things AS FROM given")
    return tables


def connection(place: Path) -> ematix.FederatedConnection:
    return ematix.FederatedConnection(
        "all",
        sources=[
            ematix.ObjectStoreConnection("lake", path=str(place / "lake")),
            ematix.SQLiteConnection("shop", path=str(place / "shop.db")),
            ematix.DuckDBConnection("store", path=str(place / "store.duckdb")),
        ],
    )


def expected(sql: str, tables: dict[str, pa.Table]) -> pa.Table:
    with duckdb.connect() as one:
        for name, table in tables.items():
            one.register(f"one_{name}", table)
            sql = sql.replace(TABLES[name], f"one_{name}")
        found: pa.Table = one.sql(sql.replace(":mark", "1")).to_arrow_reader(1_000).read_all()
        return found


def counted(table: pa.Table) -> Counter[tuple[Any, ...]]:
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


@examples("federation", sample=60, full=3_000)
@given(st.fixed_dictionaries(dict.fromkeys(TABLES, ROWS)), queries())
def test_a_query_over_systems_is_that_over_one(place: Path, rows: dict[str, list[tuple[Any, ...]]], sql: str) -> None:
    tables = filled(place, rows)
    with closing(registry.source(connection(place))) as source:
        asked = Query(sql=sql, parameters={"mark": 1})
        schema = source.schema(asked)
        found = source.read(asked).read_all()
    assert found.schema.equals(schema)
    wanted = expected(sql, tables)
    assert found.schema.names == wanted.schema.names
    assert counted(found) == counted(wanted)
