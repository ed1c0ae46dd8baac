"""What is done to PostgreSQL's tables as rows: values, keys, long values, shapes, and a first copy that is cut."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import ConversionError, MissingSourceError, SourceError
from ematix_core.model.connection import PostgresConnection
from tests.servers import postgres_types as native
from tests.servers.reach import execute
from tests.servers.replicating import replicating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.postgres.replication.stream import PostgresChanges
    from ematix_core.backends.stream_protocols import Polled, Positions

AT_ONCE = PollLimits(seconds=0)
FEW = PollLimits(rows=3, seconds=0)
_numbers = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with replicating() as server:
        yield server.url


class Shop:
    """A table of a test's own, and sources that follow it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.table = f"orders_{next(_numbers)}"
        self.sources: list[PostgresChanges] = []

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each a transaction, with the table's name for `{}`."""
        return execute(self.url, *(statement.replace("{}", self.table, 1) for statement in statements))

    def transaction(self, *statements: str) -> None:
        """Run statements in one transaction."""
        with psycopg.connect(self.url) as connection:
            for statement in statements:
                connection.execute(statement.replace("{}", self.table, 1).encode())

    def follow(self, start: Any = "earliest", **options: object) -> PostgresChanges:  # noqa: ANN401 - see Start
        """Return a source of the table that begins there; the one before it is closed."""
        for source in self.sources:
            source.close()
        made: Any = registry.stream_source(PostgresConnection("shop", url=self.url), StreamQuery(self.table, options))
        self.sources.append(made)
        made.seek(start)
        return self.sources[-1]

    def end(self) -> None:
        """Give everything back."""
        for source in self.sources:
            source.close()
        if self.sources:
            self.sources[-1].drop()
            self.sources[-1].close()


@pytest.fixture
def shop(url: str) -> Iterator[Shop]:
    made = Shop(url)
    yield made
    made.end()


def polls(source: PostgresChanges, limits: PollLimits = AT_ONCE) -> list[Polled]:
    found = []
    while (polled := source.poll(limits)) is not None:
        found.append(polled)
    return found


def rows(source: PostgresChanges, *names: str, limits: PollLimits = AT_ONCE) -> list[tuple[Any, ...]]:
    """Return these columns of all rows that there are, after what was done to each."""
    return [
        tuple(row[name] for name in ("_op", *names)) for one in polls(source, limits) for row in one.rows.to_pylist()
    ]


def test_changes_are_rows_with_what_was_done(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY, v text)", "INSERT INTO {} VALUES (1, 'a'), (2, NULL)")
    source = shop.follow()
    assert rows(source, "id", "v", "_deleted") == [("snapshot", 1, "a", False), ("snapshot", 2, None, False)]
    shop.run("INSERT INTO {} VALUES (3, 'c')", "UPDATE {} SET v = 'b' WHERE id = 2", "DELETE FROM {} WHERE id = 1")
    assert rows(source, "id", "v", "_deleted", "_offset") == [
        ("insert", 3, "c", False, 2), ("update", 2, "b", False, 3), ("delete", 1, None, True, 4),
    ]  # fmt: skip


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL", "USING INDEX"])
def test_a_new_key_is_a_deletion_and_an_insertion(shop: Shop, identity: str) -> None:
    index = f"{shop.table}_code" if identity == "USING INDEX" else ""
    shop.run(
        "CREATE TABLE {} (id int PRIMARY KEY, code text NOT NULL, v int)",
        f"CREATE UNIQUE INDEX {shop.table}_code ON {shop.table} (code)",
        f"ALTER TABLE {{}} REPLICA IDENTITY {identity} {index}",
        "INSERT INTO {} VALUES (1, 'x', 10), (2, 'y', 20)",
    )
    source = shop.follow()
    assert len(rows(source)) == 2
    column = "code" if index else "id"
    shop.run(f"UPDATE {{}} SET {column} = {column} || '9' WHERE id = 2".replace("id || '9'", "29"),
             "UPDATE {} SET v = 11 WHERE id = 1")  # fmt: skip
    found = rows(source, column, "v", "_deleted")
    old, new = ("y", "y9") if index else (2, 29)
    assert found == [
        ("delete", old, 20 if identity == "FULL" else None, True), ("insert", new, 20, False),
        ("update", "x" if index else 1, 11, False),
    ]  # fmt: skip


