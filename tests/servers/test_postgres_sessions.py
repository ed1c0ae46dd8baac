"""Cancelling, locks, lost connections and two runs at once, against the real server."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.postgres.link import Link
from ematix_core.backends.protocols import Query
from ematix_core.engine import run_job
from ematix_core.errors import CancelledError, ConnectError, EmatixError, LockedError, Transient
from ematix_core.model.connection import PostgresConnection
from ematix_core.model.job import job
from ematix_core.model.mode import merge
from ematix_core.model.table import Column, TableName
from ematix_core.store import open_store
from ematix_core.types import BigInt
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ematix_core.backends.protocols import Target
    from ematix_core.engine.result import RunResult

NUMBERS = (Column("n", BigInt),)
SCHEMA = pa.schema({"n": pa.int64()})


@pytest.fixture
def url() -> Iterator[str]:
    with database("postgres") as made:
        execute(made, "CREATE TABLE numbers (n bigint)", "INSERT INTO numbers SELECT generate_series(1, 1000)")
        yield made


def others(url: str) -> list[tuple[object, ...]]:
    """Return the sessions of ematix in the database."""
    return execute(
        url,
        "SELECT pid, state FROM pg_stat_activity WHERE application_name = 'ematix' AND datname = current_database()",
    )


def settled(url: str) -> None:
    """Wait until no session of ematix is left in the database."""
    for _ in range(100):
        if not others(url):
            return
        time.sleep(0.05)
    pytest.fail(f"left behind: {others(url)}")


def slow_rows(begun: threading.Event, go: threading.Event) -> Iterator[pa.RecordBatch]:
    """Yield a batch, say so, and yield the next when told."""
    yield pa.RecordBatch.from_pydict({"n": [1]}, SCHEMA)
    begun.set()
    assert go.wait(30)
    yield pa.RecordBatch.from_pydict({"n": [2]}, SCHEMA)


def append(url: str, rows: Any, name: str = "append", **options: Any) -> RunResult:  # noqa: ANN401 - what a job returns and takes
    @job(name=name, target="numbers", target_connection=PostgresConnection("db", url=url), **options)
    def body() -> Any:  # noqa: ANN401 - see above
        return rows() if callable(rows) else rows

    with open_store("memory:") as store:
        return run_job(body, store=store)


def cleared(connection: PostgresConnection) -> None:
    """Take all rows out of the table."""
    with registry.target(connection).session() as session:
        session.columns(TableName("", "numbers"))
        session.clear(TableName("", "numbers"))


def update_both(target: Target, wait: Callable[[], None]) -> None:
    """Change one table, let somebody else wait for it, and change the other."""
    with target.session() as session:
        session.execute("UPDATE numbers SET n = 3", {})
        wait()
        session.execute("SELECT pg_sleep(0.5)", {})
        session.execute("UPDATE letters SET n = 5", {})


class TestCancel:
    def test_statement_is_stopped_on_the_server(self, url: str) -> None:
        target = registry.target(PostgresConnection("db", url=url))
        threading.Timer(0.5, target.interrupt).start()
        began = time.monotonic()
        with pytest.raises(CancelledError), target.session() as session:
            session.execute("SELECT pg_sleep(60)", {})
        assert time.monotonic() - began < 20
        settled(url)

    def test_reader_that_is_closed_ends_its_query(self, url: str) -> None:
        source = registry.source(PostgresConnection("db", url=url))
        reader = source.read(Query(sql="SELECT a.n FROM numbers a, numbers b, numbers c"))
        assert reader.read_next_batch().num_rows
        reader.close()
        source.close()
        settled(url)

    def test_no_thread_is_left(self, url: str) -> None:
        append(url, pa.table({"n": [1]}))
        source = registry.source(PostgresConnection("db", url=url))
        source.read(Query(table="numbers")).read_all()
        source.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("postgres")]


class TestLocks:
    def test_second_run_of_a_job_waits_for_the_first_and_notices_it(self, url: str) -> None:
        rows = pa.table({"n": [5, 6]})
        with ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(append, url, rows, "twice", watermark="n", retries=3) for _ in range(2)]
        assert sorted(run.result().inserted for run in runs) == [0, 2]
        assert execute(url, "SELECT count(*) FROM numbers WHERE n IN (5, 6)") == [(4,)]

    def test_lock_that_is_not_given_up_names_who_holds_it(self, url: str) -> None:
        impatient = PostgresConnection("db", url=url, options={"lock_timeout": "300ms"})
        with psycopg.connect(url, application_name="the other one") as other:
            other.execute("LOCK TABLE numbers IN EXCLUSIVE MODE")
            with pytest.raises(LockedError, match="the other one") as caught:
                cleared(impatient)
        assert isinstance(caught.value, Transient)

    def test_scope_that_is_loaded_elsewhere_is_waited_for(self, url: str) -> None:
        impatient = registry.target(PostgresConnection("db", url=url, options={"lock_timeout": "300ms"}))
        patient = registry.target(PostgresConnection("db", url=url))
        with patient.session() as first:
            assert first.find_load("job:numbers", "1") is None
            with pytest.raises(LockedError, match="ematix"), impatient.session() as second:
                second.find_load("job:numbers", "2")

    def test_merges_of_two_jobs_into_one_table_do_not_double_a_key(self, url: str) -> None:
        execute(url, "TRUNCATE numbers")
        rows = pa.table({"n": list(range(2000))})
        with ThreadPoolExecutor(3) as pool:
            runs = [pool.submit(append, url, rows, f"merge{i}", mode=merge(keys="n"), retries=3) for i in range(3)]
        assert sum(run.result().inserted for run in runs) == 2000
        assert execute(url, "SELECT count(*), count(DISTINCT n) FROM numbers") == [(2000, 2000)]

    def test_readers_see_the_old_rows_until_the_commit(self, url: str) -> None:
        target = registry.target(PostgresConnection("db", url=url))
        name = TableName("", "numbers")
        with target.session() as session:
            session.columns(name)
            session.clear(name)
            session.load(name, NUMBERS, pa.table({"n": [1]}).to_reader())
            assert execute(url, "SELECT count(*) FROM numbers") == [(1000,)]
        assert execute(url, "SELECT count(*) FROM numbers") == [(1,)]

    def test_deadlock_is_transient(self, url: str) -> None:
        execute(url, "CREATE TABLE letters (n bigint)", "INSERT INTO letters VALUES (1)")
        target = registry.target(PostgresConnection("db", url=url))
        with psycopg.connect(url) as other:
            other.execute("SET deadlock_timeout = '60s'")
            other.execute("UPDATE letters SET n = 2")
            waiting = threading.Thread(target=lambda: other.execute("UPDATE numbers SET n = 4"))
            with pytest.raises(EmatixError, match="deadlock") as caught:
                update_both(target, waiting.start)
            waiting.join()
        assert isinstance(caught.value, Transient)


class TestLostConnection:
    def test_load_whose_connection_dies_is_run_again_exactly(self, url: str) -> None:
        begun, go, tries = threading.Event(), threading.Event(), []

        def rows() -> Any:  # noqa: ANN401 - a reader
            tries.append(1)
            return pa.RecordBatchReader.from_batches(SCHEMA, slow_rows(begun, go))

        def kill() -> None:
            assert begun.wait(30)
            terminate = f"SELECT pg_terminate_backend(pid) FROM ({_BUSY}) AS busy"
            while not execute(url, terminate):
                time.sleep(0.02)  # until it is there: batches are read ahead of it
            while execute(url, terminate):
                time.sleep(0.02)  # until it is gone: the server takes its time
            go.set()

        killer = threading.Thread(target=kill)
        killer.start()
        result = append(url, rows, "killed", retries=2)
        killer.join()
        assert (result.inserted, len(tries)) == (2, 2)
        assert execute(url, "SELECT count(*) FROM numbers WHERE n <= 2") == [(4,)]

    @pytest.mark.parametrize("committed", [True, False])
    def test_lost_answer_to_commit_is_found_out(
        self, url: str, monkeypatch: pytest.MonkeyPatch, committed: bool
    ) -> None:
        commit = Link.commit
        lost: list[int] = []

        def lose(link: Link) -> None:
            """Cut the connection just before or just after the server commits, as a network does."""
            if lost:
                commit(link)
                return
            lost.append(1)
            pid = link.rows("SELECT pg_backend_pid()")[0][0]
            if committed:
                commit(link)
            execute(url, f"SELECT pg_terminate_backend({pid})")
            link.execute("COMMIT")

        monkeypatch.setattr(Link, "commit", lose)
        result = append(url, pa.table({"n": [-1, -2]}), "lost", retries=1)
        assert result.inserted == 2
        assert execute(url, "SELECT count(*) FROM numbers WHERE n < 0") == [(2,)]

    def test_read_whose_connection_dies_says_so(self, url: str) -> None:
        source = registry.source(PostgresConnection("db", url=url))
        reader = source.read(Query(sql="SELECT a.n FROM numbers a, numbers b, numbers c"))
        reader.read_next_batch()
        execute(url, f"SELECT pg_terminate_backend(pid) FROM ({_BUSY}) AS busy")
        with pytest.raises(ConnectError):
            reader.read_all()
        source.close()


_BUSY = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ematix' AND datname = current_database()"
