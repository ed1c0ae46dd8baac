"""A store on a server that closes connections, dies, refuses, or lives in another time zone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import StoreError
from ematix_core.store import SCHEDULER_LEASE, Status, open_store
from tests.servers.own import own_server, primary_and_standby, read_only_server
from tests.servers.reach import account, at_host, ca, database, execute, in_database, url

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = ("postgres", "mariadb", "mysql")
FLOW = str(Path(sys.executable).with_name("flow"))
PIPELINE = """
import ematix_core as ematix
import pyarrow as pa


@ematix.job(target="orders", target_connection=ematix.DuckDBConnection("w", path="w.duckdb"))
def orders():
    return pa.table({"id": [1, 2, 3]})
"""
# Has every lock that stands in the way of others, and does nothing more.
FREEZE = """
import sys, time
from ematix_core.store import SCHEDULER_LEASE, open_store, servers
from ematix_core.store import fencing, numbering
servers.IDLE_SECONDS = dict.fromkeys(servers.IDLE_SECONDS, 1)
store = open_store(sys.argv[1])
lease = store.acquire_lease(SCHEDULER_LEASE, "first", 0.1)
with store._database.transaction() as connection:
    fencing.check(connection, lease.token)
    numbering.take(connection)
    print("locked", flush=True)
    time.sleep(300)
