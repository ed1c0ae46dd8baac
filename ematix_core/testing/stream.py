"""StreamConformance: what every source does that is read without end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery, order_of
from ematix_core.errors import ConfigError, SourceError
from ematix_core.testing.reach import Conformance, Reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from ematix_core.backends.stream_protocols import Polled, Positions, StreamSource

AT_ONCE = PollLimits(seconds=0)
FEW = PollLimits(rows=3, seconds=0)
PARTS = [list(range(10)), list(range(10, 11)), list(range(11, 30)), list(range(30, 37))]
EVERY = list(range(37))


def drain(source: StreamSource, limits: PollLimits = AT_ONCE) -> Iterator[Polled]:
    """Poll until there is nothing."""
    while (polled := source.poll(limits)) is not None:
        yield polled


def ids(source: StreamSource, limits: PollLimits = AT_ONCE) -> list[Any]:
    """Return the ids of all rows that there are."""
    return [row for polled in drain(source, limits) for row in numbers(polled.rows)]


def numbers(rows: pa.RecordBatch) -> list[Any]:
    """Return the ids of rows; those of payloads that are yet to be decoded are the payload's digits."""
    if "id" in rows.schema.names:
        return list(rows.column("id").to_pylist())
    return [int(value or b"") for value in rows.column("value").to_pylist()]


