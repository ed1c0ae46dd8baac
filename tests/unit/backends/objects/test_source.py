"""What a name in FROM means, and what is read."""

from __future__ import annotations

import bz2
import gzip
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from ematix_core.backends.duck.connection import open_duck
from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.protocols import Query
from ematix_core.errors import BadRowError, ConfigError, MissingSourceError, SourceError, SqlError, UnsupportedError
from ematix_core.model.connection import DuckDBConnection, SQLiteConnection

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any

ROWS = pa.table({"id": [1, 2], "name": ["a", None]})


def put(lake: Lake, path: str, rows: pa.Table = ROWS) -> None:
    target = lake.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.endswith(".orc"):
        orc.write_table(rows, target)
    else:
        pq.write_table(rows, target)


@pytest.mark.parametrize("name", ["orders/a.parquet", "orders/*.parquet", "orders", "**/*.parquet", "orders/[ab].*"])
def test_a_name_is_a_file_a_glob_or_a_folder(lake: Lake, name: str) -> None:
    put(lake, "orders/a.parquet")
    assert lake.read(f'SELECT * FROM "{name}"').to_pylist() == ROWS.to_pylist()


def test_a_name_may_be_written_as_text_with_a_schema_or_twice(lake: Lake) -> None:
    put(lake, "silver/orders/a.parquet")
    assert lake.read("SELECT id FROM 'silver/orders'").num_rows == 2
    assert lake.read("SELECT id FROM silver.orders").num_rows == 2
    assert lake.read('SELECT a.id FROM "silver/orders" a JOIN "silver/orders" b USING (id)').num_rows == 2


def test_a_name_of_a_with_clause_is_no_file(lake: Lake) -> None:
    put(lake, "orders/a.parquet")
    sql = """WITH recent AS (SELECT * FROM "orders"), orders AS (SELECT * FROM recent)
             SELECT * FROM orders WHERE id > :least"""
    assert lake.read(sql, parameters={"least": 1}).column("id").to_pylist() == [2]


def test_pivot_needs_its_values_named(lake: Lake) -> None:
    put(lake, "orders/a.parquet")
    rows = lake.read("""FROM (PIVOT "orders" ON name IN ('a', 'b') USING count(id) GROUP BY id) ORDER BY id""")
    assert rows.to_pylist()[0] == {"id": 1, "a": 1, "b": 0}
    with pytest.raises(SqlError, match="Name the values"):
        lake.read('PIVOT "orders" ON name USING count(id)')


def test_hidden_files_are_left_out(lake: Lake) -> None:
    for path in ("orders/a.parquet", "orders/.b.parquet", "orders/_tmp/c.parquet", ".ematix/d.parquet"):
        put(lake, path)
    assert lake.read('SELECT * FROM "**/*.parquet"').num_rows == 2
    assert lake.read('SELECT * FROM "orders"').num_rows == 2


def test_hive_folders_are_columns(lake: Lake) -> None:
    put(lake, "orders/day=2026-01-01/a.parquet")
    put(lake, "orders/day=2026-01-02/a.parquet")
    days = lake.read("SELECT DISTINCT CAST(day AS VARCHAR) AS day FROM orders ORDER BY 1").column("day").to_pylist()
    assert days == ["2026-01-01", "2026-01-02"]


def test_files_with_differing_columns_are_joined_by_name(lake: Lake) -> None:
    put(lake, "orders/a.parquet")
    put(lake, "orders/b.parquet", pa.table({"extra": [True], "id": [3]}))
    lake.write_text("orders/c.csv", "id,name\n4,x\n")
    put(lake, "orders/d.orc", pa.table({"id": [5]}))
    lake.write_text("orders/e.jsonl", '{"id": 6}\n')
    rows = lake.read("SELECT id, name, extra FROM orders ORDER BY id").to_pylist()
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[2] == {"id": 3, "name": None, "extra": True}


@pytest.mark.parametrize("ending", ["", ".gz", ".zst", ".bz2"])
@pytest.mark.parametrize(
    ("name", "text"), [("d.csv", "id,name\n1,a\n2,\n"), ("d.jsonl", '{"id":1,"name":"a"}\n{"id":2}\n')]
)
def test_compressed_text_is_read_by_its_ending(lake: Lake, name: str, text: str, ending: str) -> None:
    content = text.encode()
    if ending == ".zst":
        with pa.CompressedOutputStream(str(lake.root / (name + ending)), "zstd") as out:
            out.write(content)
    else:
        packed = {"": content, ".gz": gzip.compress(content), ".bz2": bz2.compress(content)}[ending]
        (lake.root / (name + ending)).write_bytes(packed)
    rows = lake.read(f'SELECT * FROM "{name}{ending}"', file_column=True)
    assert rows.to_pylist() == [
        {"id": 1, "name": "a", "_file": name + ending},
        {"id": 2, "name": None, "_file": name + ending},
    ]


def test_a_file_without_a_known_ending_has_the_connections_format(lake: Lake) -> None:
    lake.write_text("drop", "id;v\n1;x\n")
    assert lake.read('SELECT * FROM "drop"', "csv", {"delimiter": ";"}).to_pylist() == [{"id": 1, "v": "x"}]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "~/x", "file:///x"])
