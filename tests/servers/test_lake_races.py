"""Several writers append to one table at once: every commit is there in the end, in folders and in an object store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.engine.attempt import Attempt
from ematix_core.errors import ConflictError
from ematix_core.model.connection import Connection, DeltaConnection, ObjectStoreConnection
from ematix_core.store import Status, open_store

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
    assert numbers(lake) == list(range(COMMITS))


def numbers(lake: Connection) -> list[int]:
    source = registry.source(lake)
    try:
        found = source.read(Query(table="events")).read_all()
    finally:
        source.close()
    return [row["number"] for row in found.sort_by("number").to_pylist()]


@pytest.mark.parametrize(("kind", "refused"), [(DeltaConnection, 0), (ObjectStoreConnection, 5)])
def test_first_appends_at_once_all_arrive(
    place: Lake, kind: Callable[..., Connection], refused: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have planned to make the table before the first of them does. Tables of files in a bucket have no lock."""
    lake, writers, load = kind("lake", **place), 6, Attempt.load
    barrier, seen = threading.Barrier(writers), threading.local()

    def together(attempt: Attempt) -> Any:  # noqa: ANN401 - as of the method
        if not getattr(seen, "planned", False):
            seen.planned = True
            barrier.wait(60)
        return load(attempt)

    def write(writer: int) -> bool:
        job = ematix.job(name=f"writer_{writer}", target="events", target_connection=lake)
        with open_store(f"sqlite:///{tmp_path / f'runs-{writer}.db'}") as store:
            try:
                job(lambda: pa.table({"number": [writer]})).run(store=store)
            except ConflictError:
                return False
            (run,) = store.runs(limit=9)
            assert (run.status, run.attempts) == (Status.SUCCEEDED, 1)
        return True

    monkeypatch.setattr(Attempt, "load", together)
    with ThreadPoolExecutor(writers) as pool:
        arrived = [writer for writer, done in enumerate(pool.map(write, range(writers))) if done]
    assert numbers(lake) == arrived
    assert len(arrived) >= writers - (refused if "options" in place else 0)
