"""A consumer of PostgreSQL's changes that is killed at random, under a random load, loses none and tells none twice.

It is killed in its first copy, too. A history is compared with the log of changes that the table keeps by a trigger. A
sample runs with the other tests; `EMATIX_CRASH=full` (`make crash`) kills it 50 times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from ematix_core.testing.crash import forked
from tests.crash import changes_scenario, tally
from tests.crash.history import Told, Version
from tests.crash.history import judge as judge_history
from tests.servers.reach import execute, in_database
from tests.servers.replicating import replicating

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

FULL = os.environ.get("EMATIX_CRASH") == "full"
KILLS = {"append": 50 if FULL else 8, "merge": 50 if FULL else 4, "scd2": 50 if FULL else 4}
LAST_BATCH = 30_000_000
"""Bytes of log that may lie behind what was confirmed: the target is on the same server."""
HOT, KEYS, COPIED, WRITERS, SECONDS = 6, 2_000, 20_000, 3, 120
POINTS = (
    "stream.poll.after",
    "stream.land.before",
    "stream.land.after",
    "postgres.commit.after",
    "stream.commit.after",
)
MAKE = (
    "CREATE TABLE accounts (id int, part text, balance numeric(12, 2) NOT NULL, note text, PRIMARY KEY (part, id))",
    "CREATE TABLE told (number bigserial, by xid8 DEFAULT pg_current_xact_id(), gone bool, LIKE accounts)",
    """
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND (OLD.part, OLD.id) <> (NEW.part, NEW.id)) THEN
            INSERT INTO told (gone, id, part, balance, note) VALUES (true, OLD.id, OLD.part, OLD.balance, OLD.note);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO told (gone, id, part, balance, note) VALUES (false, NEW.id, NEW.part, NEW.balance, NEW.note);
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION tell()",
    f"INSERT INTO accounts SELECT i, 'p' || i % 3, i, 'note ' || i FROM generate_series(1, {COPIED}) i",
)


