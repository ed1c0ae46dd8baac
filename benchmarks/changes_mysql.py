"""How many changes a second are read from the binary logs of MariaDB and MySQL: `python -m benchmarks.changes_mysql`.

Each server runs on a folder and port of its own. 131,072 rows of eight columns are inserted in transactions of all
sizes and updated in one; what is measured is reading these changes as Arrow batches, and the same rows as a snapshot.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.model.connection import MySQLConnection
from tests.servers.binlogs import changing_server
from tests.servers.reach import execute, in_database

DOUBLINGS = 17
_CREATE = """CREATE TABLE orders (id BIGINT PRIMARY KEY AUTO_INCREMENT, customer INT NOT NULL, name VARCHAR(40),
    amount DECIMAL(12,2), placed DATETIME(6), state ENUM('new', 'paid'), note TEXT, qty INT)"""
_FIRST = """INSERT INTO orders (customer, name, amount, placed, state, note, qty)
    VALUES (1, 'some name', 12.5, NOW(6), 'new', 'a note of some length', 3)"""
_DOUBLE = """INSERT INTO orders (customer, name, amount, placed, state, note, qty)
    SELECT customer + 1, name, amount + id, placed, 'paid', note, qty FROM orders"""


def main() -> None:
    """Print a line for each server."""
    for kind in ("mariadb", "mysql"):
        with changing_server(kind) as server:
            execute(server.url, "CREATE DATABASE shop")
            url = in_database(server.url, "shop")
            execute(url, _CREATE, _FIRST, *[_DOUBLE] * DOUBLINGS, "UPDATE orders SET qty = qty + 1")
            read, copied = measured(url, "never"), measured(url, "initial")
            sys.stdout.write(f"{kind}: {read:,.0f} changes/s from the log, {copied:,.0f} rows/s from a snapshot\n")


def measured(url: str, snapshot: str) -> float:
    """Return the rows a second of reading to the end."""
    query = StreamQuery("orders", {"snapshot": snapshot})
    with closing(registry.stream_source(MySQLConnection("shop", url=url), query)) as source:
        rows, began = 0, time.perf_counter()
        while (polled := source.poll(PollLimits(seconds=0))) is not None:
            rows += polled.rows.num_rows
        return rows / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
