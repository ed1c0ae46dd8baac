"""Connections that the server ends: while rows are loaded, at the COMMIT, while rows are read. A re-run is exact."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa
import pymysql
import pytest

from ematix_core.backends.mysql.connection import Database
from ematix_core.backends.mysql.roles import MySQLSource
from ematix_core.backends.mysql.session import MySQLSession
from ematix_core.backends.protocols import Query
from ematix_core.engine import run_job
from ematix_core.errors import EmatixError, Transient
from ematix_core.model.connection import MySQLConnection
from ematix_core.model.job import job
from ematix_core.model.mode import Mode, merge
from ematix_core.store import open_store
from tests.servers import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ematix_core.engine.result import RunResult

ROWS = 40_000
_NO_SUCH_THREAD = 1094
MODES: dict[str, str | Mode] = {"append": "append", "truncate": "truncate", "merge": merge(keys="id")}


@pytest.fixture(params=["mysql", "mariadb"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with reach.database(str(request.param)) as found:
        yield found


def kill_all(url: str) -> None:
    """Kill every connection to the test's database, one at least."""
    database = urlsplit(url).path.strip("/")
    admin = reach.in_database(url, "information_schema")
    killed = 0
    while not killed:  # MariaDB leaves out the database of a connection that is changing just now
        for (number,) in reach.execute(admin, f"SELECT ID FROM PROCESSLIST WHERE DB = '{database}'"):
            try:
                reach.execute(admin, f"KILL {number}")
                killed += 1
            except pymysql.err.OperationalError as error:
                if error.args[0] != _NO_SUCH_THREAD:  # it has ended meanwhile
                    raise


def run(url: str, mode: str | Mode, *, halfway: Callable[[], None] | None = None, retries: int = 0) -> RunResult:
    """Load ROWS rows in two batches; `halfway` is called before the second one, once."""
    called: list[int] = []

    @job(name="kills", target="t", target_connection=MySQLConnection("m", url=url), mode=mode, retries=retries)
    def kills() -> pa.RecordBatchReader:
        fields: list[pa.Field[Any]] = [pa.field("id", pa.int64()), pa.field("v", pa.string())]
        schema = pa.schema(fields)

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, ROWS, ROWS // 2):
                if start and halfway is not None and not called:
                    called.append(1)
                    halfway()
                ids = range(start, start + ROWS // 2)
                values: dict[str, Sequence[Any]] = {"id": list(ids), "v": [f"value {n}" for n in ids]}
                yield pa.record_batch(values, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    with open_store("memory:") as store:
        return run_job(kills, store=store)


def found(url: str) -> list[tuple[object, ...]]:
    return reach.execute(url, "SELECT count(*), count(DISTINCT id), sum(id) FROM t")


def left_behind(url: str) -> list[object]:
    return [name for (name,) in reach.execute(url, "SHOW TABLES") if str(name).startswith("_ematix_staging")]


EXACT = [(ROWS, ROWS, ROWS * (ROWS - 1) // 2)]


@pytest.mark.parametrize("mode", MODES)
def test_connection_killed_while_rows_are_loaded(url: str, mode: str) -> None:
    with pytest.raises(EmatixError) as caught:
        run(url, MODES[mode], halfway=lambda: kill_all(url))
    assert isinstance(caught.value, Transient)
    assert run(url, MODES[mode]).inserted == ROWS
    assert found(url) == EXACT
    assert left_behind(url) == []


@pytest.mark.parametrize("mode", MODES)
def test_retry_after_a_kill_is_exact(url: str, mode: str) -> None:
    assert run(url, MODES[mode], halfway=lambda: kill_all(url), retries=1).inserted == ROWS
    assert found(url) == EXACT


@pytest.mark.parametrize("done", [False, True], ids=["before the commit", "after the commit"])
def test_answer_to_the_commit_is_lost(url: str, monkeypatch: pytest.MonkeyPatch, *, done: bool) -> None:
    plain, lost = Database.run, list[int]()

    def dying(database: Database, sql: str | bytes) -> int:
        if sql == "COMMIT" and not lost:
            lost.append(1)
            if done:
                plain(database, sql)
            kill_all(url)
        return plain(database, sql)

    monkeypatch.setattr(Database, "run", dying)
    assert run(url, "append", retries=1).inserted == ROWS
    assert found(url) == EXACT
    assert reach.execute(url, "SELECT count(*) FROM _ematix_loads") == [(1,)]


def test_work_tables_of_a_dead_session_are_dropped_by_the_next(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MySQLSession, "end", lambda session, **_: session.main.close())
    run(url, MODES["merge"])
    assert left_behind(url)
    monkeypatch.undo()
    run(url, MODES["merge"])
    assert left_behind(url) == []
    assert found(url) == EXACT


def test_reader_whose_connection_is_killed_fails_and_never_ends_early(url: str) -> None:
    run(url, "append")
    cross = "SELECT a.id, a.v FROM t AS a JOIN t AS b ON b.id < 300"  # more than what is on its way
    source = MySQLSource(MySQLConnection("m", url=url))
    reader = source.read(Query(sql=cross))
    reader.read_next_batch()
    kill_all(url)
    with pytest.raises(EmatixError) as caught:
        reader.read_all()
    assert isinstance(caught.value, Transient)
    source.close()


def test_read_that_stops_early_ends_its_query(url: str) -> None:
    run(url, "append")
    source = MySQLSource(MySQLConnection("m", url=url))
    batches = source._typed(Query(sql="SELECT a.id FROM t AS a JOIN t AS b")).batches()  # noqa: SLF001 - its own end
    next(batches)
    batches.close()
    source.close()
    running = reach.execute(url, "SELECT INFO FROM information_schema.PROCESSLIST WHERE INFO LIKE '%t AS a JOIN t%'")
    assert [text for (text,) in running if "PROCESSLIST" not in str(text)] == []


@pytest.mark.parametrize("mode", MODES)
def test_server_that_forbids_local_infile_gets_inserts(url: str, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    plain = Database._ask  # noqa: SLF001 - the server's own setting is for all who use it
    monkeypatch.setattr(Database, "_ask", lambda database: replace(plain(database), local_infile=False))
    assert run(url, MODES[mode]).inserted == ROWS
    assert found(url) == EXACT
