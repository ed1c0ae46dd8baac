"""The changes of PostgreSQL's tables against the suite of streams: told from the slot alone, and after a first copy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import StreamQuery
from ematix_core.errors import SourceError
from ematix_core.model.connection import PostgresConnection
from ematix_core.testing import StreamConformance
from tests.servers.reach import execute
from tests.servers.replicating import replicating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.stream_protocols import StreamSource
    from ematix_core.testing import Reached

_numbers = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with replicating() as server:
        yield server.url


class _Changes(StreamConformance):
    snapshot = "never"
    connection: Any

    @pytest.fixture(autouse=True)
    def server(self, url: str) -> Iterator[None]:
        type(self).connection = PostgresConnection("shop", url=url)
        self.url = url
        yield
        for (pid,) in execute(url, "SELECT active_pid FROM pg_replication_slots WHERE active"):
            execute(url, f"SELECT pg_terminate_backend({pid}, 10000)")
        execute(url, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")

    def query(self, name: str) -> StreamQuery:
        return StreamQuery(name, {"snapshot": self.snapshot})

    def open(self, system: Reached, name: str, start: Any = "earliest") -> StreamSource:  # noqa: ANN401 - see Start
        """Return a source with a slot of its own, as a slot has one reader; it begins where that of the stream does."""
        made = f"ematix_{name}"
        if not execute(self.url, f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{made}'"):
            return super().open(system, name, start)
        copied = f"{made}_{next(_numbers)}"
        execute(self.url, f"SELECT pg_copy_logical_replication_slot('{made}', '{copied}')")
        options = {**self.query(name).options, "slot": copied, "publication": made}
        source = registry.stream_source(system.connection, StreamQuery(name, options))
        source.seek(start)
        return source

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        if execute(self.url, f"SELECT to_regclass('{name}')")[0][0] is None:
            execute(self.url, f"CREATE TABLE {name} (id int PRIMARY KEY)")
            self.begin(system, name)
        before = execute(self.url, "SELECT clock_timestamp()")[0][0]
        execute(self.url, f"INSERT INTO {name} VALUES {', '.join(f'({one})' for one in ids_)}")
        assert isinstance(before, datetime)
        return before

    def begin(self, system: Reached, name: str) -> None:
        """Do what comes before the first rows."""


class TestChangesOfPostgres(_Changes):
    """All rows come by the slot, which is there before them."""

    def begin(self, system: Reached, name: str) -> None:
        source = registry.stream_source(system.connection, self.query(name))
        source.seek("earliest")
        source.close()


class TestFirstCopyOfPostgres(_Changes):
    """The rows that are there when reading begins come by a snapshot, later ones by the slot."""

    snapshot = "initial"

    def test_a_time_is_that_of_the_first_row_that_is_not_older(self, system: Reached, table: str) -> None:
        """A slot does not tell what was before it; so a time before it is refused."""
        self.arrive(system, table, [1])
        source = registry.stream_source(system.connection, self.query(table))
        with pytest.raises(SourceError, match="no replication slot"):
            source.seek(datetime.now(UTC) - timedelta(days=1))
        source.close()
