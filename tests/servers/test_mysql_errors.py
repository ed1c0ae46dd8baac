"""What MySQL and MariaDB refuse, in our words: who may not, what is not there, what is in the way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pymysql
import pytest

import ematix_core as ematix
from ematix_core.backends.mysql import session as sessions
from ematix_core.backends.mysql.roles import MySQLSource, MySQLTarget
from ematix_core.backends.protocols import Query
from ematix_core.errors import (
    AccessError,
    CancelledError,
    ConfigError,
    ConflictError,
    ConnectError,
    ConversionError,
    EmatixError,
    KeyViolationError,
    LockedError,
    MissingSourceError,
    SqlError,
    Transient,
    UnsupportedError,
)
from ematix_core.model.connection import MySQLConnection
from ematix_core.model.table import Column, TableName
from ematix_core.types import BigInt, Text
from tests.servers import reach

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH = ("mysql", "mariadb")
T = TableName("", "t")
COLUMNS = (Column("id", BigInt, nullable=False), Column("v", Text))


@pytest.fixture(params=BOTH)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(server: str) -> Iterator[str]:
    with reach.database(server) as found:
        reach.execute(found, "CREATE TABLE t (id BIGINT PRIMARY KEY, v LONGTEXT CHARACTER SET utf8mb4)")
        yield found


def target(url: str, **options: object) -> MySQLTarget:
    return MySQLTarget(MySQLConnection("m", url=url, options=options))


def source(url: str, **options: object) -> MySQLSource:
    return MySQLSource(MySQLConnection("m", url=url, options=options))


def rows(*pairs: tuple[int, str | None]) -> pa.RecordBatchReader:
    table = pa.table({"id": pa.array([k for k, _ in pairs], pa.int64()), "v": pa.array([v for _, v in pairs])})
    return table.to_reader()


def with_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))


def account(server: str, role: str, url: str) -> str:
    """Return the URL of the account, in the test's database."""
    return reach.in_database(reach.account(server, role), urlsplit(url).path.strip("/"))


def test_wrong_password_names_user_and_host_but_no_password(url: str) -> None:
    with pytest.raises(AccessError, match="password") as caught:
        source(with_user(url, "root", "hunter3")).check()
    assert "hunter3" not in str(caught.value)
    assert "root@127.0.0.1" in str(caught.value)


def test_password_with_awkward_characters_works(server: str, url: str) -> None:
    reading = source(account(server, "password", url))
    assert reading.read(Query(sql="SELECT 1 AS one")).read_all().to_pylist() == [{"one": 1}]
    reading.close()


def test_password_of_mysql_8s_own_kind_works() -> None:
    with reach.database("mysql") as url:
        parts = urlsplit(reach.account("mysql", "sha2"))
        reading = source(urlunsplit(parts._replace(path="/information_schema")))
        assert reading.read(Query(sql="SELECT 1 AS one")).read_all().num_rows == 1
        reading.close()
        assert url


def test_user_who_must_be_encrypted_is_read_encrypted(server: str) -> None:
    parts = urlsplit(reach.account(server, "tls_only"))
    reading = source(urlunsplit(parts._replace(path="/information_schema")))
    assert reading.read(Query(sql="SELECT 1 AS one")).read_all().to_pylist() == [{"one": 1}]
    reading.close()


@pytest.mark.parametrize("mode", ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
def test_certificate_is_checked_as_asked(url: str, mode: str) -> None:
    named = reach.at_host(url, "localhost")
    reading = source(f"{named}?ssl_mode={mode}&ssl_ca={reach.ca()}")
    cipher = reading.read(Query(sql="SHOW STATUS LIKE 'Ssl_cipher'")).read_all().column(1).to_pylist()
    reading.close()
    assert cipher != [""]


def test_certificate_of_another_authority_is_refused(url: str) -> None:
    with pytest.raises(AccessError, match=r"(?i)certificate"):
        source(f"{url}?ssl_ca={reach.other_ca()}").check()


def test_certificate_for_another_host_is_refused(url: str) -> None:
    with pytest.raises(AccessError, match=r"(?i)certificate"):
        source(f"{reach.at_host(url, '127.0.0.1')}?ssl_ca={reach.ca()}&ssl_verify_identity=true").check()


def test_missing_privilege_says_what_to_grant(server: str, url: str) -> None:
    with pytest.raises(AccessError, match="GRANT"):
        source(account(server, "unprivileged", url)).check()


def test_nobody_there_is_worth_a_retry(url: str) -> None:
    parts = urlsplit(url)
    with pytest.raises(ConnectError) as caught:
        source(urlunsplit(parts._replace(netloc="root@127.0.0.1:1"))).check()
    assert isinstance(caught.value, Transient)


def test_unknown_host_is_named(url: str) -> None:
    with pytest.raises(ConnectError, match="no-such-host"):
        source(urlunsplit(urlsplit(url)._replace(netloc="root@no-such-host.invalid:3306"))).check()


def test_unknown_database_is_named(url: str) -> None:
    with pytest.raises(EmatixError, match="no_such_database"):
        source(reach.in_database(url, "no_such_database")).check()


def test_missing_table_gives_the_near_name(url: str) -> None:
    reach.execute(url, "CREATE TABLE customers (n INT)")
    with pytest.raises(MissingSourceError, match="customers"):
        source(url).schema(Query(sql="SELECT * FROM customer"))


def test_fault_in_a_query_has_its_position(url: str) -> None:
    with pytest.raises(SqlError) as caught:
        source(url).schema(Query(sql="SELECT id\nFORM t"))
    assert caught.value.position == len("SELECT id\nFORM ")


@pytest.mark.parametrize("hostile", ["x' OR '1'='1", "\\' OR 1=1 -- ", "'; DROP TABLE t; -- ", "🙂\\", "\0", '"'])
@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES"])
def test_bound_text_is_only_ever_a_value(url: str, hostile: str, mode: str) -> None:
    writing = target(url)
    with writing.session() as session:
        session.load(T, COLUMNS, rows((1, hostile), (2, "other")))
    reading = source(url, sql_mode=mode)
    found = reading.read(Query(sql="SELECT id FROM t WHERE v = :v", parameters={"v": hostile})).read_all()
    reading.close()
    assert found.to_pylist() == [{"id": 1}]


@pytest.mark.parametrize("bad", ["?sslmode=require", "?ssl_mode=maybe", "?charset=latin1"])
def test_unknown_url_parameter_is_refused_by_name(url: str, bad: str) -> None:
    with pytest.raises(ConfigError, match=bad[1:].partition("=")[0]):
        source(url + bad)


def test_option_that_is_no_variable_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="no_such_variable"):
        source(url, no_such_variable=1).check()
    with pytest.raises(ConfigError, match="time_zone"):
        source(url, time_zone="+01:00")