def test_a_name_does_not_lead_out_of_the_folder(lake: Lake, name: str) -> None:
    with pytest.raises(SourceError, match="below the connection"):
        lake.read(f'SELECT * FROM "{name}"')


def test_a_missing_name_is_told_with_what_is_there(lake: Lake) -> None:
    put(lake, "orders/a.parquet")
    with pytest.raises(MissingSourceError, match=r"(?s)'ordrs'.*Did you mean 'orders'"):
        lake.read('SELECT * FROM "ordrs"')


def test_late_files_are_listed_whatever_their_names(lake: Lake) -> None:
    put(lake, "drops/b.parquet")
    source, query = ObjectSource(lake.connection()), Query(table="drops")
    before = source.files(query)
    put(lake, "drops/a.parquet")
    assert source.files(query) == before  # a job has one source, and reads what it was planned for
    source.close()
    source = ObjectSource(lake.connection())
    after = source.files(query)
    assert [f.path for f in before or ()] == ["drops/b.parquet"]
    new = sorted(set(after or ()) - set(before or ()), key=lambda f: f.path)
    assert [f.path for f in new] == ["drops/a.parquet"]
    assert new[0].size > 0
    assert new[0].modified > 0
    rows = source.read(Query(table="drops", files=("drops/a.parquet",), file_column=True)).read_all()
    assert set(rows.column("_file").to_pylist()) == {"drops/a.parquet"}
    source.close()


def test_no_new_file_gives_the_columns_without_rows(lake: Lake) -> None:
    put(lake, "drops/a.csv")
    source = ObjectSource(lake.connection())
    nothing = Query(table="drops", files=(), file_column=True)
    assert source.schema(nothing) == source.schema(Query(table="drops", file_column=True))
    assert source.read(nothing).read_all().num_rows == 0
    source.close()


def test_schema_is_known_without_reading_rows(lake: Lake) -> None:
    put(lake, "a.parquet")
    source = ObjectSource(lake.connection())
    schema = source.schema(Query(sql='SELECT id, id > 1 AS big FROM "a.parquet" WHERE id > :w', parameters={"w": 0}))
    assert (schema.names, schema.types) == (["id", "big"], [pa.int64(), pa.bool_()])
    source.close()


def test_a_faulty_query_points_at_the_fault(lake: Lake) -> None:
    put(lake, "a.parquet")
    with pytest.raises(SqlError) as caught:
        lake.read('SELECT nope FROM "a.parquet"')
    assert caught.value.position == 7


def test_batches_are_bounded(lake: Lake) -> None:
    put(lake, "a.parquet", pa.table({"id": range(300_000)}))
    source = ObjectSource(lake.connection())
    assert max(batch.num_rows for batch in source.read(Query(table="a.parquet"))) <= 122_880
    source.close()


def test_a_damaged_parquet_file_is_named(lake: Lake) -> None:
    lake.write_text("a.parquet", "no parquet")
    with pytest.raises(SourceError, match=r"a\.parquet"):
        lake.read('SELECT * FROM "a.parquet"')
    put(lake, "b/1.parquet")
    lake.write_text("b/2.parquet", "no parquet")
    with pytest.raises(SourceError, match=r"b/2\.parquet"):
        lake.read('SELECT * FROM "b"')


def test_a_decimal_that_duckdb_would_bend_is_refused(lake: Lake) -> None:
    put(lake, "a.parquet", pa.table({"d": pa.array([1], pa.decimal256(50, 2))}))
    with pytest.raises(UnsupportedError, match="column 'd'"):
        lake.read('SELECT * FROM "a.parquet"')


def test_files_are_read_inside_another_duckdb_session(lake: Lake) -> None:
    put(lake, "orders/a.parquet")
    lake.write_text("c.csv", "id\n7\n")
    source = ObjectSource(lake.connection())
    query = Query(sql='SELECT id FROM "orders/*.parquet" UNION ALL SELECT id FROM "c.csv"')
    local = source.local_query(query, DuckDBConnection("w", path="w.duckdb"))
    assert local is not None
    with open_duck() as duck:
        for statement in local.setup:
            duck.execute(statement)
        assert sorted(duck.sql(local.sql).fetchall()) == [(1,), (2,), (7,)]
    assert source.local_query(query, SQLiteConnection("s", path="s.db")) is None
    put(lake, "o.orc")
    assert source.local_query(Query(table="o.orc"), DuckDBConnection("w")) is None
    source.close()


def test_an_error_of_another_session_is_explained_with_its_line(lake: Lake) -> None:
    lake.write_text("c.csv", "id,v\n" + "1,2\n" * 40_000 + "x,2\n")
    source = ObjectSource(lake.connection())
    assert source.local_query(Query(table="c.csv"), DuckDBConnection("w")) is not None
    said = source.explain(SqlError("whatever", statement=""))
    assert isinstance(said, BadRowError)
    assert "c.csv, line 40002" in str(said)
    source.close()


def test_an_unknown_option_is_told(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'delimiter'"):
        ObjectSource(lake.connection(delimeter=";"))
