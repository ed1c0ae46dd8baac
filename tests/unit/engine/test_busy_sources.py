"""A source that is busy is stopped with the attempt: by a timeout as by Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import duckdb
import pytest

import ematix_core as ematix
from ematix_core.engine.cancel import TimeoutExceededError

if TYPE_CHECKING:
    from pathlib import Path

LAKE = ematix.ObjectStoreConnection("lake", path=".")
STORE = ematix.DuckDBConnection("store", path="store.duckdb")
BUSY = "SELECT count(*) AS n FROM {0} AS a, {0} AS b, {0} AS c WHERE a.id + b.id + c.id = 7"


@pytest.mark.parametrize(
    ("source", "table"),
    [
        (LAKE, '"ids.parquet"'),
        (STORE, "ids"),
        (ematix.FederatedConnection("both", sources=[LAKE, STORE]), 'lake."ids.parquet"'),
        (ematix.FederatedConnection("both", sources=[LAKE, STORE]), "(FROM store.ids)"),
    ],
)
def test_a_query_that_takes_for_ever_ends_with_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: ematix.Connection, table: str
) -> None:
    monkeypatch.chdir(tmp_path)
    duckdb.sql("COPY (SELECT range AS id FROM range(20000)) TO 'ids.parquet'")
    with duckdb.connect("store.duckdb") as store:
        store.execute("CREATE TABLE ids AS FROM 'ids.parquet'")
    target = ematix.SQLiteConnection("target", path="target.db")

    @ematix.job(source_connection=source, target="t", target_connection=target, timeout=1)
    def busy() -> str:
        return BUSY.format(table)

    began = time.monotonic()
    with pytest.raises(TimeoutExceededError):
        busy.run()
    assert time.monotonic() - began < 60  # for itself it takes hours
