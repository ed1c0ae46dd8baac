"""Malformed lines of files that a stream follows: it stops, and its message says how it goes on."""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import BadRowError
from ematix_core.testing.stream import ids

if TYPE_CHECKING:
    from ematix_core.backends.stream_protocols import Start, StreamSource
    from tests.unit.backends.objects.conftest import Lake

ONCE = PollLimits(seconds=0)


def drop(lake: Lake, path: str, lines: str, age: int) -> None:
    """Put a complete CSV file there, last changed so many whole seconds ago."""
    lake.write_text(path, f"id\n{lines}")
    changed = int(time.time()) - age
    os.utime(lake.root / path, (changed, changed))


def follow(lake: Lake, start: Start = "earliest") -> StreamSource:
    source = registry.stream_source(lake.connection(), StreamQuery("in/*.csv", {}))
    source.seek(start)
    return source


def test_a_malformed_line_stops_the_stream_and_the_message_says_how_it_goes_on(lake: Lake) -> None:
    drop(lake, "in/b.csv", "7\n", age=30)
    drop(lake, "in/a.csv", "1,2,3\n", age=60)
    source = follow(lake)
    with pytest.raises(BadRowError, match="malformed line") as caught:
        source.poll(ONCE)
    assert caught.value.hint.startswith("The line is: 1,2,3\nA stream leaves no line of a file out. Correct the file")
    drop(lake, "in/a.csv", "1\n", age=60)
    assert ids(follow(lake)) == [1, 7]


def test_behind_a_file_that_is_read_in_part_a_stream_goes_on_at_the_time_that_the_message_names(lake: Lake) -> None:
    drop(lake, "in/b.csv", "7\n", age=50)
    drop(lake, "in/a.csv", "".join(f"{number}\n" for number in range(1_000_000)) + "1,2,3\n", age=60)
    source = follow(lake)
    assert source.poll(ONCE) is not None
    with pytest.raises(BadRowError, match="malformed line") as caught:
        ids(source)
    assert "rows before it have been read" in caught.value.hint
    moment = datetime.fromisoformat(caught.value.hint.rpartition("--from ")[2])
    assert ids(follow(lake, moment)) == [7]
