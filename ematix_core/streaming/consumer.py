"""The loop: poll, decode, shape, land with the positions, acknowledge; for one target of one stream."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from ematix_core.backends.stream_protocols import SAMPLE, RetainingSource, SampledSource
from ematix_core.errors import BadRowError, ConversionError, EmatixError, SourceError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.streaming.control import Landed
from ematix_core.streaming.delivery import require_positions
from ematix_core.streaming.landing import Landing, Parcel
from ematix_core.streaming.letters import letters_of
from ematix_core.streaming.looking import Looking, StoppedError
from ematix_core.streaming.opening import open_reading, open_source, reader_of
from ematix_core.streaming.poison import is_of_data, without
from ematix_core.streaming.positions import Noted, moved
from ematix_core.streaming.reading import reading_of
from ematix_core.streaming.shaping import Shaping
from ematix_core.streaming.sifting import unloadable
from ematix_core.streaming.text_types import read_as, types_of_target

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.backends.stream_protocols import Position, Positions
    from ematix_core.engine.cancel import Cancellation
    from ematix_core.engine.environment import Environment
    from ematix_core.engine.result import TargetResult
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.control import Control, Observer, Until
    from ematix_core.streaming.records import Records

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.5
_NOTE_SECONDS = 30.0
"""So long positions that move without rows wait to be noted."""

_LOOK_SECONDS = 10.0
"""So often a consumer at work looks how far it is behind."""


class Consumer:
    """Consumes a stream for one target until it is stopped. Used as a context manager, in one thread."""

    carried = ""
    """A column of the source that this kind of consumer needs behind the SQL."""

    def __init__(
        self, env: Environment, stream: Stream, target: Target, *, control: Control, observer: Observer,
        cancellation: Cancellation, slot: int = 0,
    ) -> None:  # fmt: skip
        self._env, self._stream, self._target = env, stream, target
        self._control, self._observer, self._cancellation = control, observer, cancellation
        self._slot = slot
        self._name = stream.label(target)
        self._open = ExitStack()
        self._at: dict[str, Position] = {}
        self._next_note = self._next_look = 0.0
        self._of_target = False
        self._refused: EmatixError | None = None
        self._held: list[pa.Table] = []  # letters that wait for the first rows, before which nothing can be noted

    def __enter__(self) -> Self:
        try:
            self._landing = self._open.enter_context(
                Landing(self._env, self._stream, self._target, self._cancellation, slot=self._slot)
            )
            self._shaping = Shaping(self._env, self._stream, self.carried)
            self._open.callback(self._shaping.close)
            self._types = types_of_target(self._stream, self._target, self._landing)
            self._source = open_source(self._env, self._stream, self._target, self._types)
            self._open.callback(self._source.close)
            if self._landing.by_offsets:
                require_positions(self._source, self._stream, self._target)
            self._reading = open_reading(self._env, self._stream, self._source, self._target)
            self._open.callback(self._reading.close)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, until: Until) -> None:
        """Consume until a stop is asked for, or `until` says that it is enough.

        A stop during a search for bad records leaves the micro-batch to the next consumer.
        """
        with suppress(StoppedError):
            self._consume(until)

    def _consume(self, until: Until) -> None:
        self._polling = reading_of(
            self._env, self._source, self._stream, group_of(self._stream, self._target), until, control=self._control,
            keeps=not self._landing.by_offsets, alone=self._stream.keeps_state,
        )  # fmt: skip
        self._require_fit()
        self._at = self._polling.begin(self._noted)
        self._go_by_target()
        self._begun(until)
        ended = False
        while not ended and not self._control.stopping:
            if self._control.paused():
                self._landing.rest()
                self._control.wait(_PAUSE_SECONDS)
                continue
            records = self._gathered()
            if records:
                self._land(records)
            else:
                self._idle()
                self._landing.rest()
                self._observer.idle(self._name, self._polling.behind())
            self._stands()
            ended = self._polling.ended()
        self._ending(drained=ended and until.idle)
        self._stands(at_end=True)

    def _stands(self, *, at_end: bool = False) -> None:
        """Tell where the consumer is, now and then. What cannot be found out stops nothing: the last told stays."""
        if self._control.cancelled or (time.monotonic() < self._next_look and not at_end):
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        try:
            at = self._at or self._source.positions()
            if at_end and not at and not self._landing.by_offsets:
                at = self._noted()  # no partition came
            self._observer.stands(self._name, self._polling.behind(), at)
        except EmatixError as error:
            _log.info("stream %s: how far it is behind is not known: %s", self._stream.name, error)

    def _noted(self) -> dict[str, Position]:
        """Return the positions that are noted."""
        return self._landing.positions()

    def _begun(self, until: Until) -> None:
        """Do what is to be done before the first poll: nothing, where nothing is kept."""

    def _ending(self, *, drained: bool) -> None:
        """Do what is to be done at the end; `drained`: all that there was is read."""

    def interrupt(self) -> None:
        """Stop what runs in DuckDB or in the target, from another thread."""
        self._shaping.interrupt()
        self._landing.interrupt()

    def _gathered(self) -> list[Records]:
        """Poll until a micro-batch is full, its time is over, or there is nothing for a moment."""
        if self._refused is not None:
            raise self._refused
        found: list[Records] = []
        rows, size, began = 0, 0, time.monotonic()
        while not self._control.stopping:
            try:
                polled = self._polling.poll(rows, size, began)
            except (SourceError, UnsupportedError) as error:  # such as for a TRUNCATE
                if not found or isinstance(error, BadRowError):
                    raise
                self._refused = error  # raised when what came before it is loaded
                break
            failpoint("stream.poll.after")
            if polled is None:
                break
            self._cancellation.check()
            records = self._reading.read(polled)
            if records.letters is not None and self._stream.on_error == "fail":
                raise self._reading.refused(records.letters)
            if not found:
                began = time.monotonic()
            found.append(records)
            rows, size = rows + polled.rows.num_rows, size + polled.rows.nbytes
        return found

    def _land(self, gathered: list[Records]) -> None:
        began = time.monotonic()
        rows, raw = together([one.rows for one in gathered]), together([one.raw for one in gathered])
        letters = [*self._held, *(one.letters for one in gathered if one.letters is not None)]
        after = self._source.positions()
        if not rows.num_rows and not self._landing.notes_without_rows():
            self._held = letters
            return
        result, rows = self._loaded(rows, raw, letters, after)
        self._held = []
        self._at.update(after)
        lost = sum(one.num_rows for one in letters)
        dropping = self._stream.on_error == "drop"
        self._observer.landed(
            self._name,
            Landed(
                records=sum(one.count for one in gathered), bytes=raw.nbytes, dead=0 if dropping else lost,
                dropped=lost if dropping else 0, result=result, seconds=time.monotonic() - began,
                newest=newest(rows), positions=after,
            ),
        )  # fmt: skip
        # Told first: the rows are loaded, also when the group, which has others by now, refuses the positions.
        self._acknowledge(after)
        failpoint("stream.commit.after")
        if not self._of_target:
            self._go_by_target()  # the table may have been made just now

    def _require_fit(self) -> None:
        """Raise what the target has against the source's rows before a beginning makes the server keep its log."""
        if isinstance(self._source, RetainingSource) and isinstance(self._source, SampledSource) and not self._noted():
            polled = self._source.sample(SAMPLE)
            if polled is not None:
                self._landing.plan(self._shaping.shaped(self._reading.read(polled).rows))

    def _go_by_target(self) -> None:
        """Have types that are found in messages go with those of the target's columns, once there are any."""
        if self._types is not None and (types := self._types()):
            self._reading.go_by(read_as(types, self._landing.target.dialect))
            self._of_target = True

    def _loaded(
        self, rows: pa.Table, raw: pa.Table, letters: list[pa.Table], after: Positions
    ) -> tuple[TargetResult, pa.Table]:
        """Load the rows, and return which these were: those that cannot be loaded are added to the letters."""
        looking = self._looking()
        while True:
            try:
                return self._landing.land(self._parcel(rows, letters, after), self._source), rows
            except EmatixError as error:
                if self._stream.on_error == "fail" or not is_of_data(error):
                    raise
                bad = unloadable(rows, self._shaping, self._landing, error, looking)
            rows = without(rows, bad)
            letters.append(letters_of(raw, list(bad), list(bad.values()), payload=self._reading.payload))
            raw = without(raw, bad)

    def _looking(self) -> Looking:
        """Return what is called between the attempts of a search for bad records."""
        return Looking(self._stream.name, self._name, self._control, self._cancellation, self._observer)

    def _acknowledge(self, after: Positions) -> None:
        """Tell the source's system how far the target has come, unless that was part of the target's transaction."""
        if self._landing.sent:
            return
        try:
            self._source.commit(after)
        except EmatixError as error:
            if self._landing.by_offsets:
                raise
            _log.info("stream %s: its positions are in the target, and not at the source: %s", self._stream.name, error)

    def _idle(self) -> None:
        """Note positions that moved without rows, now and then, where the source's system keeps all behind them.

        So too where a stream that begins with what comes now has begun: the next consumer is to go on there.
        """
        import pyarrow as pa

        after = self._source.positions()
        changed = moved(self._at, after)
        begun = self._stream.start == "latest" and any(name not in self._at for name in changed)
        wanted = changed and (begun or isinstance(self._source, RetainingSource))
        if not wanted or time.monotonic() < self._next_note:
            return
        if self._landing.notes_without_rows():
            self._landing.land(Parcel(pa.table({}), None, Noted(self._before(changed)), Noted(changed)), self._source)
            self._at.update(after)
            self._acknowledge(after)
        self._next_note = time.monotonic() + _NOTE_SECONDS

    def _parcel(self, rows: pa.Table, letters: list[pa.Table], after: Positions) -> Parcel:
        shaped = self._shaping.shaped(rows) if rows.num_rows else rows.select([])
        failpoint("stream.transform.after")
        kept = together(letters) if letters and self._stream.on_error == "dead_letter" else None
        changed = moved(self._at, after)
        return Parcel(shaped, kept, Noted(self._before(changed)), Noted(changed))

    def _before(self, changed: Positions) -> dict[str, Position]:
        return {name: self._at[name] for name in changed if name in self._at}


def group_of(stream: Stream, target: Target) -> str:
    """Return the group that consumers of this target share."""
    return reader_of(stream, target, str(stream.options.get("group") or ""))


def together(tables: list[pa.Table]) -> pa.Table:
    """Return the tables as one; a column that one of them lacks is NULL there, and types widen.

    Raises ConversionError naming a column that has types of which none holds the other.
    """
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    first = tables[0].schema
    same = all(table.schema.equals(first) for table in tables)
    try:
        return pa.concat_tables(tables, promote_options="none" if same else "permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise ConversionError(
            f"the records of a batch do not go together: {error}",
            hint="Give the column one type at the source; for messages, declare schema=.",
        ) from error


def newest(rows: pa.Table) -> datetime | None:
    """Return the latest event time."""
    import pyarrow.compute as pc

    if "_event_ts" not in rows.schema.names or not rows.num_rows:
        return None
    found: datetime | None = pc.max(rows.column("_event_ts")).as_py()
    return found
