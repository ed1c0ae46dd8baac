"""Messages that an orchestrator looks for itself: found once, given one at a time, taken away after a success."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import MissingSourceError, ProjectError
from ematix_core.model.unit import units
from ematix_core.orchestration import Messages, Site
from ematix_core.store import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.orchestration import OpenSite, Unit

DROP = ematix.ObjectStoreConnection("drop", path="drop")
TARGET = ematix.MemoryConnection("target")


@ematix.job(target="texts", target_connection=TARGET)
def texts() -> None:
    """Never runs here."""


IMPORTS = ematix.workflow("imports", jobs=texts, on_message=ematix.inbox("drops", connection=DROP, path="*.txt"))


def unit(workflow: ematix.Workflow = IMPORTS) -> Unit:
    return units(ematix.Project.of(workflow))[0]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OpenSite]:
    (tmp_path / "drop").mkdir()
    with Site(directory=str(tmp_path), store="memory:").opened() as opened:
        yield opened


def put(tmp_path: Path, name: str, age: float) -> Path:
    """Write a message that is some seconds old, so that it has settled."""
    file = tmp_path / "drop" / name
    file.write_text(name)
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def test_messages_are_written_once_whoever_looks_and_given_one_at_a_time(site: OpenSite, tmp_path: Path) -> None:
    first, second = put(tmp_path, "a.txt", 20), put(tmp_path, "b.txt", 10)
    one, other = Messages(site, unit()), Messages(site, unit())
    position = one.look()
    assert position is not None
    assert position.startswith("a.txt@")
    assert other.look() == position
    assert [event.kind for event in site.store.events()] == [EventKind.MESSAGE, EventKind.MESSAGE]
    run = site.store.begin_workflow("imports", unit=True, message=position)
    assert one.look() is None
    site.store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
    following = one.look()
    assert following is not None
    assert following.startswith("b.txt@")
    assert (first.exists(), (tmp_path / "drop/done/a.txt").exists(), second.exists()) == (False, True, True)


def test_a_message_whose_run_failed_is_consumed_and_stays_where_it_is(site: OpenSite, tmp_path: Path) -> None:
    file = put(tmp_path, "a.txt", 20)
    messages = Messages(site, unit())
    position = messages.look()
    run = site.store.begin_workflow("imports", unit=True, message=position)
    site.store.finish_workflow(run.workflow_run_id, Status.FAILED)
    assert messages.look() is None
    assert Messages(site, unit()).look() is None
    assert file.exists()


def test_what_was_left_of_a_success_is_taken_away_at_the_next_start(site: OpenSite, tmp_path: Path) -> None:
    file = put(tmp_path, "a.txt", 20)
    position = Messages(site, unit()).look()
    run = site.store.begin_workflow("imports", unit=True, message=position)
    site.store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
    assert file.exists()
    assert Messages(site, unit()).look() is None
    assert not file.exists()


def test_nothing_is_given_while_the_workflow_is_paused(site: OpenSite, tmp_path: Path) -> None:
    put(tmp_path, "a.txt", 20)
    site.store.pause("imports")
    messages = Messages(site, unit())
    assert messages.look() is None
    site.store.resume("imports")
    assert messages.look() is not None


def test_a_relative_path_counts_from_the_project_s_folder(
    site: OpenSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt", 20)
    monkeypatch.chdir("/")
    assert Messages(site, unit()).look() is not None


def test_a_source_that_is_not_there_is_named_and_may_come(site: OpenSite, tmp_path: Path) -> None:
    (tmp_path / "drop").rmdir()
    messages = Messages(site, unit())
    with pytest.raises(MissingSourceError, match=f"there is no folder {tmp_path}/drop"):
        messages.look()
    (tmp_path / "drop").mkdir()
    assert messages.look() is None


def test_a_unit_without_messages_is_refused(site: OpenSite) -> None:
    nightly = ematix.workflow("nightly", jobs=texts, schedule="0 2 * * *")
    with pytest.raises(ProjectError, match=r"nightly runs for no messages \(workflow nightly\)"):
        Messages(site, unit(nightly))
