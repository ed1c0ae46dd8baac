"""Malformed lines of files in an object store: kept apart by a job, and left out by a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.streaming.dead_letters import list_letters
from tests.unit.streaming.rows import ids

if TYPE_CHECKING:
    from pathlib import Path

    from tools.servers.bucket import Bucket

LINES = {
    "csv": "id,price\n1,5\n2,6,surplus\n4,8\n",
    "jsonl": '{"id": 1, "price": 5}\n{"id": 2, \n{"id": 4, "price": 8}\n',
}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_they_are_kept_apart(form: str, s3: Bucket, tmp_path: Path) -> None:
    s3.store().put(f"in/a.{form}", LINES[form].encode())
    files = ematix.ObjectStoreConnection("files", path=s3.s3_url, options=s3.options)
    base = ematix.DuckDBConnection("base", path=str(tmp_path / "base.duckdb"))
    job = ematix.job(
        name="clicks", target="loaded", source_connection=files, target_connection=base, on_bad_rows="quarantine"
    )(lambda: f'SELECT * FROM "in/*.{form}"')
    done = job.run()
    assert (done.inserted, done.targets[0].quarantined) == (2, 1)
    stream = ematix.stream(
        "followed", source=files, source_query=f"in/*.{form}", target=base, target_table="followed",
        on_error="dead_letter",
    )  # fmt: skip
    stream.consume(until_idle=True)
    assert ids(base, "loaded") == ids(base, "followed") == [1, 4]
    (letter,) = list_letters(stream).letters
    assert (letter["partition_name"], letter["error"][:8]) == (
        f"in/a.{form}",
        "line 3: " if form == "csv" else "line 2: ",
    )
