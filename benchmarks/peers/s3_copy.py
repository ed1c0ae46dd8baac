"""The raw client: `python s3_copy.py put FILE` brings a file into the bucket, `copy` copies it through this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import obstore
from obstore.store import S3Store

PART = 5 << 20
_url = urlsplit(os.environ["BENCH_S3_URL"])
store = S3Store(
    _url.path.strip("/"), prefix=os.environ["BENCH_PREFIX"], endpoint=f"{_url.scheme}://{_url.hostname}:{_url.port}",
    access_key_id=_url.username, secret_access_key=_url.password, region="us-east-1",
    virtual_hosted_style_request=False, client_options={"allow_http": True},
)  # fmt: skip
if sys.argv[1] == "put":
    obstore.put(store, "in/lineitem.parquet", Path(sys.argv[2]))
else:
    reader = obstore.open_reader(store, "in/lineitem.parquet", buffer_size=PART)
    with obstore.open_writer(store, f"copies/{uuid4()}.parquet", buffer_size=PART) as writer:
        while chunk := reader.read(PART):
            writer.write(chunk)