def test_without_a_key_an_update_is_a_deletion_and_an_insertion(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (v int)", "ALTER TABLE {} REPLICA IDENTITY FULL", "INSERT INTO {} VALUES (1)")
    source = shop.follow()
    assert rows(source, "v") == [("snapshot", 1)]
    shop.run("UPDATE {} SET v = 2", "DELETE FROM {}")
    assert rows(source, "v") == [("delete", 1), ("insert", 2), ("delete", 2)]


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_values_of_every_type_are_those_of_a_query(shop: Shop, identity: str) -> None:
    have = {name for (name,) in shop.run("SELECT typname FROM pg_type")}
    shop.run(*(s for s in native.SETUP if s.split()[2] not in have))
    made, *inserts = native.create(shop.table)
    shop.run(made, "ALTER TABLE {} ADD PRIMARY KEY (n)", f"ALTER TABLE {{}} REPLICA IDENTITY {identity}")
    source = shop.follow(snapshot="never")
    execute(shop.url, *inserts)
    got = pa.Table.from_batches([one.rows for one in polls(source)]).combine_chunks()
    reader = registry.source(PostgresConnection("shop", url=shop.url))
    expected = reader.read(Query(sql=f"SELECT * FROM {shop.table} ORDER BY n")).read_all().combine_chunks()
    reader.close()
    assert got.num_rows == native.ROWS
    for field in expected.schema:
        assert got.schema.field(field.name).type == field.type, field.name
        assert got.column(field.name).equals(expected.column(field.name)), field.name


def test_a_value_that_arrow_has_not_is_named(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY, day date)")
    source = shop.follow()
    shop.run("INSERT INTO {} VALUES (1, 'infinity')")
    with pytest.raises(ConversionError, match="'day'"):
        source.poll(AT_ONCE)


LONG = "string_agg(md5(i::text || 'SEED'), '') FROM generate_series(1, 3000) i"


def long_text(shop: Shop, seed: str) -> str:
    return str(shop.run(f"SELECT {LONG.replace('SEED', seed)}")[0][0])


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_long_values_that_were_not_changed_are_there(shop: Shop, identity: str) -> None:
    shop.run(
        "CREATE TABLE {} (id int PRIMARY KEY, v int, long text)", f"ALTER TABLE {{}} REPLICA IDENTITY {identity}",
        *(f"INSERT INTO {{}} SELECT {i}, 0, {LONG.replace('SEED', str(i))}" for i in (1, 2)),
    )  # fmt: skip
    source = shop.follow(snapshot="never")
    shop.run("UPDATE {} SET v = 1", "UPDATE {} SET id = 3, v = 2 WHERE id = 2", "UPDATE {} SET long = 'x' WHERE id = 1")
    one, two = long_text(shop, "1"), long_text(shop, "2")
    found = rows(source, "id", "v", "long")
    if identity == "FULL":
        assert found == [
            ("update", 1, 1, one), ("update", 2, 1, two), ("delete", 2, 1, two), ("insert", 3, 2, two),
            ("update", 1, 1, "x"),
        ]  # fmt: skip
        return
    # They are looked up, as they are by now: the row of key 2 is gone, and comes again as that of key 3.
    assert found == [("update", 1, 1, "x"), ("delete", 2, None, None), ("insert", 3, 2, two), ("update", 1, 1, "x")]


def test_truncate_is_refused_or_skipped(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY)")
    source = shop.follow()
    assert polls(source) == []
    shop.run("INSERT INTO {} VALUES (1)", "TRUNCATE {}", "INSERT INTO {} VALUES (2)")
    assert rows_until_error(source) == [1]
    with pytest.raises(SourceError, match="TRUNCATE"):
        source.poll(AT_ONCE)
    source = shop.follow(source.positions(), on_truncate="skip")
    assert rows(source, "id") == [("insert", 2)]


def rows_until_error(source: PostgresChanges) -> list[Any]:
    polled = source.poll(AT_ONCE)
    return polled.rows.column("id").to_pylist() if polled else []


def test_columns_come_and_go_while_it_reads(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY, v int)")
    source = shop.follow()
    assert polls(source) == []
    shop.run(
        "INSERT INTO {} VALUES (1, 1)", "ALTER TABLE {} ADD COLUMN note text DEFAULT 'none'",
        "INSERT INTO {} VALUES (2, 2, 'b')", "ALTER TABLE {} RENAME COLUMN v TO amount",
        "ALTER TABLE {} ALTER COLUMN amount TYPE numeric(8, 2)", "UPDATE {} SET amount = 1.5 WHERE id = 1",
        "ALTER TABLE {} DROP COLUMN note", "DELETE FROM {} WHERE id = 2",
    )  # fmt: skip
    shapes = [(one.rows.schema.names[:-4], one.rows.num_rows) for one in polls(source)]
    first, second, third, fourth = (["id", "v"], ["id", "v", "note"], ["id", "amount", "note"], ["id", "amount"])
    assert [names for names, _ in shapes][:2] == [first, second]
    assert [names for names, _ in shapes][-2:] == [third, fourth]


def test_a_dropped_table_is_told_after_its_changes(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY)")
    source = shop.follow()
    assert polls(source) == []
    shop.run("INSERT INTO {} VALUES (1)", "DROP TABLE {}")
    assert rows_until_error(source) == [1]
    with pytest.raises(MissingSourceError, match="was dropped"):
        polls(source)


def test_partitions_are_one_table(shop: Shop) -> None:
    shop.run(
        "CREATE TABLE {} (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
        f"CREATE TABLE {shop.table}_a PARTITION OF {shop.table} FOR VALUES FROM (0) TO (10)",
        f"CREATE TABLE {shop.table}_b PARTITION OF {shop.table} FOR VALUES FROM (10) TO (20)",
        "INSERT INTO {} VALUES (1, 1), (11, 1)",
    )
    source = shop.follow()
    assert rows(source, "id") == [("snapshot", 1), ("snapshot", 11)]
    shop.run("INSERT INTO {} VALUES (2, 1), (12, 1)", "UPDATE {} SET id = 13 WHERE id = 2")
    assert rows(source, "id") == [("insert", 2), ("insert", 12), ("delete", 2), ("insert", 13)]


def test_generated_columns_are_left_out(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)",
             "INSERT INTO {} VALUES (1)")  # fmt: skip
    source = shop.follow()
    shop.run("INSERT INTO {} VALUES (2)")
    assert {tuple(one.rows.schema.names[:-4]) for one in polls(source)} == {("id",)}


