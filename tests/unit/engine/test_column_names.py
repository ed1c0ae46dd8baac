"""Two columns of one name are refused when a job is planned, wherever its rows come from and go to."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.errors import SqlError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job

TABLES = "CREATE TABLE a (id INTEGER, n INTEGER); CREATE TABLE b (id INTEGER, m INTEGER)"
JOINED = "SELECT * FROM {a} AS a JOIN {b} AS b ON a.id = b.id"


@pytest.fixture(params=["duckdb", "sqlite", "objects", "federated"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Connection, str]:
    """Return a source, and a query whose columns are two named id."""
    (tmp_path / "a.csv").write_text("id,n\n1,2\n")
    (tmp_path / "b.csv").write_text("id,m\n1,3\n")
    files = ematix.ObjectStoreConnection("files", path=str(tmp_path))
    with sqlite3.connect(tmp_path / "s.sqlite") as made:
        made.executescript(TABLES)
    small = ematix.SQLiteConnection("small", path=str(tmp_path / "s.sqlite"))
    if request.param == "objects":
        return files, JOINED.format(a='"a.csv"', b='"b.csv"')
    if request.param == "sqlite":
        return small, JOINED.format(a="a", b="b")
    if request.param == "duckdb":
        with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
            connection.execute(TABLES)
        return ematix.DuckDBConnection("big", path=str(tmp_path / "s.duckdb")), JOINED.format(a="a", b="b")
    both = ematix.FederatedConnection("both", sources=[files, small])
    return both, JOINED.format(a='files."a.csv"', b="small.b")


def copy(source: Connection, target: Connection, sql: str) -> Job:
    return ematix.job(name="copy", source_connection=source, target="t", target_connection=target)(lambda: sql)


@pytest.mark.parametrize("into", ["memory", "sqlite", "duckdb"])
def test_a_join_of_everything_is_refused(source: tuple[Connection, str], tmp_path: Path, into: str) -> None:
    made: Any = {"sqlite": ematix.SQLiteConnection, "duckdb": ematix.DuckDBConnection}
    target = made[into]("to", path=str(tmp_path / "to")) if into in made else ematix.MemoryConnection("to")
    with pytest.raises(SqlError, match=r"two columns named 'id'(.|\n)*with AS"):
        copy(source[0], target, source[1]).plan()


@pytest.mark.parametrize("kind", ["memory", "duckdb", "sqlite", "delta", "objects"])
def test_names_between_which_the_target_makes_no_difference_are_refused(tmp_path: Path, kind: str) -> None:
    targets: dict[str, Any] = {
        "memory": lambda: ematix.MemoryConnection("to"),
        "duckdb": lambda: ematix.DuckDBConnection("to", path=str(tmp_path / "to.duckdb")),
        "sqlite": lambda: ematix.SQLiteConnection("to", path=str(tmp_path / "to.sqlite")),
        "delta": lambda: ematix.DeltaConnection("to", path=str(tmp_path)),
        "objects": lambda: ematix.ObjectStoreConnection("to", path=str(tmp_path)),
    }
    rows = pa.table({"order_id": [1], "Order_ID": [2]})
    job = ematix.job(name="copy", target="t", target_connection=targets[kind]())(lambda: rows)
    with pytest.raises(UnsupportedError, match="'order_id' and 'Order_ID', between which case makes no difference"):
        job.plan()


def test_rows_with_two_columns_of_one_name_are_refused() -> None:
    rows = pa.table([pa.array([1]), pa.array([2])], names=["id", "id"])
    job = ematix.job(name="copy", target="t", target_connection=ematix.MemoryConnection("to"))(lambda: rows)
    with pytest.raises(UnsupportedError, match="two columns named 'id'"):
        job.plan()


def test_names_of_a_query_that_duckdb_takes_for_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,n\n1,2\n")
    files = ematix.ObjectStoreConnection("files", path=str(tmp_path))
    with pytest.raises(SqlError, match="'a' and 'A', which DuckDB takes for one"):
        copy(files, ematix.MemoryConnection("to"), 'SELECT id AS a, n AS "A" FROM "a.csv"').plan()
