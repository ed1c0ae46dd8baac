"""Malformed lines of files that a stream follows: it stops, unless such lines are left out."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import BadRowError
from ematix_core.testing.stream import drain, ids, numbers

if TYPE_CHECKING:
    from ematix_core.backends.stream_protocols import Start, StreamSource
    from tests.unit.backends.objects.conftest import Lake

ONCE = PollLimits(seconds=0)


def drop(lake: Lake, path: str, lines: str, age: int) -> None:
    """Put a complete CSV file there, last changed so many whole seconds ago."""
    lake.write_text(path, f"id\n{lines}")
    changed = int(time.time()) - age
    os.utime(lake.root / path, (changed, changed))


def follow(lake: Lake, start: Start = "earliest", *, name: str = "in/*.csv", leave_out: bool = False) -> StreamSource:
    source = registry.stream_source(lake.connection(), StreamQuery(name, leave_out=leave_out))
    source.seek(start)
    return source


def test_a_malformed_line_stops_the_stream_until_it_is_corrected(lake: Lake) -> None:
    drop(lake, "in/b.csv", "7\n", age=30)
    drop(lake, "in/a.csv", "1,2,3\n", age=60)
    source = follow(lake)
    with pytest.raises(BadRowError, match="malformed line") as caught:
        source.poll(ONCE)
    assert caught.value.hint == (
        "The line is: 1,2,3\nSet on_error='dead_letter' to keep such lines aside and go on, or correct the file."
    )
    drop(lake, "in/a.csv", "1\n", age=60)
    assert ids(follow(lake)) == [1, 7]


def test_a_file_that_is_read_in_part_goes_on_when_lines_are_left_out(lake: Lake) -> None:
    drop(lake, "in/b.csv", "7\n", age=50)
    drop(lake, "in/a.csv", "".join(f"{number}\n" for number in range(1_000_000)) + "1,2,3\n-1\n", age=60)
    source = follow(lake)
    first = source.poll(ONCE)
    assert first is not None
    with pytest.raises(BadRowError, match="malformed line") as caught:
        ids(source)
    assert caught.value.hint.endswith("Set on_error='dead_letter' to keep such lines aside and go on.")
    other = follow(lake, first.positions, leave_out=True)
    polled = list(drain(other))
    rest = [row for one in polled if one.rows.num_rows for row in numbers(one.rows)]
    assert rest == [*range(first.rows.num_rows, 1_000_000), -1, 7]
    (bad,) = [one.bad for one in polled if one.bad is not None]
    assert bad.to_pylist()[0]["text"] == "1,2,3"


def test_a_file_without_one_object_is_told_as_it_is(lake: Lake) -> None:
    lake.write_text("in/a.jsonl", "nothing\n")
    source = follow(lake, name="in/*.jsonl", leave_out=True)
    with pytest.raises(BadRowError, match="no line is a JSON object") as caught:
        source.poll(PollLimits(seconds=5))
    assert caught.value.hint.endswith("Move the file away: nothing of it can be read.")
