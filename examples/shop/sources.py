"""The shop's other systems, played by TPC-H data: an application database (SQLite) and file drops (Parquet, CSV).

`open_shop` makes them as they are on the first evening, `next_day` lets a day pass.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb

NEW_CUSTOMERS, NEW_SUPPLIERS, NEW_PRODUCTS = 14_950, 997, 19_970
"""Those with a higher number come on the second day."""
LAST_DAYS = "DATE '1998-08-01'"
"""Orders from here on come on the second day; TPC-H ends on 2 August 1998."""
LATE = f"l_suppkey % 10 = 3 AND o_orderdate >= DATE '1998-07-01' AND o_orderdate < {LAST_DAYS}"
"""Lines of a branch whose file is late: they belong to the first day and come on the second."""

_SCHEMA = """
CREATE TABLE customer_changes (
    change_id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL,
    segment TEXT NOT NULL, changed_at TEXT NOT NULL);
CREATE TABLE suppliers (
    supplier_id INTEGER PRIMARY KEY, name TEXT NOT NULL, phone TEXT NOT NULL, balance REAL NOT NULL);
CREATE TABLE payments (
    payment_id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, amount REAL NOT NULL, paid_at TEXT NOT NULL);
"""
_LINE_COLUMNS = """
    l_orderkey AS order_id, l_linenumber AS line, l_partkey AS sku, l_suppkey AS supplier_id, l_quantity AS quantity,
    l_extendedprice AS price, l_discount AS discount, l_shipdate AS shipped_on, year(o_orderdate) AS year
"""
_ORDER_COLUMNS = """
    o_orderkey AS order_id, o_custkey AS customer_id, o_orderstatus AS status, o_totalprice AS total,
    o_orderdate AS ordered_on
