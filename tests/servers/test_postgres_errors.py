"""PostgreSQL's errors: what they become, that they say where, and that no password is in them."""

from __future__ import annotations

import socket
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.engine import plan_job, run_job
from ematix_core.errors import (
    ConfigError,
    ConnectError,
    ConversionError,
    DriftError,
    EmatixError,
    KeyViolationError,
    MissingSourceError,
    Permanent,
    RunError,
    SqlError,
    Transient,
    UnsupportedError,
)
from ematix_core.model.connection import PostgresConnection
from ematix_core.model.job import job
from ematix_core.model.table import TableName
from ematix_core.store import open_store
from tests.servers.own import primary_and_standby
from tests.servers.reach import account, at_host, ca, database, execute, in_database, other_ca

if TYPE_CHECKING:
    from collections.abc import Iterator

AMOUNT = pa.array([Decimal(-1), Decimal(1)], pa.decimal128(8, 2))
SECRET = "hunter2"  # noqa: S105 - what must not be shown


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database("postgres") as made:
        execute(
            made,
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint NOT NULL,"
            " amount numeric(8, 2) CHECK (amount > 0))",
            "CREATE TABLE customers (id bigint PRIMARY KEY)",
            "CREATE TABLE invoices (id bigint, customer bigint REFERENCES customers)",
            "CREATE TABLE computed (id bigint GENERATED ALWAYS AS IDENTITY, a int,"
            " twice int GENERATED ALWAYS AS (a * 2) STORED)",
        )
        yield made


def failure(url: str, sql: str = "SELECT 1 AS one", **options: Any) -> EmatixError:  # noqa: ANN401 - settings of a connection
    """Return the error of reading a query."""

    def read() -> None:
        source = registry.source(PostgresConnection("shop", url=url, options=options))
        try:
            source.read(Query(sql=sql)).read_all()
        finally:
            source.close()

    with pytest.raises(EmatixError) as caught:
        read()
    assert SECRET not in str(caught.value)
    return caught.value


def load(url: str, table: str, rows: pa.Table, **options: Any) -> Any:  # noqa: ANN401 - options of @job
    @job(name="load", target=table, target_connection=PostgresConnection("shop", url=url), **options)
    def body() -> pa.Table:
        return rows

    with open_store("memory:") as store:
        return run_job(body, store=store)


@pytest.mark.parametrize("position", ["nope", "amout", "FORM"])
def test_refused_query_points_at_its_fault(url: str, position: str) -> None:
    sql = {
        "nope": "SELECT id,\n  nope FROM orders", "amout": "SELECT é.amout FROM orders é",
        "FORM": "SELECT id FORM orders WHERE id = 1",
    }[position]  # fmt: skip
    error = failure(url, sql)
    assert isinstance(error, SqlError)
    assert error.position is not None
    assert position in sql[error.position :] or position == "FORM"
    assert error.statement == sql


def test_fault_behind_a_parameter_is_found_in_the_written_text(url: str) -> None:
    source = registry.source(PostgresConnection("shop", url=url))
    sql = "SELECT :long_parameter_name AS p, nope FROM orders"
    with pytest.raises(SqlError) as caught:
        source.schema(Query(sql=sql, parameters={"long_parameter_name": 1}))
    source.close()
    assert sql[caught.value.position or 0 :].startswith("nope")


def test_fault_while_rows_come_is_found_in_the_written_text(url: str) -> None:
    error = failure(url, "SELECT 1 / (n - 3) AS x FROM generate_series(1, 5) AS n")
    assert isinstance(error, ConversionError)
    assert "division by zero" in str(error)


def test_missing_table_is_a_missing_source_with_the_near_name(url: str) -> None:
    error = failure(url, "SELECT * FROM ordres")
    assert isinstance(error, MissingSourceError)
    assert "'orders'" in str(error)


def test_null_in_a_required_column_names_table_and_column(url: str) -> None:
    target = registry.target(PostgresConnection("shop", url=url))
    with pytest.raises(ConversionError, match="customer") as caught, target.session() as session:
        session.execute("INSERT INTO orders VALUES (1, NULL, 1)", {})
    assert "table public.orders" in str(caught.value)


def test_broken_check_names_the_constraint_and_the_row(url: str) -> None:
    with pytest.raises(ConversionError, match="orders_amount_check") as caught:
        load(url, "orders", pa.table({"id": [1], "customer": [1], "amount": AMOUNT.slice(0, 1)}))
    assert "-1.00" in str(caught.value)


def test_doubled_key_names_the_key(url: str) -> None:
    with pytest.raises(KeyViolationError, match=r"\(id\)=\(7\)"):
        load(url, "orders", pa.table({"id": [7, 7], "customer": [1, 1], "amount": AMOUNT.take(pa.array([1, 1]))}))


def test_broken_reference_names_both_tables(url: str) -> None:
    with pytest.raises(KeyViolationError, match="customers"):
        load(url, "invoices", pa.table({"id": [1], "customer": [404]}))


def test_columns_that_the_server_computes_are_left_alone(url: str) -> None:
    a = pa.array([4], pa.int32())
    load(url, "computed", pa.table({"a": a}))
    assert execute(url, "SELECT id, a, twice FROM computed") == [(1, 4, 8)]
    with pytest.raises(DriftError, match="twice"):
        load(url, "computed", pa.table({"a": a, "twice": a}))
    target = registry.target(PostgresConnection("shop", url=url))
    with pytest.raises(SqlError, match="GENERATED ALWAYS"), target.session() as session:
        session.insert(TableName("", "computed"), ("id", "a"), "SELECT 1, 2", {})


