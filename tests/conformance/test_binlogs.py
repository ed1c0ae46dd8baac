"""Changes of tables from the binary logs of MariaDB and MySQL against the suite of streams: snapshot, and log alone."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.model.connection import Connection, MySQLConnection
from ematix_core.testing import StreamConformance
from tests.servers.binlogs import changing_server
from tests.servers.reach import execute, in_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.backends.stream_protocols import Polled, StreamSource
    from ematix_core.testing import Reached

_urls: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    with ExitStack() as stack:
        for kind in ("mariadb", "mysql"):
            server = stack.enter_context(changing_server(kind))
            execute(server.url, "CREATE DATABASE ematix_changes")
            _urls[kind] = in_database(server.url, "ematix_changes")
        yield


class Suite(StreamConformance):
    whole_seconds = False
    """Whether the log tells only in seconds when a transaction was committed."""
    apart = 0.0

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        url = str(system.connection.settings()["url"])
        time.sleep(self.apart)
        at = datetime.now(UTC)
        execute(url, f"CREATE TABLE IF NOT EXISTS {name} (id INT PRIMARY KEY)")
        execute(url, f"INSERT INTO {name} VALUES " + ", ".join(f"({number})" for number in ids_))
        return at.replace(microsecond=0) if self.whole_seconds else at

    def test_a_time_is_that_of_the_first_row_that_is_not_older(self, system: Reached, table: str) -> None:
        self.apart = 1.01 * self.whole_seconds
        super().test_a_time_is_that_of_the_first_row_that_is_not_older(system, table)

    def test_rows_say_when_and_where_they_came_to_be(self, stream: StreamSource) -> None:
        rows = pa.Table.from_batches([polled.rows for polled in polls(stream)])
        assert rows.schema.names == ["id", "_op", "_deleted", "_event_ts", "_offset"]
        assert str(rows.schema.field("_event_ts").type) == "timestamp[us, tz=UTC]"
        offsets = [int(str(offset)) for offset in rows.column("_offset")]
        assert offsets == sorted(set(offsets))
        assert set(rows.column("_op").to_pylist()) == {self.op}

    op = "snapshot"


class Alone(Suite):
    """Without a snapshot: all rows come from the log."""

    op = "insert"

    def query(self, name: str) -> StreamQuery:
        return StreamQuery(name, {"snapshot": "never"})


class TestMariaDB(Suite):
    whole_seconds = True

    @staticmethod
    def connection(folder: Path) -> Connection:
        del folder
        return MySQLConnection("shop", url=_urls["mariadb"])


class TestMySQL(Suite):
    @staticmethod
    def connection(folder: Path) -> Connection:
        del folder
        return MySQLConnection("shop", url=_urls["mysql"])


class TestMariaDBLog(Alone, TestMariaDB):
    pass


class TestMySQLLog(Alone, TestMySQL):
    pass


def polls(source: StreamSource) -> Iterator[Polled]:
    while (polled := source.poll(PollLimits(seconds=0))) is not None:
        yield polled
