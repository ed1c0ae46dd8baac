"""A shop under Dagster: products at night, orders as they come, and what follows from both."""

import pyarrow as pa

import ematix_core as ematix
from ematix_core import expect

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")
landing = ematix.ObjectStoreConnection("landing", path="landing", format="csv")


@ematix.job(
    target="products",
    target_connection=warehouse,
    mode=ematix.merge(keys="sku"),
    checks=[expect.not_null("sku"), expect.between("price", 0, 1_000, severity="warn")],
    retries=2,
    owner="shop@example.com",
    tags=["layer=raw"],
)
def products():
    """Load every product with its price; only what differs is written."""
    return pa.table({"sku": ["cup", "pot", "tea"], "price": [8.5, 24.0, 4.2]})


@ematix.job(
    source_connection=landing,
    target="orders",
    target_connection=warehouse,
    mode=ematix.merge(keys="order_id"),
    tags=["layer=raw"],
)
def orders(run):
    """Load the orders of one file."""
    return f'SELECT order_id, sku, quantity, day FROM "{run.parameters["path"]}"'


@ematix.job(target="revenue", target_connection=warehouse, mode="truncate", tags=["layer=report"])
def revenue():
    """Sum up what each product has brought so far."""
    return """
        SELECT products.sku, sum(orders.quantity * products.price) AS revenue
        FROM orders JOIN products USING (sku) GROUP BY products.sku
    """


@ematix.job(
    target="revenue_by_day",
    target_connection=warehouse,
    mode=ematix.merge(keys="since"),
    tags=["layer=report"],
)
def revenue_by_day():
    """Sum up what each day has brought: a partition is a day."""
    return """
        SELECT CAST(:slice_start AS TIMESTAMPTZ) AS since, sum(orders.quantity * products.price) AS revenue
        FROM orders JOIN products USING (sku)
        WHERE CAST(day AS TIMESTAMPTZ) >= :slice_start AND CAST(day AS TIMESTAMPTZ) < :slice_end
    """


nightly = ematix.workflow(
    "nightly", jobs=[products], schedule="0 2 * * *", timezone="Europe/London", freshness="26 hours"
)
incoming = ematix.workflow("incoming", jobs=[orders], on_message=ematix.inbox("in", connection=landing, path="*.csv"))
report = ematix.workflow("report", jobs=[revenue], triggered_by=[nightly, incoming])
