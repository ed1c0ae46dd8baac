"""A table that another writer makes while a load is about to make it: the load begins anew, and finds it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends.delta import commit, log
from ematix_core.engine.attempt import Attempt
from ematix_core.errors import DriftError
from tests.servers.meanwhile import before

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.engine.result import RunResult
    from ematix_core.model.connection import Connection


@pytest.fixture(params=["delta", "objects"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Connection:
    made: Any = {"delta": ematix.DeltaConnection, "objects": ematix.ObjectStoreConnection}[request.param]
    connection: Connection = made("lake", path=str(tmp_path / "lake"))
    return connection


def load(lake: Connection, name: str = "one", mode: Any = "append", **columns: Any) -> RunResult:  # noqa: ANN401 - of a job
    job = ematix.job(name=name, target="t", target_connection=lake, mode=mode)
    return job(lambda: pa.table(columns)).run()


def rows(lake: Connection) -> list[dict[str, Any]]:
    memory = ematix.MemoryConnection("rows")
    ematix.job(source_connection=lake, source_table="t", target="t", target_connection=memory)(lambda: None).run()
    found: list[dict[str, Any]] = memory.table("t").to_pylist()
    return sorted(found, key=lambda row: row["id"])


def test_a_table_that_came_after_the_plan(lake: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, Attempt, "load", lambda: load(lake, "other", id=[1]))
    assert load(lake, id=[2]).inserted == 1
    assert rows(lake) == [{"id": 1}, {"id": 2}]


@pytest.mark.parametrize("mode", ["append", ematix.merge(keys=["id"]), ematix.scd2(keys=["id"])])
def test_a_table_that_came_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:  # noqa: ANN401 - of a job
    delta = ematix.DeltaConnection("delta", path=str(tmp_path / "delta"))
    before(monkeypatch, commit, "_create", lambda: load(delta, "other", mode, id=[1], v=["a"]))
    assert load(delta, mode=mode, id=[2], v=["b"]).inserted == 1
    assert [row["id"] for row in rows(delta)] == [1, 2]


def test_a_table_with_other_columns_is_drift(lake: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, Attempt, "load", lambda: load(lake, "other", id=[1]))
    with pytest.raises(DriftError, match="column 'more' that the table lacks"):
        load(lake, id=[2], more=["x"])
    assert rows(lake) == [{"id": 1}]


def test_a_table_that_is_just_being_made_is_none_yet(tmp_path: Path) -> None:
    """A writer on a local disk writes the first entry of the log under another name."""
    entries = tmp_path / "delta" / "t" / "_delta_log"
    entries.mkdir(parents=True)
    (entries / "00000000000000000000.json#1").write_text("{")
    delta = ematix.DeltaConnection("delta", path=str(tmp_path / "delta"))
    assert load(delta, id=[1]).inserted == 1
    assert rows(delta) == [{"id": 1}]


def test_a_table_that_is_made_while_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    delta = ematix.DeltaConnection("delta", path=str(tmp_path / "delta"))
    before(monkeypatch, log, "is_table", lambda: load(delta, "other", id=[1]))
    assert load(delta, id=[2]).inserted == 1
    assert rows(delta) == [{"id": 1}, {"id": 2}]
