"""Lookups as of the time of a row: a table with versions that changes while the stream runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import ematix_core as ematix
from ematix_core.errors import EmatixError
from ematix_core.streaming.control import Control
from tests.unit.streaming.rows import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tests.unit.streaming.conftest import Arrive

AS_OF = """
    SELECT s.id, c.city FROM source s
    LEFT JOIN customers c ON c.id = s.customer AND CAST(s.moment AS TIMESTAMPTZ) >= c.valid_from
    AND (c.valid_to IS NULL OR CAST(s.moment AS TIMESTAMPTZ) < c.valid_to)
"""


@pytest.fixture
def crm(tmp_path: Path) -> str:
    path = str(tmp_path / "crm.duckdb")
    with duckdb.connect(path) as db:
        db.execute("CREATE TABLE customers (id INT, city TEXT, valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ)")
        db.execute("INSERT INTO customers VALUES (1, 'Bonn', TIMESTAMPTZ '2026-01-01 00:00:00Z', NULL)")
    return path


def move(crm: str, city: str) -> datetime:
    """Let the customer move now: the last version ends, and a new one begins; return when."""
    at = datetime.now(UTC)
    with duckdb.connect(crm) as db:
        db.execute("UPDATE customers SET valid_to = ? WHERE valid_to IS NULL", [at])
        db.execute("INSERT INTO customers VALUES (1, ?, ?, NULL)", [city, at])
    return at


def looked_up(files: Connection, store: Connection, crm: str, **options: Any) -> Stream:  # noqa: ANN401 - those of `lookup`
    table = ematix.lookup(
        "customers", connection=ematix.DuckDBConnection("crm", path=crm), query="SELECT * FROM customers",
        refresh=None, **options,
    )  # fmt: skip
    return ematix.stream(
        "visits", source=files, source_query="*.json", target=store, target_table="visits", lookups=table,
        transform_sql=AS_OF, batch_seconds=0.1,
    )  # fmt: skip


def visit(number: int, at: datetime | None = None) -> dict[str, Any]:
    return {"id": number, "customer": 1, "moment": (at or datetime.now(UTC)).isoformat()}


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def cities(store: Connection) -> dict[int, str | None]:
    try:
        return {row["id"]: row["city"] for row in rows(store, "visits")}
    except EmatixError:
        return {}


@pytest.mark.parametrize("given", [({"as_of": "moment"}, "Kiel"), ({}, "Bonn")])
def test_a_row_that_is_newer_than_the_lookup_has_it_read_again(
    files: Connection, store: Connection, crm: str, arrive: Arrive, given: tuple[dict[str, str], str]
) -> None:
    control, (options, last) = Control(), given
    first = datetime.now(UTC)
    arrive(visit(1, first))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(looked_up(files, store, crm, **options).consume, control=control)
        try:
            eventually(lambda: 1 in cities(store))
            moved = move(crm, "Kiel")
            arrive(visit(2), visit(3, first))
            eventually(lambda: 3 in cities(store))
        finally:
            control.stop()
        running.result(30)
    assert moved > first
    # Without as_of the version that ends now is not known, so that it is still Bonn's.
    assert cities(store) == {1: "Bonn", 2: last, 3: "Bonn"}


def test_a_lookup_that_cannot_be_read_again_is_no_reason_to_use_an_older_one(
    files: Connection, store: Connection, crm: str, arrive: Arrive, tmp_path: Path
) -> None:
    import pyarrow as pa

    from ematix_core.config.settings import Settings
    from ematix_core.engine.environment import Environment
    from ematix_core.streaming.shaping import Shaping

    del arrive
    shaping = Shaping(Environment(settings=Settings.load()), looked_up(files, store, crm, as_of="moment"))
    try:
        assert shaping.shaped(pa.Table.from_pylist([visit(1)])).column("city").to_pylist() == ["Bonn"]
        (tmp_path / "crm.duckdb").unlink()
        with pytest.raises(EmatixError, match="lookup customers"):
            shaping.shaped(pa.Table.from_pylist([visit(2)]))
    finally:
        shaping.close()
