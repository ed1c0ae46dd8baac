"""EmatixMoveOperator: a move that stands in the DAG's file, from SQLite into DuckDB by Airflow's connections."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.providers.place import xcom

if TYPE_CHECKING:
    from tests.providers.place import Place

DAG = """
import ematix_core as ematix
from airflow.sdk import DAG
from ematix_provider.operators import EmatixMoveOperator

with DAG("moves", schedule=None, template_searchpath={folder!r}) as dag:
    EmatixMoveOperator(task_id="it", source_conn_id="shop", target_conn_id="wh", target="main.orders", {arguments})
"""


@pytest.fixture
def shop(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return the place, with a shop's database and a warehouse that Airflow knows, and without a project."""
    monkeypatch.setenv("AIRFLOW_CONN_EMATIX_DEFAULT", json.dumps({"conn_type": "ematix"}))
    monkeypatch.setenv("EMATIX_STORE", f"sqlite:///{place.folder}/runs.db")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", f"sqlite:///{place.folder}/shop.db")
    monkeypatch.setenv("AIRFLOW_CONN_WH", f"duckdb:///{place.folder}/warehouse.duckdb")
    insert(place, "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER, at INTEGER)")
    insert(place, "INSERT INTO orders VALUES (1, 10, 100), (2, 20, 200), (3, 30, 300)")
    return place


def insert(place: Place, sql: str) -> None:
    with closing(sqlite3.connect(place.folder / "shop.db")) as database, database:
        database.execute(sql)


def dag(place: Place, arguments: str) -> str:
    return DAG.format(folder=str(place.folder), arguments=arguments)


def test_a_query_is_moved_by_keys(shop: Place) -> None:
    moved = dag(shop, "query='SELECT id, total FROM orders', mode=ematix.merge(keys=['id'])")
    assert xcom(shop.run(moved), "it")["inserted"] == 3
    insert(shop, "UPDATE orders SET total = 11 WHERE id = 1")
    facts = xcom(shop.run(moved), "it")
    assert (facts["inserted"], facts["updated"], facts["unchanged"]) == (0, 1, 2)
    assert shop.rows("SELECT id, total FROM orders ORDER BY id") == [(1, 11), (2, 20), (3, 30)]


def test_a_table_is_moved_by_its_watermark(shop: Place) -> None:
    moved = dag(shop, "source_table='orders', watermark='at', mode={'name': 'merge', 'keys': ['id']}")
    assert xcom(shop.run(moved), "it")["inserted"] == 3
    insert(shop, "INSERT INTO orders VALUES (4, 40, 400)")
    facts = xcom(shop.run(moved), "it")
    assert (facts["inserted"], facts["rows_read"]) == (1, 2)


def test_the_query_may_be_a_template_in_a_file(shop: Place) -> None:
    (shop.folder / "few.sql").write_text(
        "SELECT id, '{{ dag.dag_id }}' AS dag, :most AS most FROM orders WHERE id <= :most ORDER BY id"
    )
    run = shop.run(dag(shop, "query='few.sql', parameters={'most': 2}"))
    assert run.state == "success"
    assert shop.rows("SELECT * FROM orders ORDER BY id") == [(1, "moves", 2), (2, "moves", 2)]


def test_the_job_is_named_after_the_task_and_further_options_are_those_of_a_job(shop: Place) -> None:
    moved = "query='SELECT id, total FROM orders', options={'transforms': ematix.limit(2)}"
    assert xcom(shop.run(dag(shop, moved)), "it")["inserted"] == 2
    assert xcom(shop.run(dag(shop, moved + ", name='orders'")), "it")["inserted"] == 2
    with shop.opened() as site:
        assert [run.job for run in site.store.runs()] == ["orders", "moves.it"]


def test_what_contradicts_itself_fails_without_another_try(shop: Place, capfd: pytest.CaptureFixture[str]) -> None:
    run = shop.run(dag(shop, "query='SELECT id, total FROM orders', mode='merge', retries=3"))
    assert run.state == "failed"
    assert "merge needs a key for main.orders" in "".join(capfd.readouterr())
