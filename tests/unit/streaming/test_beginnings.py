"""Where a stream begins whose target has noted nothing yet, and what is said of a table that is gone."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import ematix_core as ematix

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ematix_core.model.connection import Connection
    from tests.unit.streaming.conftest import Arrive


def of(files: Connection, store: Connection, **options: Any) -> ematix.Stream:  # noqa: ANN401 - of a stream
    return ematix.stream(
        "numbers", source=files, source_query="*.json", target=store, target_table="numbers", **options
    )


def ids(tmp_path: Path) -> list[int]:
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        found = [row[0] for row in connection.execute("SELECT id FROM numbers ORDER BY id")]
    connection.close()
    return found


def test_a_stream_that_began_with_the_latest_goes_on_where_it_began(
    files: Connection, store: Connection, arrive: Arrive, tmp_path: Path
) -> None:
    stream = of(files, store, start="latest")
    arrive({"id": 1})
    assert stream.consume(until_idle=True).targets[0].records == 0
    arrive({"id": 2})  # while no consumer is there
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert ids(tmp_path) == [2]


def test_a_table_that_is_gone_is_made_anew_and_that_is_told(
    files: Connection, store: Connection, arrive: Arrive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stream = of(files, store)
    arrive({"id": 1})
    stream.consume(until_idle=True)
    assert "made anew" not in caplog.text
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("DROP TABLE numbers")
    connection.close()
    arrive({"id": 2})
    stream.consume(until_idle=True)
    assert ids(tmp_path) == [2]
    assert "stream numbers: table numbers was not there, and is made anew" in caplog.text
    stream.consume(until_idle=True, start="earliest")
    assert ids(tmp_path) == [1, 2, 2]
