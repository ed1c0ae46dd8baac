"""The versions of a table of files: what a commit costs when there are many, and what foreign readers see of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.backends.objects.manifest import History
from ematix_core.backends.storage.local import LocalFolder

from .conftest import EVENTS

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64())})


def views(lake: Lake) -> dict[str, int]:
    """Return how many files each folder of links has."""
    folders = (lake.root / ".ematix/analytics/events").glob("_view-*")
    return {folder.name: len(list(folder.iterdir())) for folder in folders}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the small files that were read so far."""
    names: list[str] = []
    whole = LocalFolder.read

    def noted(self: LocalFolder, path: str) -> bytes | None:
        names.append(path.rpartition("/")[2])
        return whole(self, path)

    monkeypatch.setattr(LocalFolder, "read", noted)
    return names


def test_a_commit_reads_as_much_of_many_versions_as_of_few(lake: Lake, read: list[str]) -> None:
    counts = []
    for number in range(20):
        read.clear()
        lake.load(rows(number), load_id=str(number))
        counts.append(len(read))
    assert counts[3:] == [counts[3]] * 17
    assert counts[3] <= 4, read


def test_a_version_that_adds_one_file_adds_one_link(lake: Lake) -> None:
    for number in range(1, 4):
        lake.load(rows(number))
        assert views(lake) == {"_view-000000001": number}
        assert len(lake.foreign()) == number
    lake.load(rows(4), clear=True)
    assert views(lake) == {"_view-000000001": 3, "_view-000000004": 1}
    assert len(lake.foreign()) == 1


def test_a_version_of_several_new_files_shows_them_at_once(lake: Lake) -> None:
    lake.load(rows(1))
    lake.load(rows(*range(2, 5000)), target_file_rows=2048, row_group_size=2048)
    assert set(views(lake)) == {"_view-000000001", "_view-000000002"}
    assert len(lake.foreign()) == views(lake)["_view-000000002"] > 2


def test_links_that_a_later_version_is_shown_by_outlive_their_own(lake: Lake) -> None:
    lake.load(rows(1))
    lake.load(rows(2), grace_seconds=0)
    lake.load(rows(3), grace_seconds=0)
    assert History(lake.target().store, "analytics/events").versions() == [3]
    assert views(lake) == {"_view-000000001": 3}
    assert lake.events() == [1, 2, 3]
    lake.load(rows(4), clear=True, grace_seconds=0)
    assert views(lake) == {"_view-000000004": 1}
    assert len(lake.stored()) == 1


def test_a_link_that_somebody_removed_comes_back(lake: Lake) -> None:
    lake.load(rows(1))
    lake.load(rows(2))
    (lake.root / "analytics/events").unlink()
    with lake.target().session() as session:
        session.columns(EVENTS)
    assert len(lake.foreign()) == 2


def test_what_no_version_names_goes_and_what_an_older_one_names_stays(lake: Lake) -> None:
    lake.load(rows(1))
    lake.load(rows(2), clear=True)
    data = lake.root / ".ematix/analytics/events/_files"
    (data / "part-left.parquet").write_bytes(b"by a writer that was killed")
    for old in data.glob("part-*"):
        old.touch()  # as copying the folder does: the times do not tell any more
    lake.load(rows(3))
    assert len(lake.stored()) == 3
    assert "part-left.parquet" not in lake.stored()
