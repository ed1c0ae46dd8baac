"""Read lineitem of a Parquet file or a Delta table as Arrow batches and count the rows: `python lake_drain.py PATH`."""

from __future__ import annotations

import sys
from pathlib import Path

from ematix_core import DeltaConnection, ObjectStoreConnection
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

path = Path(sys.argv[1])
kind = ObjectStoreConnection if path.is_file() else DeltaConnection
source = registry.source(kind(name="source", path=str(path.parent)))
print("COPY", sum(len(batch) for batch in source.read(Query(sql=f'SELECT * FROM "{path.name}"'))))
