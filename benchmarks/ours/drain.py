"""Read lineitem of a PostgreSQL database as Arrow batches and count the rows: `python drain.py URL`."""

from __future__ import annotations

import sys

from ematix_core import PostgresConnection
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

source = registry.source(PostgresConnection(name="source", url=sys.argv[1]))
print("COPY", sum(len(batch) for batch in source.read(Query(sql="SELECT * FROM lineitem"))))