class StreamConformance(Conformance):
    """The protocol of streams. The rows have a column `id`, or a payload `value` of the id's digits.

    A subclass says how rows come: `arrive` makes them the next ones of the stream, complete at once, and returns a time
    that is not later than that of these rows and later than that of the rows before, by the system's own account.
    """

    arrive: Any
    """`arrive(system, name, ids) -> datetime`: rows with these ids for the stream of that name, which it makes."""

    def query(self, name: str) -> StreamQuery:
        """Return how the stream is asked for."""
        return StreamQuery(name)

    @pytest.fixture
    def stream(self, system: Reached, table: str) -> Iterator[StreamSource]:
        """Yield a source over PARTS."""
        for part in PARTS:
            self.arrive(system, table, part)
        source = self.open(system, table)
        yield source
        source.close()

    def open(self, system: Reached, name: str, start: Any = "earliest") -> StreamSource:  # noqa: ANN401 - see Start
        """Return a source that begins there."""
        source = registry.stream_source(system.connection, self.query(name))
        source.seek(start)
        return source

    def test_all_rows_come_in_order_and_then_none(self, stream: StreamSource) -> None:
        assert ids(stream) == EVERY
        assert stream.poll(AT_ONCE) is None

    def test_without_a_seek_it_begins_with_the_oldest_rows(self, system: Reached, table: str) -> None:
        self.arrive(system, table, [1, 2])
        source = registry.stream_source(system.connection, self.query(table))
        assert ids(source) == [1, 2]
        source.close()

    def test_rows_that_come_later_are_found(self, system: Reached, table: str, stream: StreamSource) -> None:
        ids(stream)
        self.arrive(system, table, [100, 101])
        assert ids(stream) == [100, 101]

    def test_batches_keep_to_the_limit_of_rows(self, stream: StreamSource) -> None:
        polled = list(drain(stream, FEW))
        assert max(one.rows.num_rows for one in polled) == FEW.rows
        assert [value for one in polled for value in numbers(one.rows)] == EVERY

    def test_batches_keep_to_the_limit_of_bytes_but_have_a_row(self, stream: StreamSource) -> None:
        polled = list(drain(stream, PollLimits(bytes=1, seconds=0)))
        assert {one.rows.num_rows for one in polled} == {1}
        assert len(polled) == sum(map(len, PARTS))

    def test_a_poll_ends_when_its_time_is_over(self, stream: StreamSource) -> None:
        ids(stream)
        began = datetime.now(UTC)
        assert stream.poll(PollLimits(seconds=0.3)) is None
        assert 0.25 < (datetime.now(UTC) - began).total_seconds() < 10

    def test_positions_are_plain_data_and_rise(self, stream: StreamSource) -> None:
        positions = [polled.positions for polled in drain(stream, FEW)]
        assert json.loads(json.dumps(positions)) == positions
        for partition in {name for one in positions for name in one}:
            order = [order_of(one.get(partition)) for one in positions]
            assert order == sorted(order)
        assert len({json.dumps(one) for one in positions}) == len(positions)

    def test_another_source_goes_on_from_any_positions_with_exactly_the_rest(
        self, system: Reached, table: str, stream: StreamSource
    ) -> None:
        read = 0
        for polled in drain(stream, FEW):
            assert stream.positions() == polled.positions
            read += polled.rows.num_rows
            other = self.open(system, table, json.loads(json.dumps(polled.positions)))
            assert ids(other) == EVERY[read:]
            other.close()

    def test_positions_of_the_end_miss_nothing_that_comes_later(
        self, system: Reached, table: str, stream: StreamSource
    ) -> None:
        ids(stream)
        saved = stream.positions()
        self.arrive(system, table, [100])
        other = self.open(system, table, saved)
        assert ids(other) == [100]
        other.close()

    def test_seek_goes_back_half_way_through_rows(self, stream: StreamSource) -> None:
        first = stream.poll(FEW)
        assert first is not None
        second = stream.poll(FEW)
        assert second is not None
        stream.seek(first.positions)
        assert ids(stream) == EVERY[3:]
        stream.seek("earliest")
        assert ids(stream) == EVERY

    def test_latest_is_behind_the_newest_rows(self, system: Reached, table: str, stream: StreamSource) -> None:
        stream.seek("latest")
        saved = stream.positions()
        assert ids(stream) == []
        self.arrive(system, table, [100])
        other = self.open(system, table, saved)
        assert ids(stream) == ids(other) == [100]
        other.close()

    def test_a_time_is_that_of_the_first_row_that_is_not_older(self, system: Reached, table: str) -> None:
        times = [self.arrive(system, table, part) for part in PARTS]
        source = self.open(system, table, times[2])
        assert ids(source) == EVERY[11:]
        source.seek(times[0] - timedelta(days=1))
        assert ids(source) == EVERY
        source.seek(datetime.now(UTC) + timedelta(days=1))
        assert ids(source) == []
        source.close()

    def test_the_end_is_reached_when_all_rows_are_read(self, stream: StreamSource) -> None:
        end = stream.end()
        before = None
        for _ in drain(stream, FEW):
            before = before if _reached(stream.positions(), end) else stream.positions()
        assert before is not None
        assert _reached(stream.positions(), end)
        assert stream.end().keys() == end.keys()

    def test_nothing_behind_the_positions_of_an_end_is_returned(
        self, system: Reached, table: str, stream: StreamSource
    ) -> None:
        read = 0
        for polled in drain(stream, FEW):
            read += polled.rows.num_rows
            limits = PollLimits(rows=5, seconds=0, before=json.loads(json.dumps(polled.positions)))
            other = self.open(system, table)
            assert ids(other, limits) == EVERY[:read]
            assert _reached(other.positions(), polled.positions)
            assert _reached(polled.positions, other.positions())
            other.close()

    def test_rows_say_when_and_where_they_came_to_be(self, stream: StreamSource) -> None:
        (first, *_) = drain(stream)
        added = [name for name in first.rows.schema.names if name.startswith("_")]
        known = {"_key", "_event_ts", "_partition", "_offset", "_version", "_file", "_headers", "_topic"}
        assert set(added) <= known | {"_op", "_deleted"}
        assert str(first.rows.schema.field("_event_ts").type) == "timestamp[us, tz=UTC]"
        assert first.rows.column("_offset").to_pylist() == list(range(first.rows.num_rows))

    def test_commit_may_be_repeated_and_changes_nothing_here(self, stream: StreamSource) -> None:
        first = stream.poll(FEW)
        assert first is not None
        stream.commit(first.positions)
        stream.commit(first.positions)
        assert ids(stream) == EVERY[3:]

    def test_positions_of_something_else_are_refused(self, stream: StreamSource) -> None:
        for wrong in ({"0": "x"}, {"0": [1]}, {"7": [0, 0, {}]}, {"0": [0, 0, 0, 0]}, {"0": [0, 0, {"open": 3}]}):
            with pytest.raises(SourceError):
                stream.seek(wrong)  # type: ignore[arg-type]  # the mistake
        assert ids(stream) == EVERY

    def test_a_time_without_a_zone_is_refused(self, stream: StreamSource) -> None:
        with pytest.raises(SourceError, match="time zone"):
            stream.seek(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake

    def test_an_unknown_option_is_named(self, system: Reached, table: str, stream: StreamSource) -> None:
        del stream
        query = StreamQuery(table, {**self.query(table).options, "no_such": 1})
        with pytest.raises(ConfigError, match="no_such"):
            registry.stream_source(system.connection, query)


def _reached(positions: Positions, end: Positions) -> bool:
    return all(order_of(positions.get(partition)) >= order_of(place) for partition, place in end.items())
