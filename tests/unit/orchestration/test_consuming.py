"""A stream in a process of an orchestrator: its ends, its rest, and the look whether there is something to do again."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING

import duckdb
import pytest

from ematix_core.errors import CancelledError, ProjectError
from ematix_core.orchestration import Cancellation, Site, StreamWatch, consume_attempt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.orchestration import OpenSite

PROJECT = """
import ematix_core as ematix

@ematix.connection
class files:
    kind = "objects"
    path = "in"

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.streaming_pipeline(
    source=files, source_query="*.json", batch_seconds=0.2,
    targets=[ematix.target(name, connection=warehouse) for name in ("clicks", "copies")],
)
def clicks(): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "pipelines.py").write_text(PROJECT)
    (tmp_path / "ematix.toml").write_text("")
    return tmp_path


@pytest.fixture
def site(folder: Path) -> Iterator[OpenSite]:
    where = Site(modules=("pipelines.py",), directory=str(folder), store=f"sqlite:///{folder / 'control.sqlite'}")
    with where.opened() as opened:
        yield opened


def arrive(folder: Path, number: int) -> None:
    half = folder / "in" / "half"
    half.write_text(json.dumps({"id": number}))
    os.utime(half, (time.time() - 600 + number,) * 2)  # one that has just changed is not read at once
    half.rename(folder / "in" / f"{number}.json")


def numbers(folder: Path, table: str = "clicks") -> list[int]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        return [row[0] for row in connection.execute(f"SELECT id FROM {table} ORDER BY id").fetchall()]


def test_it_ends_when_nothing_comes_and_the_watch_says_when_there_is_more(site: OpenSite, folder: Path) -> None:
    arrive(folder, 1)
    first = consume_attempt(site, "clicks", carrier="c", rest_after=0.5)
    assert first.rested
    assert [one.records for one in first.result.targets] == [1, 1]
    watch = StreamWatch(site, "clicks", first.end)
    assert [watch.look(), watch.look()] == [False, False]
    arrive(folder, 2)
    assert watch.look()
    watch.close()
    second = consume_attempt(site, "clicks", carrier="c", rest_after=0.5)
    assert second.rested
    assert numbers(folder) == numbers(folder, "copies") == [1, 2]
    assert site.store.lease("stream:clicks") is None


def test_it_rests_while_it_is_paused(site: OpenSite, folder: Path) -> None:
    arrive(folder, 1)
    site.store.pause("clicks")
    paused = consume_attempt(site, "clicks", carrier="c", rest_after=60)
    assert (paused.rested, paused.end) == (True, None)
    watch = StreamWatch(site, "clicks", paused.end)
    assert not watch.look()
    site.store.resume("clicks")
    assert watch.look()
    watch.close()


def test_it_ends_after_its_time_and_with_all_that_there_was(site: OpenSite, folder: Path) -> None:
    arrive(folder, 1)
    bounded = consume_attempt(site, "clicks", carrier="c", seconds=2)
    assert not bounded.rested
    assert 2 <= bounded.result.seconds < 10
    assert numbers(folder) == [1]
    assert not consume_attempt(site, "clicks", carrier="c", until_idle=True).rested


def test_a_cancelled_one_leaves_its_lease_at_once(site: OpenSite) -> None:
    button = Cancellation()
    timer = threading.Timer(1.0, button.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(CancelledError, match="cancelled"):
        consume_attempt(site, "clicks", carrier="c", cancellation=button)
    assert time.monotonic() - began < 10
    assert site.store.lease("stream:clicks") is None
    assert {state.status for state in site.store.consumers("clicks")} == {"failed"}


def test_an_unknown_stream_is_told_with_the_nearest(site: OpenSite) -> None:
    with pytest.raises(ProjectError, match=r"(?s)unknown stream 'klicks'.*clicks"):
        consume_attempt(site, "klicks", carrier="c")
