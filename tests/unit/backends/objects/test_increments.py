"""New files that lack a column which earlier ones have: it is NULL, of the type that it has over all files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ematix_core as ematix
from ematix_core.errors import SqlError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lake
else:
    Lake = Any


def put(lake: Lake, form: str, name: str, row: dict[str, Any]) -> None:
    path = lake.root / f"d/{name}.{form}"
    if form == "parquet":
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist([row]), path)
    elif form == "csv":
        lake.write_text(f"d/{name}.csv", ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    else:
        lake.write_text(f"d/{name}.jsonl", str(row).replace("'", '"') + "\n")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_the_column_is_null(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    made: Any = ematix.DuckDBConnection if kind == "duckdb" else ematix.SQLiteConnection
    target = made("to", path=f"to.{kind}")

    def load(query: str) -> Any:  # noqa: ANN401 - the result, of which a number is taken
        job = ematix.job(
            name="t", source_connection=lake.connection(), target="t", target_connection=target, watermark="_file"
        )
        return job(lambda: query).run()

    query = f'SELECT id, extra + 1 AS more FROM "d/*.{form}"'
    put(lake, form, "a", {"id": 1, "extra": 5})
    put(lake, form, "b", {"id": 2})
    assert load(query).inserted == 2
    put(lake, form, "c", {"id": 3})
    assert load(query).inserted == 1
    assert load(query).inserted == 0
    put(lake, form, "e", {"id": 4, "extra": 6})
    assert load(query).inserted == 1
    memory = ematix.MemoryConnection("m")
    ematix.job(source_connection=target, target="t", target_connection=memory)(lambda: "SELECT * FROM t").run()
    found = sorted((row["id"], row["more"]) for row in memory.table("t").to_pylist())
    assert found == [(1, 6), (2, None), (3, None), (4, 7)]
    put(lake, form, "f", {"id": 5})
    with pytest.raises(SqlError, match="nowhere"):
        load(f'SELECT id, nowhere FROM "d/*.{form}"')
