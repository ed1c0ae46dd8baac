"""A first job into a database file that is not there yet, which reads where it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import ConnectError

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core import Connection, Job


@pytest.fixture(params=[ematix.DuckDBConnection, ematix.SQLiteConnection])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Connection:
    made: Connection = request.param("shop", path=str(tmp_path / "shop.db"))
    return made


def numbers(shop: Connection, sql: str) -> Job:
    return ematix.job(name="numbers", target="numbers", target_connection=shop)(lambda: sql)


def test_the_first_run_makes_the_file_and_the_plan_does_not(shop: Connection, tmp_path: Path) -> None:
    job = numbers(shop, "SELECT 1 AS number, 'one' AS name")
    assert 'CREATE TABLE "numbers"' in str(job.plan())
    assert list(tmp_path.glob("shop*")) == []
    assert job.run().inserted == 1


def test_a_table_of_a_missing_file_is_a_missing_file(shop: Connection, tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match=r"there is no \w+ file .*shop\.db"):
        numbers(shop, "SELECT * FROM orders").plan()
    assert list(tmp_path.glob("shop*")) == []
