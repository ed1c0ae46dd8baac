"""A stream of a table's changes that is killed again and again, while others write to the table without a pause.

What it has appended is gone through in order at the end: each row of the snapshot and each insert must come for a key
that is not there, each update and delete for one that is, and what comes out must be the table, row by row. So a change
that is lost, comes twice, or is in the snapshot and in the log, is found. The history that scd2 keeps is compared with
the log that the table keeps of its own changes. `EMATIX_CRASH=full` kills 50 times a server and mode.
"""

from __future__ import annotations

import json
import os
import random
import signal
import string
import threading
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from ematix_core.backends import registry
from ematix_core.backends.mysql.address import address
from ematix_core.backends.protocols import Query
from ematix_core.errors import MissingSourceError
from ematix_core.model.connection import MySQLConnection
from ematix_core.testing.crash import forked
from tests.crash import binlogs_scenario as scenario
from tests.crash import tally
from tests.crash.history import Told, Version
from tests.crash.history import judge as judge_history
from tests.servers.binlogs import changing_server
from tests.servers.reach import execute, in_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

FULL = os.environ.get("EMATIX_CRASH") == "full"
KILLS = 50 if FULL else 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOT, KEYS, SECONDS = 6, 3000, 120
POINTS = (
    "mysql.snapshot.after", "mysql.changes.after", "stream.poll.after", "stream.land.before", "stream.land.after",
    "sqlite.commit.before", "sqlite.commit.after",
)  # fmt: skip
CREATE = (
    f"CREATE TABLE {scenario.TABLE} (code VARCHAR(12) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, "
    "v BIGINT, note TEXT)"
)
"""The server orders such keys without regard to case, as nothing else does."""
_TELL = "INSERT INTO told (gone, code, v, note) VALUES"
_OLD, _NEW = f"{_TELL} (1, OLD.code, OLD.v, OLD.note)", f"{_TELL} (0, NEW.code, NEW.v, NEW.note)"
LOG = (
    "DROP TABLE IF EXISTS told",
    """CREATE TABLE told (number BIGINT AUTO_INCREMENT PRIMARY KEY, second BIGINT, gone BOOL, v BIGINT, note TEXT,
                          code VARCHAR(12) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, KEY (second))""",
    f"CREATE TRIGGER told_insert AFTER INSERT ON {scenario.TABLE} FOR EACH ROW {_NEW}",
    f"CREATE TRIGGER told_delete AFTER DELETE ON {scenario.TABLE} FOR EACH ROW {_OLD}",
    f"""CREATE TRIGGER told_update AFTER UPDATE ON {scenario.TABLE} FOR EACH ROW
        BEGIN IF BINARY OLD.code <> BINARY NEW.code THEN {_OLD}; END IF; {_NEW}; END""",
)
"""The log that the table keeps of its own changes. The writer sets the seconds that MariaDB's log has of them."""


def code(chance: random.Random) -> str:
    number = chance.randrange(HOT if chance.random() < 0.2 else KEYS)
    letter = string.ascii_letters[number % 52]
    return f"{letter}{number}"


def write(url: str, chance: random.Random, stop: threading.Event) -> None:
    """Change the table in transactions of all sizes until `stop`; a sixth of them is rolled back."""
    arguments = address(MySQLConnection("writer", url=url)).arguments()
    with closing(pymysql.connect(**arguments)) as connection, connection.cursor() as cursor:
        while not stop.is_set():
            for _ in range(chance.choice((1, 1, 3, 40, 400))):
                change(cursor, chance)
            if chance.random() < 1 / 6:
                connection.rollback()
            else:
                second = int(time.time())
                cursor.execute(f"SET timestamp = {second}")
                cursor.execute("UPDATE told SET second = %s WHERE second IS NULL", (second,))
                connection.commit()
            time.sleep(0.02)


def change(cursor: Any, chance: random.Random) -> None:  # noqa: ANN401 - PyMySQL has no types
    kind, key, other = chance.random(), code(chance), code(chance)
    value, note = chance.randrange(2**40), "x" * chance.randrange(50)
    if kind < 0.45:
        cursor.execute("INSERT IGNORE INTO orders VALUES (%s, %s, %s)", (key, value, note))
    elif kind < 0.75:
        cursor.execute("UPDATE orders SET v = %s, note = NULL WHERE code >= %s LIMIT 7", (value, key))
    elif kind < 0.85:
        with suppress(pymysql.err.IntegrityError):  # of UPDATE IGNORE triggers tell what it did not do
            cursor.execute("UPDATE orders SET code = %s WHERE code = %s", (other, key))
    else:
        cursor.execute("DELETE FROM orders WHERE code = %s", (key,))


@contextmanager
def load(url: str, seed: int) -> Iterator[None]:
    """Write from another thread as long as it lasts. An error of the writer is raised at the end."""
    stop, failures = threading.Event(), []

    def run() -> None:
        try:
            write(url, random.Random(seed), stop)  # noqa: S311 - what is written
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)

    writer = threading.Thread(target=run)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()
    assert not failures, failures


