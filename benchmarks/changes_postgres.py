"""Changes of a PostgreSQL table per second: read alone, and applied to a table of another database.

    python -m benchmarks.changes_postgres [--changes 300000] [--per-transaction 1 10 100000]

The changes are made first, and wait in the slot: 5 of 10 insert, 4 update, 1 deletes; 7 columns, about 150 bytes. They
come from a database of its own on the server of `make servers`, which is dropped afterwards. libpq alone, which only
takes the messages from the socket, says what the server gives.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.postgres.address import address
from ematix_core.backends.postgres.replication.slot import Slot
from ematix_core.backends.postgres.replication.walsender import opened_slot
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from tools.servers import urls
from tools.servers.client import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.stream_protocols import Positions

TABLE = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12, 2), quantity int,
                     placed timestamptz, country text, note text)
"""
CHANGE = """
CREATE PROCEDURE change(changes int, per_transaction int) LANGUAGE plpgsql AS $$
DECLARE done int := 0; inserted bigint := coalesce((SELECT max(id) FROM orders), 0);
BEGIN
    WHILE done < changes LOOP
        FOR i IN 1 .. per_transaction LOOP
            IF done % 10 < 5 THEN
                inserted := inserted + 1;
                INSERT INTO orders VALUES (inserted, 'customer ' || inserted, inserted % 10000 / 100.0, inserted % 9,
                                           now(), 'DE', 'as discussed with the customer by phone');
            ELSIF done % 10 < 9 THEN
                UPDATE orders SET amount = amount + 1 WHERE id = inserted - done % 10 + 5;
            ELSE
                DELETE FROM orders WHERE id = inserted;
            END IF;
            done := done + 1;
        END LOOP;
        COMMIT;
    END LOOP;
END $$
"""


@contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a new database, and drop it with its slots."""
    admin = urls.given("postgres") or urls.read()["postgres"]
    name = f"ematix_bench_{uuid4().hex[:8]}"
    execute(admin, f"CREATE DATABASE {name}")
    try:
        yield f"{admin.rpartition('/')[0]}/{name}"
    finally:
        execute(
            admin,
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'",
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{name}'",
            f"DROP DATABASE {name} WITH (FORCE)",
        )


def taken(connection: ematix.PostgresConnection, changes: int) -> float:
    """Return how many changes a second libpq alone takes from the slot."""
    opened = opened_slot(address(connection), Slot("ematix_orders", "ematix_orders", "benchmark"), 0)
    began, found = time.perf_counter(), 0
    while found < changes:
        length, data = opened.get_copy_data(0)
        found += length > 25 and data[25] in b"IUD"  # noqa: PLR2004 - behind the header
    seconds = time.perf_counter() - began
    opened.finish()
    return changes / seconds


def read(connection: ematix.PostgresConnection, changes: int, begin: Positions) -> float:
    """Return how many changes a second the source gives."""
    source = registry.stream_source(connection, StreamQuery("orders", {"snapshot": "never"}))
    source.seek(begin)
    began, found = time.perf_counter(), 0
    while found < changes:
        polled = source.poll(PollLimits(seconds=5))
        found += polled.rows.num_rows if polled is not None else 0
    seconds = time.perf_counter() - began
    source.close()
    return changes / seconds


def consumed(connection: ematix.PostgresConnection, target: str, changes: int) -> float:
    """Return how many changes a second come into a table of another database, with the start of the consumer."""
    made = ematix.stream(
        "orders", source=connection, source_query="orders", target=ematix.PostgresConnection("target", url=target),
        target_table=f"orders_{uuid4().hex[:6]}", mode=ematix.append(), options={"snapshot": "never"},
        transform_sql="SELECT * FROM source",
    )  # fmt: skip
    began = time.perf_counter()
    result = made.consume(until_idle=True).targets[0]
    seconds = time.perf_counter() - began
    assert result.records == changes, result  # noqa: S101 - all of them, or the figure means nothing
    return changes / seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.changes_postgres", description=__doc__)
    parser.add_argument("--changes", type=int, default=300_000)
    parser.add_argument("--per-transaction", type=int, nargs="+", default=[1, 10, 100_000])
    asked = parser.parse_args()
    for size in asked.per_transaction:
        with database() as url, database() as target:
            connection = ematix.PostgresConnection("shop", url=url)
            execute(url, TABLE, CHANGE)
            source = registry.stream_source(connection, StreamQuery("orders", {"snapshot": "never"}))
            source.seek("earliest")
            begin = source.positions()
            source.close()
            execute(url, f"CALL change({asked.changes}, {size})")
            figures = [
                taken(connection, asked.changes), read(connection, asked.changes, begin),
                consumed(connection, target, asked.changes),
            ]  # fmt: skip
        sys.stdout.write(
            f"{asked.changes:,} changes, {size:,} a transaction: libpq alone {figures[0]:,.0f}/s, read "
            f"{figures[1]:,.0f}/s, consumed into PostgreSQL {figures[2]:,.0f}/s\n"
        )


if __name__ == "__main__":
    main()
