"""What a stream keeps, for people: of which time, how much, where; and forgetting it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ematix_core.config.settings import Settings
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import Environment
from ematix_core.errors import ConfigError, EmatixError
from ematix_core.streaming.delivery import require_positions
from ematix_core.streaming.landing import Landing, Parcel
from ematix_core.streaming.opening import open_source
from ematix_core.streaming.positions import Noted
from ematix_core.streaming.stage import declared_of, stage_of
from ematix_core.streaming.state.checkpoints import Checkpoints
from ematix_core.streaming.state.places import open_place
from ematix_core.streaming.stateful import held, no_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.backends.stream_protocols import StreamSource
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StreamState:
    """What is kept for one target. `checkpoint` is empty as long as none is noted in the target.

    `groups`: partial aggregates of a window; `rows`: of both sides of a join; `bytes` in memory; `stored_bytes` as
    `segments` in the place. `newest`: by partition.
    """

    stream: str
    target: str
    place: str
    checkpoint: str = ""
    segments: int = 0
    stored_bytes: int = 0
    groups: int = 0
    rows: int = 0
    bytes: int = 0
    watermark: datetime | None = None
    newest: Mapping[str, datetime] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        newest = {name: at.isoformat() for name, at in self.newest.items()}
        return asdict(self) | {"watermark": self.watermark and self.watermark.isoformat(), "newest": newest}


def state_of(
    stream: Stream, target: Target, project: ConnectionLookup | None = None, *, settings: Settings | None = None,
    reset: bool = False,
) -> StreamState:  # fmt: skip
    """Return what is kept for a target, by what the target has noted; with `reset`, forget it first.

    The positions stay: the stream goes on from there, with an empty state; a consumer that is at work finds it changed
    and begins again with it. Raises ConfigError for a stream that keeps none, and for a state that cannot be read.
    """
    env = Environment(project=project, settings=settings or Settings.load())
    if not stream.keeps_state:
        raise ConfigError(
            "the stream keeps no state: it has no window=, and joins nothing", where=f"stream {stream.name}"
        )
    try:
        with ExitStack() as stack:
            landing, source, noted = _opened(env, stream, target, stack)
            place = open_place(env, stream, target)
            stack.callback(place.close)
            checkpoints = Checkpoints(place, stream.name, declared_of(stream))
            name = _emptied(landing, source, noted, checkpoints) if noted.state and reset else noted.state
            found = StreamState(stream.name, stream.label(target), place.shown, name)
            if not name:
                return found
            stage = stage_of(env, stream)
            stack.callback(stage.close)
            stage.restore(checkpoints.read(name))
            return _filled(found, checkpoints, stage.state())
    except EmatixError as error:
        raise error.at(f"stream {stream.name}").masked(env.redactor.mask) from error.__cause__


def _opened(env: Environment, stream: Stream, target: Target, stack: ExitStack) -> tuple[Landing, StreamSource, Noted]:
    """Return what the target has noted, and what it was read by. Disturbs no consumer that is at work."""
    landing = stack.enter_context(Landing(env, stream, target, Cancellation()))
    source = open_source(env, stream, target)
    stack.callback(source.close)
    if landing.by_offsets:
        require_positions(source, stream, target)
        return landing, source, Noted(*held(source, stream, target))
    positions = landing.positions()
    return landing, source, Noted(positions, landing.state)


def _emptied(landing: Landing, source: StreamSource, noted: Noted, checkpoints: Checkpoints) -> str:
    """Have the target note an empty state, and return its name."""
    name = checkpoints.empty(noted.state)
    positions = noted.positions if landing.by_offsets else {}
    if positions:
        source.seek(positions)
    landing.land(Parcel(no_rows(), None, Noted({}, noted.state), Noted(positions, name)), source)
    return name


def _filled(state: StreamState, checkpoints: Checkpoints, kept: Mapping[str, Any]) -> StreamState:
    at = kept["watermark"]
    return StreamState(
        state.stream, state.target, state.place, state.checkpoint, segments=checkpoints.segments,
        stored_bytes=checkpoints.bytes, groups=kept.get("groups", 0), rows=kept.get("rows", 0), bytes=kept["bytes"],
        watermark=None if at is None else _time(at), newest={name: _time(one) for name, one in kept["newest"].items()},
    )  # fmt: skip


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
