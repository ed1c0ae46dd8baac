"""One query over PostgreSQL, MySQL and a Delta table in an object store."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import ConnectError
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.federated import FederatedSource
    from tools.servers.bucket import Bucket

SQL = """SELECT c.name, p.state, sum(o.amount) AS amount
    FROM lake.sales.orders AS o JOIN crm.app.customers AS c ON c.id = o.customer
    LEFT JOIN pay.payments AS p ON p.customer = c.id
    WHERE c.name IN ('ada', 'eve') AND c.mood = 'glad' AND p.state = 'Paid' AND p.paid >= DATE '2026-01-02'
      AND c.seen >= :mark AND o.day = DATE '2026-01-01'
    GROUP BY ALL ORDER BY ALL"""
MARK = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def all_of_them(s3: Bucket) -> Iterator[ematix.FederatedConnection]:
    days = [date(2026, 1, 1)] * 3 + [date(2026, 1, 2)]
    orders = pa.table({"customer": [1, 1, 2, 3], "amount": [1, 2, 4, 8], "day": days})
    write_deltalake(f"{s3.s3_url}/sales/orders", orders, partition_by=["day"], storage_options=s3.environ)
    with database("postgres") as crm, database("mysql") as pay:
        execute(crm, "CREATE SCHEMA app")
        execute(crm, "CREATE TYPE app.mood AS ENUM ('glad', 'sad')")
        execute(crm, "CREATE TABLE app.customers (id int, name text, mood app.mood, seen timestamptz, note text)")
        execute(crm, "INSERT INTO app.customers VALUES (1, 'ada', 'glad', '2026-01-01 02:00+01', 'x'),"
                     " (2, 'eve', 'glad', '2026-01-01 00:30+01', 'x'), (3, 'Ada', 'glad', now(), 'x')")  # fmt: skip
        execute(pay, "CREATE TABLE payments (customer int, state varchar(9) COLLATE utf8mb4_general_ci, paid date)")
        execute(pay, "INSERT INTO payments VALUES (1, 'Paid', '2026-01-02'), (1, 'PAID', '2026-01-02'),"
                     " (1, 'Paid', '2026-01-01'), (2, 'Paid', '2026-01-02')")  # fmt: skip
        yield ematix.FederatedConnection(
            "all",
            sources=[
                ematix.DeltaConnection("lake", path=s3.s3_url, options=s3.options),
                ematix.PostgresConnection("crm", url=crm),
                ematix.MySQLConnection("pay", url=pay),
            ],
        )


def test_each_system_gives_what_is_needed_of_it_and_duckdb_has_the_last_word(
    all_of_them: ematix.FederatedConnection,
) -> None:
    source: FederatedSource = registry.source(all_of_them)  # type: ignore[assignment]  # of this kind
    query = Query(sql=SQL, parameters={"mark": MARK})
    with closing(source):
        asked = {name: " ".join(sql.split()).replace("`", '"') for name, sql in source.asks(query)}
        assert asked["lake"].endswith("""WHERE "day" = CAST('2026-01-01' AS DATE)""")
        assert '"note"' not in asked["crm"]
        assert asked["crm"].endswith("""WHERE "name" IN ('ada', 'eve') AND "mood" = 'glad' AND "seen" >= :mark""")
        assert asked["pay"].endswith("""WHERE "state" = 'Paid' AND "paid" >= CAST('2026-01-02' AS DATE)""")
        rows = source.read(query).read_all().to_pylist()
    # MySQL takes PAID for Paid, and DuckDB does not; eve was seen too early, in UTC.
    assert [tuple(row.values()) for row in rows] == [("ada", "Paid", 3)]


def test_a_value_that_the_systems_type_does_not_have_is_left_to_duckdb(all_of_them: ematix.FederatedConnection) -> None:
    with closing(registry.source(all_of_them)) as source:
        found = source.read(Query(sql="SELECT id FROM crm.app.customers WHERE mood = 'hungry' OR id = 2"))
        assert found.read_all().to_pylist() == [{"id": 2}]


def test_a_system_that_does_not_answer_is_named(all_of_them: ematix.FederatedConnection) -> None:
    gone = ematix.PostgresConnection("gone", url="postgresql://nobody@127.0.0.1:1/x?connect_timeout=2")
    both = ematix.FederatedConnection("both", sources=[all_of_them.sources[0], gone])
    with closing(registry.source(both)) as source, pytest.raises(ConnectError) as failed:
        source.read(Query(sql="SELECT 1 FROM lake.sales.orders, gone.things"))
    assert "connection gone" in str(failed.value)
    assert "nothing listens at 127.0.0.1:1" in str(failed.value)
