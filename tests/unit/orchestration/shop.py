"""The package `shop`, which the tests of compiling compile, as text."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = """
import ematix_core as ematix

@ematix.connection
class crm:
    kind = "postgres"
    url = "postgresql://ann:${CRM_PASSWORD}@db/crm"

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.connection
class drops:
    kind = "objects"
    path = "${DROPS:-drops}"
"""

JOBS = '''
from typing import Annotated

import ematix_core as ematix
from ematix_core import expect, normalize, pk
from ematix_core.types import BigInt, Text, TimestampTZ
from shop.connections import crm, drops, warehouse

SCHEMA = "crm"

@ematix.table(schema="analytics")
class Customers:
    customer_id: Annotated[BigInt, pk()]
    email: Annotated[Text | None, normalize.lower()]
    updated_at: TimestampTZ

@ematix.table(schema="analytics")
class Orders:
    order_id: Annotated[BigInt, pk()]
    customer_id: BigInt
    label: Annotated[Text, normalize.derive("order_id || '/' || customer_id")]

@ematix.job(target=Customers, source_connection=crm, target_connection=warehouse, watermark="updated_at",
            mode=ematix.scd2(event_time="updated_at"), checks=expect.not_null("email", severity="warn"),
            retries=ematix.Retry(3, delay=5), timeout="1 hour", pool="crm", tags=["crm"], owner="ann")
def customers():
    """Customers, with their history."""
    return f"""
        SELECT c.customer_id, coalesce(c.email, o.email) AS email, c.updated_at
        FROM {SCHEMA}.customers AS c JOIN old AS o ON o.id = c.customer_id
        WHERE c.updated_at >= :watermark
    """

@ematix.job(target=Orders, source_connection=crm, source_table="crm.orders", target_connection=warehouse, mode="merge")
def orders():
    pass

@ematix.job(target="analytics.report", target_connection=warehouse, mode="truncate", depends_on=[customers, orders])
def report():
    return "SELECT *, count(*) OVER () AS n FROM analytics.customers"

@ematix.job(target="analytics.export", source_connection="elsewhere", target_connection=drops, schedule="0 6 * * *")
def export(conn):
    raise SystemExit("a body was called")

nightly = ematix.workflow("nightly", jobs=[customers, orders, report], schedule="0 2 * * *", timezone="Europe/London",
                          triggered_by=["export"], description="Everything of the shop.")
incoming = ematix.workflow("incoming", jobs=[orders], on_message=ematix.inbox("orders", connection=drops))

@ematix.streaming_pipeline(source=drops, source_query="visits", on_error="dead_letter", dead_letter="bad_visits",
                           targets=[ematix.target(Customers, connection=warehouse, mode="merge"),
                                    ematix.target("analytics.visits", connection=crm)], tags=["live"], owner="ann")
def visits():
    """Who has come."""
    return "SELECT * FROM source WHERE url LIKE 'https://x:y@host/%'"
'''


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files by their path below the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