def test_a_large_transaction_is_cut_and_goes_on_within(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY)")
    source = shop.follow()
    shop.run("INSERT INTO {} SELECT generate_series(1, 20000)", "INSERT INTO {} VALUES (20001)")
    first = source.poll(PollLimits(rows=7_000, seconds=0))
    assert first is not None
    assert first.rows.num_rows == 7_000
    source.commit(first.positions)
    again = shop.follow(first.positions)
    assert [row[1] for row in rows(again, "id")] == list(range(7_001, 20_002))


@pytest.mark.parametrize("key", ["int", "text", "uuid"])
def test_a_first_copy_that_is_cut_goes_on_without_gap_or_overlap(shop: Shop, key: str) -> None:
    """Rows change between and after the parts of the copy, in what was read and in what was not."""
    make = {"int": "i", "text": "'Ä' || i", "uuid": "md5(i::text)::uuid"}[key]
    shop.run(f"CREATE TABLE {{}} (id {key} PRIMARY KEY, v int)",
             f"INSERT INTO {{}} SELECT {make}, 0 FROM generate_series(1, 60) i")  # fmt: skip
    source = shop.follow()
    model: dict[Any, int] = {}
    seen: set[int] = set()
    for number in range(6):
        for polled in filter(None, [source.poll(PollLimits(rows=7, seconds=0))]):
            apply(polled, model, seen)
        with psycopg.connect(shop.url) as running:  # begun before the next part of the copy, and committed after
            running.execute(f"UPDATE {shop.table} SET v = v + 1 WHERE v % 5 = 0".encode())
            shop.run(f"INSERT INTO {{}} SELECT {make}, {number * 5 + 1} FROM generate_series({100 + number * 3}, "
                     f"{102 + number * 3}) i",
                     "DELETE FROM {} WHERE id IN (SELECT id FROM {} WHERE v % 5 <> 0 ORDER BY random() LIMIT 2)"
                     .replace("(SELECT id FROM {}", f"(SELECT id FROM {shop.table}"))  # fmt: skip
            source = shop.follow(source.positions())
            if number % 2:
                apply(source.poll(PollLimits(rows=1, seconds=0)), model, seen)
    for polled in polls(source, FEW):
        apply(polled, model, seen)
    assert model == dict(shop.run("SELECT id, v FROM {}"))


