"""How many requests a load in a bucket takes: on S3 each is waited for, and a small job hardly does anything else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ematix_core as ematix
from ematix_core import ObjectStoreConnection

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.testing.s3_faults import S3Faults
    from tools.servers.bucket import Bucket


@pytest.fixture
def bucket(s3: Bucket, s3_faults: S3Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Return the bucket, through a proxy that counts; in it are two files of 1,000 rows."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        pq.write_table(pa.table({"k": range(1000)}), tmp_path / "part.parquet")
        s3.store().put(f"in/{number}.parquet", (tmp_path / "part.parquet").read_bytes())
    return s3.at(s3_faults.endpoint)


def test_a_load_from_files_into_a_table_of_files(bucket: Bucket, s3_faults: S3Faults) -> None:
    drops = ObjectStoreConnection("drops", path=f"{bucket.s3_url}/in", options=bucket.options)
    lake = ObjectStoreConnection("lake", path=f"{bucket.s3_url}/lake", options=bucket.options)

    @ematix.job(source_connection=drops, target="events", target_connection=lake)
    def events() -> str:
        return 'SELECT * FROM "*.parquet"'

    for _ in range(2):
        s3_faults.clear()
        assert events.run().inserted == 2000
    count = Counter(request.method for request in s3_faults.requests if "/in" in request.key)
    # The files' list, and each of them as a whole, since they are small.
    assert count == {"LIST": 1, "GET": 2}, s3_faults.requests
    count = Counter(request.method for request in s3_faults.requests if "/lake" in request.key)
    # Planning: where the loads go, versions, newest manifest. Loading: those two again, what others see of it; then
    # the file, the manifest, what others see, and the oldest manifest that may go.
    assert count == {"GET": 5, "LIST": 2, "PUT": 3}, s3_faults.requests