def test_names_that_postgres_would_cut_are_refused_when_planned(url: str) -> None:
    connection = PostgresConnection("shop", url=url)

    @job(name="long", target="t" * 64, target_connection=connection)
    def table() -> pa.Table:
        return pa.table({"a": [1]})

    @job(name="wide", target="short", target_connection=connection)
    def column() -> pa.Table:
        return pa.table({"ü" * 32: [1]})

    for declared in (table, column):
        with pytest.raises(UnsupportedError, match="63 bytes"):
            plan_job(declared)


def test_wrong_password_is_permanent_and_not_shown() -> None:
    error = failure(account("postgres", "password").replace(SECRET, f"{SECRET}x"))
    assert isinstance(error, Permanent)
    assert "password" in str(error)


def test_password_with_every_special_character_is_understood() -> None:
    source = registry.source(PostgresConnection("shop", url=account("postgres", "password")))
    assert "PostgreSQL" in source.check()
    source.close()


def test_missing_database_is_permanent(url: str) -> None:
    error = failure(in_database(url, "no_such_database"))
    assert isinstance(error, Permanent)
    assert "no_such_database" in str(error)


def test_missing_privilege_says_which_grant_helps(url: str) -> None:
    unprivileged = in_database(account("postgres", "unprivileged"), url.rpartition("/")[2])
    error = failure(unprivileged, "SELECT * FROM orders")
    assert isinstance(error, Permanent)
    assert "GRANT" in str(error)
    assert "orders" in str(error)


def test_nothing_listening_is_transient() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = failure(f"postgresql://postgres:{SECRET}@127.0.0.1:{port}/postgres")
    assert isinstance(error, ConnectError)
    assert str(port) in str(error)


def test_unknown_host_is_named() -> None:
    error = failure(f"postgresql://postgres:{SECRET}@no-such-host.invalid/postgres?connect_timeout=5")
    assert isinstance(error, ConnectError)
    assert "no-such-host.invalid" in str(error)


def test_server_that_does_not_answer_is_given_up() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        error = failure(f"postgresql://postgres@127.0.0.1:{deaf.getsockname()[1]}/postgres?connect_timeout=1")
    assert isinstance(error, ConnectError)
    assert "connect_timeout" in str(error)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"url": ""}, "url="), ({"url": "mysql://a/b"}, "postgresql://"),
        ({"url": "postgresql://h/d?sslmod=require"}, "'sslmode'"),
        ({"url": "postgresql://h/d?sslmode=nope"}, "sslmode"),
        ({"url": "postgresql://h:x/d"}, "port"), ({"url": "postgresql://h/d?connect_timeout=x"}, "connect_timeout"),
        ({"url": "postgresql://h/d", "options": {"parallel": 0}}, "parallel"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_by_name(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        registry.source(PostgresConnection("shop", **settings)).check()


def test_unknown_session_setting_is_refused_in_the_servers_words(url: str) -> None:
    assert isinstance(failure(url, stament_timeout=1), ConfigError)
    error = failure(url, statement_timeout="soon")
    assert isinstance(error, ConfigError)
    assert "statement_timeout" in str(error)


def test_statement_timeout_of_the_connection_holds(url: str) -> None:
    error = failure(url, "SELECT pg_sleep(5)::text AS nap", statement_timeout="100ms")
    assert isinstance(error, RunError)
    assert "statement timeout" in str(error)


class TestTls:
    def test_certificate_is_checked_against_its_authority(self) -> None:
        checked = f"{at_host(account('postgres', 'tls_only'), 'localhost')}?sslmode=verify-full&sslrootcert="
        source = registry.source(PostgresConnection("shop", url=f"{checked}{ca()}"))
        assert "PostgreSQL" in source.check()
        source.close()
        assert isinstance(failure(f"{checked}{other_ca()}"), ConfigError)

    def test_certificate_for_another_name_is_refused(self) -> None:
        wrong = at_host(account("postgres", "tls_only"), "127.0.0.1")
        error = failure(f"{wrong}?sslmode=verify-full&sslrootcert={ca()}")
        assert isinstance(error, ConfigError)
        assert "certificate" in str(error)

    def test_user_who_must_use_tls_is_refused_without(self) -> None:
        error = failure(f"{account('postgres', 'tls_only')}?sslmode=disable")
        assert isinstance(error, Permanent)

    def test_missing_file_of_the_authority_is_named(self) -> None:
        error = failure(f"{account('postgres', 'tls_only')}?sslmode=verify-ca&sslrootcert=/no/such.pem")
        assert isinstance(error, ConfigError)
        assert "/no/such.pem" in str(error)


def test_standby_can_be_read_and_refuses_to_be_written() -> None:
    with primary_and_standby() as (primary, standby):
        load(primary.url, "numbers", pa.table({"n": [1, 2]}))
        with pytest.raises(EmatixError, match="primary") as caught:
            load(standby.url, "more_numbers", pa.table({"n": [1, 2]}))
        assert not isinstance(caught.value, Transient)
        source = registry.source(PostgresConnection("standby", url=standby.url))
        assert source.read(Query(table="numbers")).read_all().num_rows <= 2
        source.close()
