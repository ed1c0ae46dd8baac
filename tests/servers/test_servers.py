"""`make servers`: what it starts, how often it can be called, and the servers that tests get for themselves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from tests.servers.own import own_server, postgres_with_little_disk, primary_and_standby, read_only_server
from tests.servers.reach import account, at_host, ca, database, execute, in_database, other_ca, url
from tools.servers import urls
from tools.servers.__main__ import up
from tools.servers.client import PASSWORD
from tools.servers.kinds import make
from tools.servers.mysql import MySQL
from tools.servers.system import CHECKOUT, ServerError

if TYPE_CHECKING:
    from pathlib import Path

ALL = ("postgres", "mariadb", "mysql")
REFUSED = (psycopg.OperationalError, pymysql.err.OperationalError)


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.servers", *arguments],
        cwd=CHECKOUT, env=os.environ | environ, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("server", "version"), [("postgres", "PostgreSQL 15"), ("mariadb", "10.11"), ("mysql", "8.0.15")]
)
def test_each_server_is_what_it_says(server: str, version: str) -> None:
    ((found,),) = execute(url(server), "SELECT version()")
    assert version in str(found)
    assert ("MariaDB" in str(found)) == (server == "mariadb")


def test_change_capture_is_possible() -> None:
    assert execute(url("postgres"), "SHOW wal_level") == [("logical",)]
    for server in ("mariadb", "mysql"):
        assert execute(url(server), "SELECT @@log_bin, @@binlog_format, @@local_infile") == [(1, "ROW", 1)]


def test_what_runs_already_is_left_alone_and_quickly() -> None:
    before = urls.read()
    began = time.monotonic()
    done = command("up")
    assert done.returncode == 0, done.stdout
    assert all(f"{server}: " in done.stdout and "FAILED" not in done.stdout for server in ALL)
    assert {server: urls.read()[server] for server in ALL} == {server: before[server] for server in ALL}
    assert time.monotonic() - began < 20  # it takes 1.3 s on a machine that has nothing else to do
    assert command("status").returncode == 0


def test_a_server_that_the_environment_names_is_used() -> None:
    done = command("up", "postgres", EMATIX_TEST_POSTGRES_URL=url("postgres"))
    assert "EMATIX_TEST_POSTGRES_URL is used" in done.stdout, done.stdout


def test_a_name_that_is_no_server_is_refused() -> None:
    done = command("up", "oracle")
    assert done.returncode == 2
    assert "no such server: oracle" in done.stderr


@pytest.mark.parametrize(
    ("server", "role"),
    [(server, role) for server in ALL for role in ("password", "unprivileged")]
    + [("mariadb", "read_only"), ("mysql", "read_only")],
)
def test_a_user_needs_the_right_password(server: str, role: str) -> None:
    right = account(server, role)
    if server == "postgres":
        assert execute(right, "SELECT 1") == [(1,)]
    else:  # without a database: these users have none of the server's own
        assert execute(in_database(right, ""), "SELECT 1") == [(1,)]
    with pytest.raises(REFUSED):
        execute(in_database(right.replace("hunter2", "hunter3"), ""), "SELECT 1")


@pytest.mark.parametrize("server", ALL)
def test_a_user_without_privileges_may_not_read(server: str) -> None:
    with database(server) as base:
        execute(base, "CREATE TABLE t (i int)")
        stranger = in_database(account(server, "unprivileged"), base.rpartition("/")[2])
        with pytest.raises((psycopg.errors.InsufficientPrivilege, pymysql.err.OperationalError)):
            execute(stranger, "SELECT * FROM t")


@pytest.mark.parametrize("server", ALL)
def test_the_certificate_holds_for_localhost_and_its_authority_only(server: str) -> None:
    user = in_database(account(server, "tls_only"), "postgres" if server == "postgres" else "")
    assert execute(at_host(user, "localhost"), "SELECT 1", ca=ca()) == [(1,)]
    with pytest.raises(REFUSED):
        execute(at_host(user, "127.0.0.1"), "SELECT 1", ca=ca())
    with pytest.raises(REFUSED):
        execute(at_host(user, "localhost"), "SELECT 1", ca=other_ca())


def test_a_user_of_tls_gets_in_by_tls_only() -> None:
    plain = account("postgres", "tls_only") + "?sslmode=disable"
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        execute(plain, "SELECT 1")
    for server in ("mariadb", "mysql"):
        parts = urlsplit(account(server, "tls_only"))
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            pymysql.connect(
                host=parts.hostname, port=parts.port, user=parts.username, password=PASSWORD, ssl_disabled=True
            )


def test_mysql_has_a_user_of_caching_sha2_password() -> None:
    assert execute(in_database(account("mysql", "sha2"), ""), "SELECT 1") == [(1,)]
    query = "SELECT DISTINCT plugin FROM mysql.user WHERE user = 'ematix_sha2'"
    assert execute(url("mysql"), query) == [("caching_sha2_password",)]


@pytest.mark.parametrize("kind", ALL)
def test_a_killed_server_comes_back_with_what_was_committed(kind: str) -> None:
    with own_server(kind) as server:
        execute(server.url, "CREATE DATABASE d")
        base, address = in_database(server.url, "d"), server.url
        execute(base, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (7)")
        server.kill()
        with pytest.raises(REFUSED):
            execute(base, "SELECT 1")
        server.start()
        assert server.url == address
        assert execute(base, "SELECT i FROM t") == [(7,)]
        server.stop()
        assert not server.running
    assert not server.folder.exists()


def test_a_port_that_is_taken_is_not_fought_for() -> None:
    with own_server("mariadb") as server, socket.socket() as other:
        server.stop()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        server.start()
        assert server.port != other.getsockname()[1]
        assert execute(server.url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("kind", ALL)
def test_a_server_that_cannot_start_says_why(kind: str) -> None:
    nonsense = "--nonsense=1"
    with pytest.raises(ServerError, match="nonsense"), own_server(kind, options=[nonsense]):
        pass


def test_a_standby_reads_what_the_primary_wrote_and_writes_nothing() -> None:
    with primary_and_standby() as (primary, standby):
        execute(primary.url, "CREATE TABLE t (i int)", "INSERT INTO t VALUES (7)")
        deadline = time.monotonic() + 30
        while execute(standby.url, "SELECT to_regclass('t')") == [(None,)]:
            assert time.monotonic() < deadline
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            execute(standby.url, "INSERT INTO t VALUES (8)")


@pytest.mark.parametrize("kind", ["mariadb", "mysql"])
def test_a_read_only_server_stops_users_without_super(kind: str) -> None:
    with read_only_server(kind) as (server, user):
        execute(server.url, "CREATE DATABASE ematix_d")
        with pytest.raises(pymysql.err.OperationalError, match="read-only"):
            execute(in_database(user, "ematix_d"), "CREATE TABLE t (i int)")


def test_a_small_tablespace_is_full_after_some_megabytes() -> None:
    with postgres_with_little_disk() as server:
        execute(server.url, "CREATE TABLE t (s text) TABLESPACE small")
        fill = "INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 100000)"
        with pytest.raises(psycopg.errors.DiskFull):
            execute(server.url, fill)
        assert execute(server.url, "SELECT count(*) FROM t") == [(0,)]


def test_a_server_that_this_machine_cannot_have_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(urls, "FILE", tmp_path / "urls.json")
    monkeypatch.delenv("EMATIX_TEST_MYSQL_URL", raising=False)
    absent = MySQL(tmp_path, make("mysql").tls)
    assert absent.packages() == []
    assert up([absent]) == 0
    with pytest.raises(RuntimeError, match=r"no mysql server is known: MySQL 8.0.15 is built for x86_64"):
        url("mysql")