"""


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(server: str) -> Iterator[str]:
    with database(server) as made:
        yield made


def refusal(store_url: str) -> str:
    """Return what is said when the store cannot be opened; never with a password in it."""
    with pytest.raises(StoreError) as error:
        open_store(store_url)
    said = str(error.value)
    assert "hunter" not in said
    return said


def test_a_connection_that_the_server_closed_is_replaced(server: str, base: str) -> None:
    with open_store(base) as store:
        run = store.begin("orders")
        name = base.rpartition("/")[2]
        if server == "postgres":
            execute(url(server), f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        else:
            for (number,) in execute(url(server), f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):
                execute(url(server), f"KILL {number}")
        assert store.finish(run.run_id, Status.SUCCEEDED, seconds=0).status is Status.SUCCEEDED


def test_a_killed_server_is_an_error_with_a_hint_and_the_store_works_when_it_is_back(server: str) -> None:
    with own_server(server) as own:
        execute(own.url, "CREATE DATABASE store")
        with open_store(in_database(own.url, "store")) as store:
            run = store.begin("orders")
            own.kill()
            with pytest.raises(StoreError, match=r"Check that the server runs|went away"):
                store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
            own.start()
            assert store.run(run.run_id).status is Status.RUNNING
            assert store.finish(run.run_id, Status.SUCCEEDED, seconds=0).status is Status.SUCCEEDED


def test_a_process_that_freezes_within_a_transaction_does_not_keep_the_others_from_working(base: str) -> None:
    with open_store(base) as store:
        frozen = subprocess.Popen([sys.executable, "-c", FREEZE, base], stdout=subprocess.PIPE, text=True)
        assert frozen.stdout is not None
        try:
            assert frozen.stdout.readline() == "locked\n"
            begun = time.monotonic()
            assert store.acquire_lease(SCHEDULER_LEASE, "second", 60) is not None
            assert store.pause("nightly")
            assert time.monotonic() - begun < 10
        finally:
            frozen.kill()
            frozen.communicate()


def test_a_wrong_password_is_named_and_not_shown(server: str, base: str) -> None:
    wrong = in_database(account(server, "password").replace("hunter2", "hunter3"), base.rpartition("/")[2])
    assert "Check user and password in EMATIX_STORE" in refusal(wrong)


def test_a_password_among_the_options_is_not_shown(base: str) -> None:
    said = refusal(f"{base}?password=hunter3&nosuchoption=1")
    assert "***" in said
    assert "nosuchoption" in said


def test_a_database_that_does_not_exist_is_named(server: str) -> None:
    said = refusal(in_database(url(server), "ematix_nowhere"))
    assert "ematix_nowhere" in said
    assert "Create the database" in said


def test_a_url_without_a_database_is_refused(server: str) -> None:
    assert "names no database" in refusal(in_database(url(server), ""))


def test_a_server_that_does_not_run_is_named(server: str) -> None:
    host = "//postgres@127.0.0.1:1/" if server == "postgres" else "//root@127.0.0.1:1/"
    for there in (host, host.replace("127.0.0.1:1", "nowhere.invalid")):
        said = refusal(f"{url(server).partition(':')[0]}:{there}runs")
        assert "host and port in EMATIX_STORE" in said


def test_a_user_who_may_not_make_tables_is_told_so(server: str, base: str) -> None:
    role = "unprivileged" if server == "postgres" else "read_only"
    said = refusal(in_database(account(server, role), base.rpartition("/")[2]))
    assert "grant it that" in said


def test_a_replica_is_told_from_a_server_that_takes_writes() -> None:
    with primary_and_standby() as (primary, standby):
        execute(primary.url, "CREATE DATABASE store")
        with open_store(in_database(primary.url, "store")) as store:
            run = store.begin("orders")
        caught_up = f"SELECT pg_last_wal_replay_lsn() >= '{execute(primary.url, 'SELECT pg_current_wal_lsn()')[0][0]}'"
        while execute(standby.url, caught_up) != [(True,)]:
            time.sleep(0.05)
        with open_store(in_database(standby.url, "store")) as copy:
            with pytest.raises(StoreError, match="name the one that takes writes"):
                copy.begin("customers")
            assert copy.run(run.run_id).job == "orders"


@pytest.mark.parametrize("kind", ["mariadb", "mysql"])
def test_a_read_only_server_is_told_from_one_that_takes_writes(kind: str) -> None:
    with read_only_server(kind) as (own, user):
        execute(own.url, "CREATE DATABASE ematix_store")
        assert "name the one that takes writes" in refusal(in_database(user, "ematix_store"))


@pytest.mark.parametrize("role", ["password", "tls_only"])
def test_a_password_with_signs_and_tls_are_taken_from_the_url(server: str, role: str) -> None:
    name = f"ematix_{os.getpid()}_{role}"
    user = account(server, role)
    execute(in_database(user, "postgres" if server == "postgres" else ""), f"CREATE DATABASE {name}")
    options = f"sslmode=verify-full&sslrootcert={ca()}" if server == "postgres" else f"ssl_ca={ca()}"
    try:
        with open_store(f"{at_host(in_database(user, name), 'localhost')}?{options}") as store:
            store.begin("orders")
        wrong_host = f"{at_host(in_database(user, name), '127.0.0.1')}?{options}"
        assert "certificate" in refusal(wrong_host)
    finally:
        execute(url(server), f"DROP DATABASE {name}")


def test_clock_and_time_zone_of_the_server_do_not_matter(server: str) -> None:
    options = ["-c", "timezone=Asia/Tokyo"] if server == "postgres" else ["--default-time-zone=+09:00"]
    with own_server(server, options=options) as own:
        execute(own.url, "CREATE DATABASE store")
        with open_store(in_database(own.url, "store")) as store:
            run = store.begin("orders")
            assert abs(datetime.now(UTC) - run.started_at) < timedelta(minutes=1)
            assert store.run(run.run_id) == run
        (stored,) = execute(in_database(own.url, "store"), "SELECT started_at FROM ematix_runs")[0]
        assert stored == run.started_at.replace(tzinfo=None)


@pytest.mark.parametrize(("scheme", "extra"), [("postgresql", "postgres"), ("mysql", "mysql"), ("mariadb", "mysql")])
def test_a_missing_driver_is_named_with_its_extra(scheme: str, extra: str) -> None:
    code = (
        "import sys\nsys.modules |= {'psycopg': None, 'pymysql': None}\nimport ematix_core.store as s\n"
        f"s.open_store('{scheme}://u:hunter2@h/d')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f'Run: pip install "ematix[{extra}]"' in done.stderr
    assert "hunter2" not in done.stderr.replace(code, "")


def test_the_commands_record_and_show_runs_there(base: str, tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(PIPELINE, encoding="utf-8")

    def flow(*arguments: str) -> str:
        return subprocess.run(
            [FLOW, *arguments], cwd=tmp_path, env=os.environ | {"EMATIX_STORE": base},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    assert "succeeded" in flow("run", "pipelines.py", "orders")
    (run,) = json.loads(flow("runs", "--json"))["runs"]
    assert (run["job"], run["status"], run["inserted"]) == ("orders", "succeeded", 3)
    assert "orders" in flow("runs", "show", "orders")
    assert base.rpartition("/")[2] in flow("doctor")
    assert not (tmp_path / ".ematix" / "runs.db").exists()
