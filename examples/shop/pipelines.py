"""The shop's pipelines: an application database and file drops, brought into a DuckDB warehouse every night.

`demo.py` makes the sources and runs this twice, for two days. `flow list`, `flow plan customers`, `flow run` work here.
"""

from typing import Annotated

import ematix_core as ematix
from ematix_core import expect, natural_key, normalize, pk
from ematix_core.types import BigInt, Date, Integer, Numeric, String, Text, Timestamp

# --- Connections. ${SHOP_DATA} is looked up when a connection is used; .data holds when it is not set. ---


@ematix.connection
class shop:
    """The application's own database."""

    kind = "sqlite"
    path = "${SHOP_DATA:-.data}/shop.db"


@ematix.connection
class drops:
    """The folder where other systems put their files."""

    kind = "objects"
    path = "${SHOP_DATA:-.data}/drops"


@ematix.connection
class warehouse:
    """Where everything comes together."""

    kind = "duckdb"
    path = "${SHOP_DATA:-.data}/warehouse.duckdb"


@ematix.connection
class archive:
    """Orders as they came in, as Parquet files in a folder a year."""

    kind = "objects"
    path = "${SHOP_DATA:-.data}/archive"
    format = "parquet"
    partition_by = "order_year"


# --- Tables. The first run makes them. ---


@ematix.table(schema="analytics")
class Customers:
    customer_id: Annotated[BigInt, pk()]
    name: Annotated[Text, normalize.trim()]
    address: Annotated[Text | None, normalize.trim(), normalize.empty_to_null()]
    segment: Annotated[String[20], normalize.lower()]
    change_id: BigInt
    changed_at: Annotated[Timestamp, normalize.parse_timestamp()]


@ematix.table(schema="analytics")
class Suppliers:
    supplier_id: Annotated[BigInt, pk()]
    name: Text
    phone: Text
    balance: Annotated[Numeric[12, 2], normalize.round(2)]


@ematix.table(schema="analytics")
class Products:
    sku: Annotated[BigInt, natural_key()]
    name: Annotated[Text, normalize.trim()]
    brand: Annotated[Text, normalize.trim(), normalize.upper()]
    price: Numeric[12, 2]


@ematix.table(schema="analytics")
class Orders:
    order_id: Annotated[BigInt, pk()]
    customer_id: BigInt
    status: String[1]
    total: Numeric[12, 2]
    ordered_on: Date
    order_year: Annotated[Integer, normalize.derive("year(ordered_on)")]


@ematix.table(schema="analytics")
class OrderLines:
    order_id: BigInt
    line: Integer
    sku: BigInt
    supplier_id: BigInt
    quantity: Numeric[12, 2]
    revenue: Numeric[12, 2]
    shipped_on: Date


@ematix.table(schema="analytics")
class Payments:
    payment_id: Annotated[BigInt, pk()]
    order_id: BigInt
    amount: Annotated[Numeric[12, 2], normalize.round(2)]
    paid_at: Annotated[Timestamp, normalize.parse_timestamp()]


@ematix.table(schema="analytics")
class Revenue:
    year: Annotated[Integer, pk()]
    segment: Annotated[Text, pk()]
    orders: BigInt
    revenue: Numeric[18, 2]


# --- Jobs ---


# scd2 keeps history. The application logs each change: changed_at says when it happened, change_id when it was noted.
# So a change that is noted late is read, and still finds its place in history.
@ematix.job(
    source_connection=shop,
    target=Customers,
    target_connection=warehouse,
    mode=ematix.scd2(compare=["name", "address", "segment"], event_time="changed_at"),
    watermark="change_id",
)
def customers():
    return "SELECT customer_id, name, address, segment, change_id, changed_at FROM customer_changes"


# A full snapshot: who is missing from it has left, and the last version is closed.
@ematix.job(
    source_connection=shop,
    source_table="suppliers",
    target=Suppliers,
    target_connection=warehouse,
    mode=ematix.scd2(deletes="close"),
)
def suppliers(): ...


# merge makes the table equal to the catalogue, by its natural key. Rows with an impossible price are set aside in
# analytics.products_quarantine, and the rest is loaded.
@ematix.job(
    source_connection=drops,
    target=Products,
    target_connection=warehouse,
    mode=ematix.merge(deletes="delete"),
    checks=[
        expect.row_count(min=1_000),
        expect.unique("sku"),
        expect.between("price", 0, None, severity="quarantine"),
    ],
)
def products():
    return 'SELECT sku, name, brand, price FROM "catalogue/products.csv"'


# Two targets from one read: the warehouse has each order once, as it is now; the archive has every row as it came.
@ematix.job(
    source_connection=drops,
    targets=[
        ematix.target(Orders, connection=warehouse, mode="merge"),
        ematix.target(Orders, connection=archive, mode="append"),
    ],
    watermark="_file",
)
def orders():
    return 'SELECT order_id, customer_id, status, total, ordered_on FROM "orders/*.parquet"'


# watermark="_file" reads files that were not loaded before, however late they come and whatever is in them.
@ematix.job(source_connection=drops, target=OrderLines, target_connection=warehouse, watermark="_file")
def order_lines():
    return """
        SELECT order_id, line, sku, supplier_id, quantity, round(price * (1 - discount), 2) AS revenue,
               shipped_on
        FROM "lines/**/*.parquet"
    """


# Rows at or above the highest paid_at are read; those that are in the target already are dropped, by their key.
@ematix.job(source_connection=shop, target=Payments, target_connection=warehouse, watermark="paid_at")
def payments():
    return "SELECT payment_id, order_id, amount, paid_at FROM payments"


# No source: the query runs inside the warehouse, and truncate replaces the table in one step.
@ematix.job(
    target=Revenue,
    target_connection=warehouse,
    mode="truncate",
    depends_on=[customers, orders, order_lines],
)
def revenue():
    return """
        SELECT o.order_year AS year, coalesce(c.segment, 'unknown') AS segment,
               count(DISTINCT o.order_id) AS orders, sum(l.revenue) AS revenue
        FROM analytics.orders o
        JOIN analytics.order_lines l USING (order_id)
        LEFT JOIN analytics.customers c ON c.customer_id = o.customer_id AND c.is_current
        GROUP BY ALL
    """


nightly = ematix.workflow(
    "nightly",
    jobs=[customers, suppliers, products, orders, order_lines, payments, revenue],
    schedule="0 2 * * *",
    timezone="Europe/London",
)