class Trial:
    """The stream of one server's table into a file in a folder of its own."""

    def __init__(self, url: str, folder: Path, mode: str) -> None:
        folder.mkdir()
        self.url, self.folder, self.mode, self.started = url, folder, mode, 0

    def start(self, point: str = "") -> BaseProcess:
        self.started += 1
        setup = {"url": self.url, "rows": 200 if point else 20_000, "mode": self.mode}
        (self.folder / "setup.json").write_text(json.dumps(setup), encoding="utf-8")
        log = self.folder.parent / f"{self.folder.name}_{self.started}.log"
        return forked([str(Path(scenario.__file__))], self.folder, log, {"EMATIX_FAILPOINT": point} if point else {})

    def died(self, process: BaseProcess) -> bool:
        """Wait for the end and say whether it was killed; an end by an error of its own fails the test."""
        process.join(SECONDS)
        log = self.folder.parent / f"{self.folder.name}_{self.started}.log"
        assert process.exitcode in {0, -signal.SIGKILL}, f"ended with {process.exitcode}\n{log.read_text()[-3000:]}"
        return process.exitcode != 0

    def judge(self) -> int:
        """Compare what was loaded with the table, or its log; return how many changes, or versions, there were."""
        return self._history() if self.mode == "scd2" else self._changes()

    def _changes(self) -> int:
        """Go through what was appended and compare the outcome with the table."""
        rows: dict[str, tuple[Any, ...]] = {}
        changes = sorted(read(scenario.target(self.folder), "changes"), key=lambda row: row["place"])
        for row in changes:
            known = row["code"] in rows
            assert known == (row["_op"] in {"update", "delete"}), f"{row} comes, and {rows.get(row['code'])} is there"
            if row["_op"] == "delete":
                del rows[row["code"]]
            else:
                rows[row["code"]] = (row["v"], row["note"])
        wanted = read(MySQLConnection("shop", url=self.url), scenario.TABLE)
        assert rows == {row["code"]: (row["v"], row["note"]) for row in wanted}
        assert len({row["place"] for row in changes}) == len(changes)
        return len(changes)

    def _history(self) -> int:
        """Compare the versions with the log, and those that are open with the table."""
        told = execute(self.url, "SELECT code, second, gone, v, note FROM told ORDER BY number")
        versions = read(scenario.target(self.folder), "changes")
        count = judge_history(
            [Told(key, int(str(at)) * 1_000_000, None if gone else tuple(values)) for key, at, gone, *values in told],
            [
                Version(row["code"], (row["v"], row["note"]), us(row["valid_from"]), us(row["valid_to"]),
                        current=row["is_current"])
                for row in versions
            ],
            copies=self.started,
        )  # fmt: skip
        wanted = read(MySQLConnection("shop", url=self.url), scenario.TABLE)
        opened = {row["code"]: (row["v"], row["note"]) for row in versions if row["is_current"]}
        assert opened == {row["code"]: (row["v"], row["note"]) for row in wanted}
        return count


def us(at: datetime | None) -> Any:  # noqa: ANN401 - None for None
    return None if at is None else (at - EPOCH) // timedelta(microseconds=1)


def read(connection: Any, table: str) -> list[dict[str, Any]]:  # noqa: ANN401 - any connection
    source = registry.source(connection)
    try:
        return source.read(Query(table=table)).read_all().to_pylist()
    except MissingSourceError:
        return []
    finally:
        source.close()


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    with changing_server(request.param, "--max-binlog-size=1048576") as made:
        execute(made.url, "CREATE DATABASE ematix_shop")
        yield request.param, in_database(made.url, "ematix_shop")


@pytest.mark.timeout(3600)
def test_killed_at_random_while_others_write_it_has_the_table_row_by_row(
    server: tuple[str, str], tmp_path: Path
) -> None:
    kind, url = server
    kills, changes = killed(url, tmp_path, "append")
    tally.note(f"streams of a binary log of {kind}: {changes} changes, none lost and none repeated", kills)


@pytest.mark.timeout(3600)
def test_killed_at_random_while_others_write_the_history_is_the_log_of_changes(tmp_path: Path) -> None:
    with changing_server("mariadb", "--max-binlog-size=1048576") as made:
        execute(made.url, "CREATE DATABASE ematix_shop")
        kills, versions = killed(in_database(made.url, "ematix_shop"), tmp_path, "scd2")
    tally.note(f"streams of a binary log of mariadb by scd2: {versions} versions, all as in the log of changes", kills)


def killed(url: str, folder: Path, mode: str) -> tuple[int, int]:
    """Kill streams under load, and judge each; return how many kills, and changes or versions, there were."""
    chance = random.Random(23)  # noqa: S311 - where it is killed
    kills = changes = round_ = 0
    while kills < KILLS:
        execute(url, f"DROP TABLE IF EXISTS {scenario.TABLE}", CREATE, *LOG)
        with load(url, round_):
            time.sleep(3)  # so that there are rows which do not change in the second of the copy
            run = Trial(url, folder / f"trial{round_}", mode)
            for attempt in range(10 if FULL else 4):
                # The first ones die in the snapshot, and it is resumed; the others in the log.
                point = f"{chance.choice(POINTS)}#{chance.randint(1, 3 if attempt < 3 else 12)}"
                kills += run.died(run.start(point))
        assert not run.died(run.start())
        changes += run.judge()
        round_ += 1
    return kills, changes