class Load:
    """Writers that change accounts at random, in transactions of several statements, until the block ends."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._over = threading.Event()
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._write, args=(seed + number,)) for number in range(WRITERS)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - what is written
        try:
            with psycopg.connect(self._url) as connection:
                while not self._over.is_set():
                    self._transaction(connection, chance)
        except BaseException as error:  # noqa: BLE001 - raised by the test
            self.failures.append(error)

    def _transaction(self, connection: psycopg.Connection, chance: random.Random) -> None:
        try:
            for _ in range(chance.choice((1, 1, 1, 2, 5))):
                statement(connection, chance)
                if chance.random() < 0.05:
                    time.sleep(0.02)
            if chance.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            connection.rollback()


def statement(connection: psycopg.Connection, chance: random.Random) -> None:
    """Change some accounts."""
    number = chance.randrange(1, HOT if chance.random() < 0.3 else KEYS + COPIED)
    key = (f"p{number % 3}" if chance.random() < 0.5 else f"p{chance.randrange(3)}", number)
    amount = chance.randrange(1, 10_000)
    match chance.choices(("insert", "update", "delete", "move", "many"), (5, 8, 3, 2, 0.2))[0]:
        case "insert":
            connection.execute(
                "INSERT INTO accounts VALUES (%s, %s, %s, NULL) ON CONFLICT (part, id) DO UPDATE SET balance = 0",
                (key[1], key[0], amount),
            )
        case "update":
            connection.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (amount, key[1]))
        case "delete":
            connection.execute("DELETE FROM accounts WHERE (part, id) = (%s, %s)", key)
        case "move":
            connection.execute("UPDATE accounts SET id = id + 50000 WHERE (part, id) = (%s, %s)", key)
        case "many":
            connection.execute(
                "UPDATE accounts SET note = %s WHERE id BETWEEN %s AND %s", (f"n{amount}", key[1], key[1] + 400)
            )


class Consumers:
    """Starts consumers, one after the other, in one folder."""

    def __init__(self, folder: Path, setup: dict[str, Any]) -> None:
        self._folder, self._setup, self._started = folder, setup, 0

    def start(self, *, until_idle: bool = False, rows: int = 700, **given: str) -> BaseProcess:
        """Start one. `given`: what its environment says about failpoints."""
        self._started += 1
        text = json.dumps({**self._setup, "until_idle": until_idle, "rows": rows})
        (self._folder / "setup.json").write_text(text, encoding="utf-8")
        self.log = self._folder / f"{self._started}.log"
        return forked([str(Path(changes_scenario.__file__))], self._folder, self.log, given)

    def kill(self, chance: random.Random) -> None:
        """Let one run for some steps and kill it, at a failpoint or at any instant after one."""
        if chance.random() < 0.5:
            process = self.start(EMATIX_FAILPOINT=f"{chance.choice(POINTS)}#{chance.randint(1, 8)}")
            process.join(SECONDS)
        else:
            trace, steps = self._folder / f"{self._started}.trace", chance.randint(1, 60)
            process = self.start(EMATIX_FAILPOINT_TRACE=str(trace))
            deadline = time.monotonic() + SECONDS
            while not trace.exists() or len(trace.read_text(encoding="utf-8").splitlines()) < steps:
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                assert process.exitcode is None, self.log.read_text()[-3000:]
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.2))
            process.kill()
            process.join()
        assert process.exitcode == -signal.SIGKILL, self.log.read_text()[-3000:]

    def drain(self) -> None:
        """Let one consume all there is."""
        process = self.start(until_idle=True, rows=20_000)
        process.join(SECONDS * (5 if FULL else 1))
        assert process.exitcode == 0, self.log.read_text()[-3000:]


@pytest.mark.timeout(1800 if FULL else 300)
@pytest.mark.parametrize("mode", KILLS)
def test_changes_survive_consumers_that_are_killed_at_random(tmp_path: Path, mode: str) -> None:
    chance = random.Random(7)  # noqa: S311 - when it is killed
    with replicating(settings=("track_commit_timestamp=on",)) as server:
        execute(server.url, *MAKE, "CREATE DATABASE target")
        target = in_database(server.url, "target")
        consumers = Consumers(tmp_path, {"source": server.url, "target": target, "mode": mode})
        load = Load(server.url, 7)
        with load:
            for _ in range(KILLS[mode]):
                consumers.kill(chance)
        assert load.failures == []
        consumers.drain()
        changes = JUDGES[mode](server.url, target)
        state = execute(server.url, "SELECT pg_current_wal_lsn() - confirmed_flush_lsn FROM pg_replication_slots")
        assert state[0][0] < LAST_BATCH  # type: ignore[operator]  # a number
    tally.note(f"kills of a consumer of changes by {mode}; {changes} {SAID[mode]}", KILLS[mode])


def judge(source: str, target: str) -> int:
    """Apply the changes strictly, compare with the source row by row, and return how many there were."""
    told = execute(target, "SELECT _offset, _op, part, id, balance, note FROM changes ORDER BY _offset")
    assert [row[0] for row in told] == list(range(len(told)))
    rows: dict[tuple[object, object], tuple[object, ...]] = {}
    copies = 0
    for offset, op, part, number, *values in told:
        there = (part, number) in rows
        assert there == (op in {"update", "delete"}), (offset, op, part, number)
        copies += op == "snapshot"
        if op == "delete":
            del rows[part, number]
        else:
            rows[part, number] = tuple(values)
    wanted = {
        (part, number): tuple(values)
        for part, number, *values in execute(source, "SELECT * FROM (SELECT part, id, balance, note FROM accounts) a")
    }
    assert rows == wanted
    assert len(told) > copies > COPIED // 2
    return len(told)


def compare(source: str, target: str) -> int:
    """Compare what was merged with the source, row by row, and return how many rows there are."""
    asked = "SELECT part, id, balance, note FROM {} ORDER BY part, id"
    rows = execute(target, asked.format("changes"))
    assert rows == execute(source, asked.format("accounts"))
    assert len(rows) > COPIED // 2
    return len(rows)


def compare_history(source: str, target: str) -> int:
    """Compare the history with the log of changes, and what is open with the source; return how many versions."""
    told = execute(
        source,
        "SELECT part, id, (extract(epoch FROM pg_xact_commit_timestamp(by::text::xid)) * 1000000)::bigint, gone, "
        "balance, note FROM told ORDER BY number",
    )
    versions = execute(
        target,
        "SELECT part, id, (extract(epoch FROM valid_from) * 1000000)::bigint, "
        "(extract(epoch FROM valid_to) * 1000000)::bigint, is_current, balance, note FROM changes",
    )
    changes: list[Told] = []
    for part, number, at, gone, *values in told:
        changes.append(Told((part, number), int(str(at)), None if gone else tuple(values)))
    count = judge_history(
        changes,
        (
            Version((part, number), tuple(values), int(str(begin)), None if end is None else int(str(end)), current)  # type: ignore[arg-type] # a Boolean
            for part, number, begin, end, current, *values in versions
        ),
        copies=KILLS["scd2"] + 1,
    )
    opened = "SELECT part, id, balance, note FROM changes WHERE is_current ORDER BY part, id"
    assert execute(target, opened) == execute(source, "SELECT part, id, balance, note FROM accounts ORDER BY part, id")
    assert count > COPIED // 2
    return count


JUDGES = {"append": judge, "merge": compare, "scd2": compare_history}
SAID = {
    "append": "changes, none lost, none twice", "merge": "rows, all as in the source",
    "scd2": "versions, all as in the log of changes",
}  # fmt: skip
