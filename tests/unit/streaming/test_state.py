"""What windows keep: checkpoints and their chain, what is refused, reset, and consumers that overtake each other."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.errors import ConfigError, UnsupportedError
from ematix_core.streaming.control import Control
from ematix_core.streaming.state.checkpoints import Checkpoints
from ematix_core.streaming.state.entries import Entry, pack
from ematix_core.streaming.state.inspection import state_of
from ematix_core.streaming.state.places import FolderPlace
from tests.unit.streaming.windows import click, stream, told, tumbling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from tests.unit.streaming.conftest import Arrive

DECLARED = {"window": "tumbling", "size": "60 s"}
RESET = "flow streams state clicks --reset"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(LocalFolder(tmp_path / "state"), "clicks:t")


def checkpoints(place: FolderPlace, **declared: str) -> Checkpoints:
    return Checkpoints(place, "clicks", {**DECLARED, **declared})


def entry(number: int, rows: int = 1) -> Entry:
    return Entry(pa.table({"n": [number] * rows}), {"watermark": number})


def numbers(entries: list[Entry]) -> list[Any]:
    return [one.facts["watermark"] for one in entries]


def no_whole() -> list[Entry]:
    raise AssertionError


def test_a_chain_of_segments_leads_to_the_last_checkpoint(place: FolderPlace) -> None:
    written = checkpoints(place)
    names = [written.write([entry(0)], lambda: [entry(0)])]
    names += [written.write([entry(number)], no_whole) for number in (1, 2)]
    found = checkpoints(place)
    assert numbers(found.read(names[2])) == [0, 1, 2]
    assert (found.last, found.segments) == (names[2], 3)
    assert numbers(found.read(names[1])) == [0, 1]
    assert names == sorted(names)


def test_a_long_chain_is_replaced_by_a_whole_and_forgotten_when_that_is_noted(place: FolderPlace) -> None:
    written = checkpoints(place)
    for number in range(64):
        written.write([entry(number)], lambda: [entry(0)])
        written.settled()
    assert len(place.names()) == 64
    whole = written.write([entry(64)], lambda: [entry(100)])
    assert len(place.names()) == 65
    written.settled()
    assert place.names() == [whole]
    assert numbers(checkpoints(place).read(whole)) == [100]


def test_a_whole_is_written_when_additions_outgrow_it(place: FolderPlace) -> None:
    written = checkpoints(place)
    written.write([], lambda: [entry(0)])
    large = Entry(pa.table({"n": [os.urandom(2 << 20)]}), {"watermark": 1})
    written.write([large], no_whole)
    assert numbers(checkpoints(place).read(written.write([], lambda: [entry(7)]))) == [7]


def test_a_segment_that_is_gone_or_damaged_is_named_with_the_ways_out(place: FolderPlace, tmp_path: Path) -> None:
    written = checkpoints(place)
    first = written.write([], lambda: [entry(0, rows=100)])
    last = written.write([entry(1)], no_whole)
    file = tmp_path / "state" / "clicks:t" / first
    content = file.read_bytes()
    for damaged in (b"", b"garbage\n", content[:-20], content[:150]):
        file.write_bytes(damaged)
        with pytest.raises(ConfigError, match="the state is damaged: ") as caught:
            checkpoints(place).read(last)
        assert first in str(caught.value)
        assert RESET in str(caught.value)
    file.unlink()
    with pytest.raises(ConfigError, match=f"the state {first} is not there") as caught:
        checkpoints(place).read(last)
    assert RESET in str(caught.value)


def test_a_state_of_another_window_or_format_is_refused(place: FolderPlace) -> None:
    name = checkpoints(place).write([], lambda: [entry(0)])
    with pytest.raises(ConfigError, match="it had size='60 s' and now '120 s'") as caught:
        checkpoints(place, size="120 s").read(name)
    assert "as a stream of another name" in str(caught.value)
    assert RESET in str(caught.value)
    place.write(name, pack(DECLARED, []).replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(ConfigError, match="format 2, and this version of ematix reads up to 1") as caught:
        checkpoints(place).read(name)
    assert "Install the version that wrote it" in str(caught.value)


def test_a_change_of_the_window_is_refused_and_one_of_its_lateness_is_not(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive(click("10:00:05"))
    stream(files, store, tumbling()).consume(until_idle=True)
    changed = stream(files, store, tumbling(aggregate={"n": "count"}))
    with pytest.raises(ConfigError, match="the state is of another declaration: it had aggregate="):
        changed.consume(until_idle=True)
    arrive(click("10:01:30"))
    stream(files, store, tumbling(lateness="10 seconds")).consume(until_idle=True)
    assert told(store) == [("a", "10:00", 1)]


def test_reset_begins_with_empty_windows_where_the_stream_is(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    clicks = stream(files, store, tumbling())
    arrive(click("10:00:05"), click("10:01:05"))
    clicks.consume(until_idle=True)
    before = state_of(clicks, clicks.targets[0])
    assert (before.groups, f"{before.watermark:%H:%M:%S}") == (1, "10:01:05")
    other = stream(files, store, tumbling(aggregate={"n": "count", "total": "sum(v * 10)"}))
    after = state_of(other, other.targets[0], reset=True)
    assert (after.checkpoint[:12], after.groups, after.watermark) == ("000000000002", 0, None)
    arrive(click("10:01:30"), click("10:02:00"))
    assert other.consume(until_idle=True).targets[0].records == 2
    assert told(store, "n", "total") == [("a", "10:00", 1, 1), ("a", "10:01", 1, 10)]


def test_a_damaged_state_can_be_reset(files: Connection, store: Connection, arrive: Arrive, tmp_path: Path) -> None:
    clicks = stream(files, store, tumbling())
    arrive(click("10:00:05"))
    clicks.consume(until_idle=True)
    (file,) = (tmp_path / ".ematix" / "state" / "clicks:store:results").iterdir()
    file.write_bytes(b"garbage")
    with pytest.raises(ConfigError, match="the state is damaged"):
        clicks.consume(until_idle=True)
    state_of(clicks, clicks.targets[0], reset=True)
    assert clicks.consume(until_idle=True).targets[0].records == 0


def test_targets_of_one_name_in_two_databases_keep_states_of_their_own(
    files: Connection, store: Connection, arrive: Arrive, tmp_path: Path
) -> None:
    other = ematix.SQLiteConnection("other", path=str(tmp_path / "other.sqlite"))
    targets = [ematix.target("results", connection=one) for one in (store, other)]
    clicks = stream(files, store, tumbling(), target=None, target_table=None, targets=targets)
    arrive(click("10:00:05"))
    clicks.consume(until_idle=True)
    assert {path.name for path in (tmp_path / ".ematix" / "state").iterdir()} == {
        "clicks:store:results", "clicks:other:results",
    }  # fmt: skip
    places = {state_of(clicks, target).place for target in clicks.targets}
    assert len(places) == 2


def test_a_stream_without_a_window_keeps_nothing_to_show(files: Connection, store: Connection) -> None:
    plain = ematix.stream("plain", source=files, source_query="*.json", target=store, target_table="results")
    with pytest.raises(ConfigError, match="the stream keeps no state: it has no window="):
        state_of(plain, plain.targets[0])


def test_a_database_of_another_kind_keeps_no_state(files: Connection, store: Connection, arrive: Arrive) -> None:
    arrive(click("10:00:05"))
    with pytest.raises(UnsupportedError, match=r"connection store .sqlite. keeps no state") as caught:
        stream(files, store, tumbling(), state=store).consume(until_idle=True)
    assert "ObjectStoreConnection" in str(caught.value)


def test_a_consumer_that_was_overtaken_begins_again_from_the_state_of_the_other(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    clicks = stream(files, store, tumbling(), checkpoint="10 milliseconds")
    paused = threading.Event()
    control = Control(paused=paused.is_set)
    arrive(click("10:00:05"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(clicks.consume, control=control)
        try:
            _until(lambda: state_of(clicks, clicks.targets[0]).groups == 1)
            paused.set()
            time.sleep(1.5)  # its last poll is over
            arrive(click("10:00:30"), click("10:01:05"))
            assert clicks.consume(until_idle=True).targets[0].inserted == 1
            paused.clear()
            arrive(click("10:02:05"))
            _until(lambda: len(told(store)) == 2)
        finally:
            paused.clear()
            control.stop()
        assert first.result(30).targets[0].restarts == 1
    assert told(store) == [("a", "10:00", 2), ("a", "10:01", 1)]


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)
