"""Moves within a bucket and the same within a folder, as a user declares them."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import ematix_core as ematix
from ematix_core import DeltaConnection, ObjectStoreConnection

_url = urlsplit(os.environ["BENCH_S3_URL"])
_bucket = f"s3://{_url.path.strip('/')}/{os.environ['BENCH_PREFIX']}"
_options = {
    "endpoint": f"{_url.scheme}://{_url.hostname}:{_url.port}",
    "access_key_id": _url.username, "secret_access_key": _url.password,
}  # fmt: skip
_out = f"out-{os.environ['BENCH_RUN']}"

bucket_in = ObjectStoreConnection(name="bucket_in", path=f"{_bucket}/in", options=_options)
folder_in = ObjectStoreConnection(name="folder_in", path="in")
bucket_files = ObjectStoreConnection(name="bucket_files", path=f"{_bucket}/{_out}/files", options=_options)
folder_files = ObjectStoreConnection(name="folder_files", path="out/files")
bucket_lake = DeltaConnection(name="bucket_lake", path=f"{_bucket}/{_out}/lake", options=_options)
folder_lake = DeltaConnection(name="folder_lake", path="out/lake")

SQL = 'SELECT * FROM "lineitem.parquet"'


@ematix.job(source_connection=bucket_in, target="lineitem", target_connection=bucket_files)
def parquet_to_files_in_bucket() -> str:
    """Write a table of Parquet files in the bucket."""
    return SQL


@ematix.job(source_connection=folder_in, target="lineitem", target_connection=folder_files)
def parquet_to_files_in_folder() -> str:
    """Write a table of Parquet files in a folder."""
    return SQL


@ematix.job(source_connection=bucket_in, target="lineitem", target_connection=bucket_lake)
def parquet_to_delta_in_bucket() -> str:
    """Write a Delta table in the bucket."""
    return SQL


@ematix.job(source_connection=folder_in, target="lineitem", target_connection=folder_lake)
def parquet_to_delta_in_folder() -> str:
    """Write a Delta table in a folder."""
    return SQL