"""


class Sources:
    """The systems below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.drops = folder / "drops"
        self._tpch = duckdb.connect()

    def open_shop(self, scale: float) -> None:
        """Generate TPC-H data and lay out the first day's sources."""
        self._generate(scale)
        self.drops.mkdir()
        for name in ("catalogue", "orders", "lines"):
            (self.drops / name).mkdir()
        with closing(sqlite3.connect(self.folder / "shop.db")) as shop, shop:
            shop.executescript(_SCHEMA)
            self._first_rows(shop)
        self._catalogue(f"p_partkey <= {NEW_PRODUCTS}", "CASE WHEN p_partkey <= 5 THEN -1 ELSE p_retailprice END")
        self._orders("1998-07-31", f"SELECT {_ORDER_COLUMNS} FROM orders WHERE o_orderdate < {LAST_DAYS}")
        self._lines("part", f"o_orderdate < {LAST_DAYS} AND NOT ({LATE})")

    def next_day(self) -> None:
        """Let a day pass: changed, new and deleted rows, new files, and a file that is late."""
        with closing(sqlite3.connect(self.folder / "shop.db")) as shop, shop:
            self._changed_customers(shop)
            self._changed_suppliers(shop)
            self._fill(shop, "payments", self._payments(f"o_orderdate >= {LAST_DAYS}"))
        raised = "WHEN p_partkey % 50 = 0 THEN p_retailprice + 1 ELSE p_retailprice END"
        self._catalogue("p_partkey % 800 <> 7", f"CASE WHEN p_partkey <= 3 THEN -1 {raised}")
        shipped = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE o_orderdate < {LAST_DAYS} AND o_orderkey % 301 = 1"
        self._orders(
            "1998-08-02",
            f"SELECT * REPLACE ('S' AS status) FROM ({shipped}) UNION ALL "
            f"SELECT {_ORDER_COLUMNS} FROM orders WHERE o_orderdate >= {LAST_DAYS}",
        )
        self._lines("new", f"o_orderdate >= {LAST_DAYS}")
        self._lines("late-branch", LATE)

    def _generate(self, scale: float) -> None:
        tool = shutil.which("tpchgen-cli", path=str(Path(sys.executable).parent)) or shutil.which("tpchgen-cli")
        if tool is None:
            sys.exit("The demo needs tpchgen-cli: pip install tpchgen-cli")
        made = self.folder / "tpch"
        tables = "--tables=customer,supplier,part,orders,lineitem"
        command = [tool, "parquet", "-s", str(scale), tables, f"--output-dir={made}"]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a program of our own environment
        for file in made.glob("*.parquet"):
            self._tpch.execute(f"CREATE VIEW {file.stem} AS FROM '{file}'")

    def _first_rows(self, shop: sqlite3.Connection) -> None:
        customers = f"""
            SELECT c_custkey, c_custkey, ' ' || c_name, c_address, c_mktsegment,
                   strftime(TIMESTAMP '1992-01-01' + to_minutes(c_custkey::INTEGER), '%Y-%m-%d %H:%M:%S')
            FROM customer WHERE c_custkey <= {NEW_CUSTOMERS} ORDER BY c_custkey"""
        self._fill(shop, "customer_changes", customers)
        self._fill(shop, "suppliers", self._suppliers(f"s_suppkey <= {NEW_SUPPLIERS}"))
        self._fill(shop, "payments", self._payments(f"o_orderdate < {LAST_DAYS}"))

    def _suppliers(self, where: str) -> str:
        return f"SELECT s_suppkey, s_name, s_phone, s_acctbal::DOUBLE FROM supplier WHERE {where}"

    def _payments(self, where: str) -> str:
        return f"""
            SELECT o_orderkey, o_orderkey, o_totalprice::DOUBLE,
                   strftime(least(o_orderdate, DATE '1998-07-31'), '%Y-%m-%d')
            FROM orders WHERE {where}"""

    def _changed_customers(self, shop: sqlite3.Connection) -> None:
        """Add changes of 300 customers, 20 of whom moved twice, new customers, and a change of 1995 noted only now."""
        shop.executescript("""
            INSERT INTO customer_changes (customer_id, name, address, segment, changed_at)
            SELECT customer_id, name, 'New street ' || customer_id, segment, '1998-08-01 09:00:00'
            FROM customer_changes WHERE customer_id % 49 = 7 AND customer_id <= 14700 ORDER BY 1;
            INSERT INTO customer_changes (customer_id, name, address, segment, changed_at)
            SELECT customer_id, name, 'Second new street ' || customer_id, segment, '1998-08-02 17:30:00'
            FROM customer_changes WHERE customer_id % 49 = 7 AND customer_id <= 980 AND change_id <= 14950 ORDER BY 1;
            INSERT INTO customer_changes (customer_id, name, address, segment, changed_at)
            SELECT customer_id, name, 'Old lane 5', segment, '1995-05-05 12:00:00'
            FROM customer_changes WHERE change_id = 7;
        """)
        noted = shop.execute("SELECT max(change_id) FROM customer_changes").fetchone()[0]
        new = f"""
            SELECT {noted - NEW_CUSTOMERS} + c_custkey, c_custkey, c_name, c_address, c_mktsegment,
                   '1998-08-02 10:00:00'
            FROM customer WHERE c_custkey > {NEW_CUSTOMERS}"""
        self._fill(shop, "customer_changes", new)

    def _changed_suppliers(self, shop: sqlite3.Connection) -> None:
        shop.execute("UPDATE suppliers SET phone = '00-' || phone WHERE supplier_id % 100 = 0")
        shop.execute("DELETE FROM suppliers WHERE supplier_id IN (11, 222, 333, 444, 555)")
        self._fill(shop, "suppliers", self._suppliers(f"s_suppkey > {NEW_SUPPLIERS}"))

    def _fill(self, shop: sqlite3.Connection, table: str, query: str) -> None:
        rows = self._tpch.execute(query).fetchall()
        if rows:
            shop.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    def _catalogue(self, where: str, price: str) -> None:
        query = f"SELECT p_partkey AS sku, ' ' || p_name AS name, lower(p_brand) AS brand, {price} AS price FROM part"
        path = self.drops / "catalogue" / "products.csv"
        self._copy(f"{query} WHERE {where} ORDER BY sku", path, "FORMAT csv, HEADER")

    def _orders(self, name: str, query: str) -> None:
        self._copy(query, self.drops / "orders" / f"{name}.parquet", "FORMAT parquet")

    def _lines(self, name: str, where: str) -> None:
        query = f"SELECT {_LINE_COLUMNS} FROM lineitem JOIN orders ON l_orderkey = o_orderkey WHERE {where}"
        options = f"FORMAT parquet, PARTITION_BY (year), FILENAME_PATTERN '{name}', OVERWRITE_OR_IGNORE"
        self._copy(query, self.drops / "lines", options)

    def _copy(self, query: str, path: Path, options: str) -> None:
        self._tpch.execute(f"COPY ({query}) TO '{path}' ({options})")
