"""Airflow's connections as ours: every type, every letter, and what there is nothing for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk import Connection
from ematix_provider.connections import AirflowConnections, as_ours
from hypothesis import given
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core.backends.mysql.address import address as mysql_address
from ematix_core.backends.postgres.address import address as postgres_address
from ematix_core.config.secrets import resolve_connection
from ematix_core.errors import ConfigError, EmatixError, UnsupportedError

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


def ours(**fields: Any) -> ematix.Connection:  # noqa: ANN401 - a connection's fields
    extra = fields.pop("extra", None)
    return as_ours("it", Connection(conn_id="it", **fields, extra=None if extra is None else json.dumps(extra)))


@given(password=TEXT, login=TEXT)
def test_any_password_and_user_of_postgres_survives(password: str, login: str) -> None:
    made = resolve_connection(
        ours(conn_type="postgres", host="db.example.com", port=5433, schema="shop", login=login, password=password)
    )
    found = postgres_address(made)
    assert (found.host, found.port, found.database, found.user) == ("db.example.com", 5433, "shop", login)
    # asyncpg takes the URL apart by the same rules as urllib
    assert found.dsn == f"postgresql://{quote(login, safe='')}:{quote(password, safe='')}@db.example.com:5433/shop"


@given(password=TEXT, login=TEXT, schema=TEXT.filter(lambda name: name.strip("/") == name))
def test_any_password_user_and_database_of_mysql_survives(password: str, login: str, schema: str) -> None:
    made = resolve_connection(ours(conn_type="mysql", host="h", schema=schema, login=login, password=password))
    found = mysql_address(made)
    assert (found.user, found.password, found.database) == (login, password, schema)


def test_the_password_is_in_no_repr() -> None:
    made = ours(conn_type="postgres", host="h", schema="s", login="u", password="top/secret@word")  # noqa: S106 - a test's own
    assert "secret" not in repr(made)


def test_what_the_extra_of_postgres_says_goes_into_the_url_and_what_hooks_read_does_not() -> None:
    extra = {
        "sslmode": "require", "connect_timeout": 5, "cursor": "dictcursor", "keepalives_idle": 30, "iam": False,
        "ematix": {"parallel": 4, "statement_timeout": "${literal}"},
    }  # fmt: skip
    made = ours(conn_type="postgres", host="h", schema="s", login="u", extra=extra)
    assert made.settings()["url"] == "postgresql://u@h/s?sslmode=require&connect_timeout=5"
    found = postgres_address(resolve_connection(made))
    assert (found.timeout, found.parallel) == (5.0, 4)
    assert found.settings["statement_timeout"] == "${literal}"


def test_a_misspelled_extra_is_refused_by_name() -> None:
    made = ours(conn_type="postgres", host="h", schema="s", login="u", extra={"ssl_mode": "require"})
    with pytest.raises(
        ConfigError, match=r"unknown URL parameter 'ssl_mode' \(connection it\)\nDid you mean 'sslmode'"
    ):
        postgres_address(made)


def test_the_extra_of_mysql_says_how_tls_is_used() -> None:
    files = {"ca": "/ca.pem", "cert": "/cert.pem", "key": "/key.pem"}
    extra = {"charset": "utf8", "local_infile": True, "ssl": files, "unix_socket": "/run/my sql.sock"}
    found = mysql_address(ours(conn_type="mysql", host="h", schema="s", login="u", extra=extra))
    assert found.tls == {"ssl_ca": "/ca.pem", "ssl_cert": "/cert.pem", "ssl_key": "/key.pem"}
    assert (found.mode, found.unix_socket) == ("VERIFY_CA", "/run/my sql.sock")


def test_an_ipv6_host_gets_its_brackets() -> None:
    found = mysql_address(ours(conn_type="mysql", host="fd00::1", port=3307, schema="s", login="u"))
    assert (found.host, found.port) == ("fd00::1", 3307)


@pytest.mark.parametrize(
    ("uri", "kind", "path"),
    [
        ("sqlite:////data/shop.db", "sqlite", "/data/shop.db"),
        ("sqlite:///relative/shop.db", "sqlite", "relative/shop.db"),
        ("sqlite://%2Fdata%2Fshop.db", "sqlite", "/data/shop.db"),
        ("duckdb:////data/wh.duckdb", "duckdb", "/data/wh.duckdb"),
        ("fs://?path=%2Flanding%2F%24%7Bx%7D", "objects", "/landing/$${x}"),
        ("file:///landing", "objects", "/landing"),
        ("fs://?path=%2Flanding&format=csv", "objects", "/landing"),
    ],
)
def test_files_and_folders_are_found_however_airflow_has_split_the_uri(uri: str, kind: str, path: str) -> None:
    made = as_ours("it", Connection.from_uri(uri, "it"))
    assert (made.kind, made.settings()["path"]) == (kind, path)


def test_the_format_of_a_folder_is_the_extra_s() -> None:
    assert ours(conn_type="fs", extra={"path": "/landing", "format": "csv"}).settings()["format"] == "csv"


def test_a_connection_of_type_ematix_is_any_that_a_url_of_ours_says() -> None:
    made = ours(conn_type="ematix", extra={"url": "duckdb:////data/wh.duckdb?memory_limit=1GB"})
    assert made == ematix.DuckDBConnection("it", path="/data/wh.duckdb", options={"memory_limit": "1GB"})
    with pytest.raises(ConfigError, match="says where a store is, and not where data is"):
        ours(conn_type="ematix", extra={"store": "sqlite:///runs.db"})


@pytest.mark.parametrize("kind", ["snowflake", "wasb", "redshift", "http", ""])
def test_a_type_without_a_backend_is_named_with_what_there_is(kind: str) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"of type {kind or 'none'!r}.*connection it.*\nIt can use the types postgres"
    ):
        ours(conn_type=kind, host="h")


def test_a_login_by_token_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="logs in by iam"):
        ours(conn_type="postgres", host="h", schema="s", extra={"iam": True})


@pytest.mark.parametrize(
    "fields", [{"conn_type": "sqlite"}, {"conn_type": "fs", "extra": {}}, {"conn_type": "fs", "extra": {"ematix": 1}}]
)
def test_a_connection_that_says_too_little_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(EmatixError, match="'it'"):
        ours(**fields)


def test_airflow_is_asked_once_for_each_name_and_never_for_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "sqlite:////data/shop.db")
    known = AirflowConnections()
    assert (list(known), len(known)) == ([], 0)
    assert "shop" in known
    assert known["shop"].settings()["path"] == "/data/shop.db"
    assert "lost" not in known
    monkeypatch.delenv("AIRFLOW_CONN_SHOP")
    monkeypatch.setenv("AIRFLOW_CONN_LOST", "sqlite:////data/lost.db")
    assert "shop" in known
    assert known.missing == ("lost",)
