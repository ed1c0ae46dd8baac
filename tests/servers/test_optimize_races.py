"""Several optimize steps of one table at once: no row is lost and none is there twice, in folders and in a bucket."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from ematix_core.backends.delta import optimizing
from ematix_core.backends.delta.log import opened
from ematix_core.backends.delta.maintenance import maintain
from ematix_core.backends.delta.settings import settings_of
from ematix_core.errors import ConflictError
from ematix_core.model.connection import DeltaConnection
from ematix_core.model.maintenance import optimize
from ematix_core.model.table import TableName
from tests.servers.meanwhile import before

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.backends.storage.folder import Folder
    from tools.servers.bucket import Bucket

TABLE = TableName("", "events")
Place = dict[str, Any]
FILES, ROWS, ROUNDS, PROCESSES = 4, 100, 10, 3


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return {"path": str(tmp_path / "lake")}
    bucket: Bucket = request.getfixturevalue("s3")
    return {"path": bucket.s3_url, "options": bucket.options}


def folder(place: Place) -> Folder:
    return settings_of(DeltaConnection("lake", **place)).root.at("events")


def add(place: Place, first: int, files: int = FILES) -> None:
    for begin in range(first, first + files * ROWS, ROWS):
        rows = pa.table({"k": range(begin, begin + ROWS), "v": [n % 7 for n in range(ROWS)]})
        at = folder(place)
        write_deltalake(at.uri, rows, mode="append", storage_options=dict(at.options))


def keys(place: Place) -> list[int]:
    at = folder(place)
    table = DeltaTable(at.uri, storage_options=dict(at.options))
    found = QueryBuilder().register("found", table).execute("SELECT k FROM found").read_all()
    values: list[Any] = pa.table(found)["k"].to_pylist()
    return sorted(values)


def maintained(place: Place, z_order: tuple[str, ...] = ()) -> dict[str, int]:
    settings = settings_of(DeltaConnection("lake", **place))
    step = optimize(z_order=z_order)
    counts = maintain(settings, TABLE, step, datetime.now(UTC), only_due=False, dry_run=False)
    return dict(counts or {})


@pytest.mark.parametrize("z_order", [(), ("k", "v")])
@pytest.mark.parametrize("other", [(), ("v",)])
def test_of_two_that_began_with_one_version_one_gives_way(
    place: Place, z_order: tuple[str, ...], other: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(place, 0)
    before(monkeypatch, optimizing, "_commit", lambda: maintained(place, other))
    found = maintained(place, z_order)
    assert keys(place) == list(range(FILES * ROWS))
    # It began anew, with the one file that the other had made of four.
    assert found == ({"files_removed": 1, "files_added": 1} if z_order else {"files_removed": 0, "files_added": 0})


def test_one_that_is_late_is_refused_and_leaves_no_file(place: Place) -> None:
    add(place, 0)
    settings = settings_of(DeltaConnection("lake", **place))
    late = opened(folder(place))
    maintained(place)
    there = folder(place).names("")
    with pytest.raises(ConflictError, match="another writer has changed the table meanwhile"):
        optimizing.optimize(late, optimize(), settings)
    assert folder(place).names("") == there
    assert keys(place) == list(range(FILES * ROWS))


def test_one_gives_way_to_the_optimize_of_delta_rs(place: Place) -> None:
    add(place, 0)
    late, at = opened(folder(place)), folder(place)
    DeltaTable(at.uri, storage_options=dict(at.options)).optimize.compact()
    with pytest.raises(ConflictError):
        optimizing.optimize(late, optimize(), settings_of(DeltaConnection("lake", **place)))
    assert keys(place) == list(range(FILES * ROWS))


def test_one_passes_rows_that_others_add_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    add(place, 0)
    before(monkeypatch, optimizing, "_commit", lambda: add(place, FILES * ROWS, files=2))
    assert maintained(place) == {"files_removed": FILES, "files_added": 1}
    assert keys(place) == list(range((FILES + 2) * ROWS))


def raced(place: Place, z_order: tuple[str, ...], rounds: Any) -> int:  # noqa: ANN401 - a barrier of another process
    """Maintain the table once each round, at the same time as the others; return how many files were removed."""
    removed = 0
    for _ in range(ROUNDS):
        rounds.wait(60)
        removed += maintained(place, z_order)["files_removed"]
        rounds.wait(60)
    return removed


def test_processes_that_race_many_times_leave_each_row_once(place: Place) -> None:
    spawning = multiprocessing.get_context("spawn")
    with spawning.Manager() as manager, ProcessPoolExecutor(PROCESSES, mp_context=spawning) as pool:
        rounds = manager.Barrier(PROCESSES + 1)
        orders: list[tuple[str, ...]] = [(), (), ("k", "v")]
        racing = [pool.submit(raced, place, z_order, rounds) for z_order in orders]
        for number in range(ROUNDS):
            add(place, number * FILES * ROWS)
            rounds.wait(60)
            rounds.wait(60)
            assert keys(place) == list(range((number + 1) * FILES * ROWS))
        removed = [one.result() for one in racing]
    assert sum(removed) >= FILES * ROUNDS  # each round had work to do
