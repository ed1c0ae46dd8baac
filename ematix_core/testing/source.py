"""SourceConformance: what every source does."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ematix_core.backends.protocols import Query
from ematix_core.errors import MissingSourceError, SqlError
from ematix_core.model.connection import Connection
from ematix_core.testing.reach import Conformance, Reached
from ematix_core.testing.target import ROWS, fill

MOST_ROWS = 122_880
"""The most rows that a batch may have."""


class _Elsewhere(Connection):
    kind = "elsewhere"


class SourceConformance(Conformance):
    """The reading protocol. `fill` puts rows there; a source that is no target overrides it."""

    def fill(self, system: Reached, table: str) -> None:
        """Make a table with the columns id and name, and ROWS."""
        fill(system, table)

    def test_schema_is_that_of_the_rows(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        query = Query(sql=system.sql(f'SELECT "id", "name" FROM "{table}" WHERE "id" < 3'))
        schema = source.schema(query)
        rows = source.read(query).read_all()
        source.close()
        assert rows.schema.equals(schema)
        assert sorted(map(tuple, (row.values() for row in rows.to_pylist()))) == sorted(ROWS)[:2]

    def test_whole_table_is_read_by_name(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        rows = source.read(Query(table=table)).read_all()
        source.close()
        assert sorted((row["id"], row["name"]) for row in rows.to_pylist()) == sorted(ROWS)

    def test_parameters_are_bound_and_never_pasted(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        sql = system.sql(f"""SELECT "id", ':none' AS "text" FROM "{table}" WHERE "name" = :name""")
        assert source.read(Query(sql=sql, parameters={"name": "one"})).read_all().to_pylist() == [
            {"id": 1, "text": ":none"}
        ]
        injected = source.read(Query(sql=sql, parameters={"name": "x' OR '1'='1"})).read_all()
        source.close()
        assert injected.num_rows == 0

    def test_empty_result_has_a_schema(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        nothing = system.sql(f'SELECT "id", "name" FROM "{table}" WHERE "id" < 0')
        rows = source.read(Query(sql=nothing)).read_all()
        source.close()
        assert rows.num_rows == 0
        assert rows.schema.field("id").type == pa.int64()
        assert pa.types.is_string(rows.schema.field("name").type) or pa.types.is_large_string(
            rows.schema.field("name").type
        )

    def test_batches_are_bounded(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        cross = ", ".join(f'"{table}" AS t{number}' for number in range(11))  # 3 ** 11 rows
        source = system.source()
        query = Query(sql=system.sql(f'SELECT t0."id" FROM {cross}'))
        sizes = [batch.num_rows for batch in source.read(query)]
        source.close()
        assert sum(sizes) == len(ROWS) ** 11
        assert max(sizes) <= MOST_ROWS

    def test_reading_may_stop_half_way(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        cross = ", ".join(f'"{table}" AS t{number}' for number in range(11))
        source = system.source()
        reader = source.read(Query(sql=system.sql(f'SELECT t0."id" FROM {cross}')))
        assert reader.read_next_batch().num_rows
        reader.close()
        source.close()

    def test_missing_table_is_named(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        with pytest.raises(MissingSourceError, match="no_such_table"):
            source.schema(Query(table="no_such_table"))
        source.close()

    def test_refused_query_carries_its_text(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        sql = system.sql(f'SELECT "id",\n  no_such_column FROM "{table}"')
        with pytest.raises(SqlError) as caught:
            source.schema(Query(sql=sql))
        source.close()
        assert caught.value.statement == sql
        assert caught.value.position is None or "no_such" in sql[caught.value.position :]

    def test_rows_do_not_travel_inside_another_system(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        assert source.local_query(Query(table=table), _Elsewhere("elsewhere")) is None
        source.close()

    def test_check_says_in_one_line_what_is_there(self, system: Reached, table: str) -> None:
        self.fill(system, table)
        source = system.source()
        line = source.check()
        source.close()
        assert line
        assert "\n" not in line
