"""What a topic can do as a target; readable without the driver."""

from __future__ import annotations

from ematix_core.backends.duck.types import TYPES
from ematix_core.sql.dialect import Dialect, Replace, Upsert

DIALECT = Dialect(
    name="kafka",
    grammar="duckdb",
    folds_names=False,
    # Messages are added, never changed or removed: https://kafka.apache.org/documentation/#intro_concepts_and_terms
    modes=frozenset({"append"}),
    # What rows may hold on their way; what a format of messages holds of these, its encoder says.
    types=TYPES,
    upsert=Upsert.NONE,
    replace=Replace.OVERWRITE,
    transactional_ddl=False,
    schemas=False,
    declares_keys=False,
    ddl=False,
    keeps_loads=False,
    bulk="one transaction of an idempotent producer, batches handed to librdkafka",
)
