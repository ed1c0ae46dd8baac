"""A small shop: orders come as files, revenue follows them, a report follows both."""

from typing import Annotated

import ematix_core as ematix
from ematix_core import expect, pk
from ematix_core.types import BigInt, Date, Numeric, Text

# --- Connections. Relative paths count from this folder. ---


@ematix.connection
class drops:
    kind = "objects"
    path = "drops"


@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"


# --- Tables. The first run makes them. ---


@ematix.table
class Orders:
    order_id: Annotated[BigInt, pk()]
    city: Text
    amount: Numeric[12, 2]
    ordered_on: Date


@ematix.table
class Revenue:
    city: Annotated[Text, pk()]
    orders: BigInt
    revenue: Numeric[18, 2]


@ematix.table
class Days:
    day: Annotated[Date, pk()]
    orders: BigInt


# --- Jobs ---


@ematix.job(
    source_connection=drops, target=Orders, target_connection=warehouse, mode="merge", retries=2,
    checks=expect.not_null("city"), owner="grace",
)  # fmt: skip
def orders():
    """Bring every order that came as a file."""
    return 'SELECT order_id, city, amount, ordered_on FROM "*.csv"'


@ematix.job(target=Revenue, target_connection=warehouse, mode="merge", depends_on=[orders])
def revenue():
    """Sum up what each city has ordered."""
    return "SELECT city, count(*) AS orders, sum(amount) AS revenue FROM orders GROUP BY city"


@ematix.job(target=Days, target_connection=warehouse, mode="truncate", depends_on=[orders])
def days():
    """Count the orders of each day."""
    return "SELECT ordered_on AS day, count(*) AS orders FROM orders GROUP BY ordered_on"


# --- What sets them off ---

nightly = ematix.workflow(
    "nightly", jobs=[orders, revenue], schedule="0 2 * * *", timezone="Europe/London", tags=["shop"]
)
report = ematix.workflow("report", jobs=[days], triggered_by=nightly, tags=["shop"])
