"""Several writers append to one table at once: every commit is there in the end, in folders and in an object store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.model.connection import Connection, DeltaConnection, ObjectStoreConnection
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.servers.bucket import Bucket

COMMITS = 100
Lake = dict[str, Any]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "folder":
        return {"path": str(tmp_path / "lake")}
    bucket: Bucket = request.getfixturevalue("s3")
    return {"path": bucket.s3_url, "options": bucket.options}


@pytest.mark.parametrize("kind", [ObjectStoreConnection, DeltaConnection])
@pytest.mark.parametrize("writers", [2, 6])
def test_every_commit_of_several_writers_is_kept(
    place: Lake, kind: Callable[..., Connection], writers: int, tmp_path: Path
) -> None:
    lake = kind("lake", **place)

    def write(writer: int) -> None:
        with open_store(f"sqlite:///{tmp_path / f'runs-{writer}.db'}") as store:
            for number in range(writer, COMMITS, writers):

                @ematix.job(
                    name=f"writer_{writer}", target="events", target_connection=lake,
                    retries=ematix.Retry(200, delay=0.01, max_delay=0.2, jitter=1.0),
                )  # fmt: skip
                def events() -> pa.Table:
                    return pa.table({"number": [number]})  # noqa: B023 - it runs before the next number

                assert events.run(store=store).inserted == 1

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    source = registry.source(lake)
    try:
        found = source.read(Query(table="events")).read_all()
    finally:
        source.close()
    assert found.sort_by("number")["number"].to_pylist() == list(range(COMMITS))