def test_table_without_transactions_is_refused_when_planned(url: str) -> None:
    reach.execute(url, "CREATE TABLE old (id BIGINT) ENGINE=MyISAM", "CREATE VIEW seen AS SELECT * FROM t")
    with target(url).inspect() as session:
        with pytest.raises(UnsupportedError, match="MyISAM"):
            session.columns(TableName("", "old"))
        with pytest.raises(UnsupportedError, match="view"):
            session.columns(TableName("", "seen"))


@pytest.mark.parametrize("name", ["x" * 65, "ends in space ", "🙂", "_ematix_staging_x", ""])
def test_name_that_mysql_does_not_have_is_refused_when_planned(url: str, name: str) -> None:
    with pytest.raises(UnsupportedError, match="Rename"):
        target(url).check_columns([Column(name, BigInt)])


def test_names_that_differ_in_case_only_are_refused_when_planned(url: str) -> None:
    shop = MySQLConnection("shop", url=url)
    job = ematix.job(name="copy", target="alike", target_connection=shop)(lambda: pa.table({"a": [1], "A": [2]}))
    with pytest.raises(UnsupportedError, match="'a' and 'A', between which case makes no difference"):
        job.plan()


def test_doubled_key_of_the_table_is_a_key_violation(url: str) -> None:
    with pytest.raises(KeyViolationError, match="PRIMARY"), target(url).session() as session:
        session.load(T, COLUMNS, rows((1, "a"), (1, "b")))
    assert reach.execute(url, "SELECT * FROM t") == []


def test_null_in_a_required_column_names_column_and_row(url: str) -> None:
    table = pa.table({"id": pa.array([1, None], pa.int64()), "v": ["a", "b"]})
    with pytest.raises(ConversionError, match=r"'id'.*row 2"), target(url).session() as session:
        session.load(T, COLUMNS, table.to_reader())


def test_statement_that_ends_the_transaction_is_refused(url: str) -> None:
    with pytest.raises(SqlError, match="COMMIT"), target(url).session() as session:
        session.execute("COMMIT", {})


def test_rows_locked_by_another_program_are_worth_a_retry(url: str) -> None:
    reach.execute(url, "INSERT INTO t VALUES (1, 'a')")
    parts = urlsplit(url)
    other = pymysql.connect(host=parts.hostname, port=parts.port or 0, user="root", database=parts.path.strip("/"))
    with other, other.cursor() as cursor:
        cursor.execute("UPDATE t SET v = 'locked'")
        with pytest.raises(LockedError) as caught, target(url, innodb_lock_wait_timeout=1).session() as session:
            session.execute("UPDATE t SET v = 'x'", {})
    assert isinstance(caught.value, Transient)


def test_deadlock_is_worth_a_retry(url: str) -> None:
    reach.execute(url, "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    caught: list[EmatixError] = []
    first = threading.Barrier(2)

    def work(mine: int, others: int) -> None:
        try:
            with target(url).session() as session:
                session.execute("UPDATE t SET v = 'x' WHERE id = :id", {"id": mine})
                first.wait(30)
                session.execute("UPDATE t SET v = 'y' WHERE id = :id", {"id": others})
        except EmatixError as error:
            caught.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in caught] == [ConflictError]
    assert isinstance(caught[0], Transient)


def test_second_load_of_one_scope_waits_and_says_for_whom(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LOCK_WAIT", 1)
    with target(url).session() as one:
        assert one.find_load("orders:t", "load") is None
        with pytest.raises(LockedError, match=f"orders.*connection {one.main.id} "), target(url).session() as two:
            two.find_load("orders:t", "load")
        with target(url).session() as three:
            assert three.find_load("other:t", "load") is None


def test_interrupted_statement_is_cancelled(url: str) -> None:
    writing = target(url)
    timer = threading.Timer(1, writing.interrupt)
    timer.start()
    with pytest.raises(CancelledError), writing.session() as session:
        session.query(
            "SELECT SLEEP(60), COUNT(*) FROM information_schema.COLUMNS AS a, information_schema.COLUMNS AS b", {}
        )
    timer.join()