def apply(polled: Polled | None, model: dict[Any, int], seen: set[int]) -> None:
    """Apply changes strictly: what is inserted is not there yet, and what is changed is."""
    assert polled is not None
    for row in polled.rows.to_pylist():
        assert row["_offset"] not in seen
        seen.add(row["_offset"])
        there = row["id"] in model
        assert there == (row["_op"] in {"update", "delete"}), row
        if row["_deleted"]:
            del model[row["id"]]
        else:
            model[row["id"]] = row["v"]


def test_a_table_without_a_key_cannot_go_on_in_its_first_copy(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (v int)", "ALTER TABLE {} REPLICA IDENTITY FULL",
             "INSERT INTO {} SELECT generate_series(1, 9)")  # fmt: skip
    source = shop.follow()
    first = source.poll(FEW)
    assert first is not None
    again = shop.follow(first.positions)
    with pytest.raises(SourceError, match="without a key"):
        again.poll(FEW)


def test_the_slot_moves_on_only_by_commit(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY)")
    source = shop.follow()
    assert polls(source) == []
    begun = confirmed(source)
    shop.run("INSERT INTO {} VALUES (1)")
    (polled,) = polls(source)
    time.sleep(0.2)
    assert confirmed(source) == begun
    source.commit(polled.positions)
    until(lambda: confirmed(source) == polled.positions["0"][0])  # type: ignore[index]  # a list
    source.commit(source.positions())
    until(lambda: confirmed(source) > polled.positions["0"][0])  # type: ignore[index]  # a list


def confirmed(source: PostgresChanges) -> int:
    state = source.state()
    assert state is not None
    return state.confirmed


def until(holds: Any) -> None:  # noqa: ANN401 - a function
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sample_makes_no_slot(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY)", "INSERT INTO {} VALUES (1)")
    source: Any = registry.stream_source(PostgresConnection("shop", url=shop.url), StreamQuery(shop.table))
    polled = source.sample(AT_ONCE)
    assert polled is not None
    assert polled.rows.to_pylist()[0]["_op"] == "snapshot"
    assert source.state() is None
    source.close()


def test_positions_of_the_first_copy_keep_what_they_need(shop: Shop) -> None:
    shop.run("CREATE TABLE {} (id int PRIMARY KEY)", "INSERT INTO {} VALUES (1)")
    source = shop.follow()
    positions: list[Positions] = [one.positions for one in polls(source)]
    assert "snapshot" in positions[0]["0"][3]  # type: ignore[index]  # a list
    shop.run("INSERT INTO {} VALUES (2)", "INSERT INTO {} VALUES (3)")
    polls(source)
    assert source.positions()["0"][3] == {}  # type: ignore[index]  # a list
