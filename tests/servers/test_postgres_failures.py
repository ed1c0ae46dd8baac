"""A server that is killed in the middle of a load, and one whose disk is full."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.engine import run_job
from ematix_core.errors import ConnectError, DiskFullError, is_transient
from ematix_core.model.connection import PostgresConnection
from ematix_core.model.job import job
from ematix_core.model.mode import merge
from ematix_core.store import open_store
from tests.servers.own import own_server, postgres_with_little_disk
from tests.servers.reach import execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ematix_core.model.job import Job
    from ematix_core.model.mode import Mode
    from tools.servers.server import Server

ROWS = 20_000
_FIELDS: list[pa.Field[Any]] = [pa.field("n", pa.int64()), pa.field("text", pa.string())]
SCHEMA = pa.schema(_FIELDS)


def batches(after_first: Callable[[], object] = lambda: None) -> Iterator[pa.RecordBatch]:
    for start in range(0, 4 * ROWS, ROWS):
        numbers = range(start, start + ROWS)
        yield pa.record_batch([pa.array(numbers), pa.array([f"row {n}" for n in numbers])], schema=SCHEMA)
        if start == 0:
            after_first()


def load(server: Server, rows: Callable[[], Iterator[pa.RecordBatch]], mode: Mode | str = "append") -> Job:
    @job(name="load", target="numbers", target_connection=PostgresConnection("own", url=server.url), mode=mode)
    def body() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(SCHEMA, rows())

    made: Job = body
    return made


@pytest.mark.parametrize("mode", ["append", "truncate", merge(keys="n")], ids=str)
def test_a_server_that_is_killed_in_a_load_has_all_rows_once_after_the_next_run(mode: Mode | str) -> None:
    with own_server("postgres") as server, open_store("memory:") as store:
        with pytest.raises(ConnectError) as caught:
            run_job(load(server, lambda: batches(server.kill), mode), store=store)
        assert is_transient(caught.value)
        server.start()
        assert run_job(load(server, batches, mode), store=store).inserted == 4 * ROWS
        found = execute(server.url, "SELECT count(*), count(DISTINCT n), sum(n) FROM numbers")
        assert found == [(4 * ROWS, 4 * ROWS, sum(range(4 * ROWS)))]


def test_a_retry_waits_for_a_server_that_comes_back() -> None:
    killed: list[bool] = []
    with own_server("postgres") as server, open_store("memory:") as store:

        def restart() -> None:
            if not killed:
                killed.append(True)
                server.kill()
                server.start()

        @job(name="load", target="numbers", target_connection=PostgresConnection("own", url=server.url), retries=3)
        def body() -> pa.RecordBatchReader:
            return pa.RecordBatchReader.from_batches(SCHEMA, batches(restart))

        result = run_job(body, store=store)
        assert (result.attempts, result.inserted) == (2, 4 * ROWS)
        assert execute(server.url, "SELECT count(*) FROM numbers") == [(4 * ROWS,)]


def test_a_full_disk_is_named_and_nothing_is_changed() -> None:
    with postgres_with_little_disk(megabytes=16) as server, open_store("memory:") as store:
        make = "CREATE TABLE numbers (n bigint, text text) TABLESPACE small"
        execute(server.url, make)
        texts = pa.array([os.urandom(1000).hex() for _ in range(1000)])
        many = [pa.record_batch([pa.array(range(1000)), texts], schema=SCHEMA)] * 20
        with pytest.raises(DiskFullError) as caught:
            run_job(load(server, lambda: iter(many)), store=store)
        assert "Nothing was committed" in caught.value.hint
        assert execute(server.url, "SELECT count(*) FROM numbers") == [(0,)]
        execute(server.url, "DROP TABLE numbers", make)
        few = iter([pa.record_batch([pa.array([1]), pa.array(["a"])], schema=SCHEMA)])
        assert run_job(load(server, lambda: few), store=store).inserted == 1
