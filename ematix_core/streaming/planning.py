"""The plan of a stream: how records are read, shaped and loaded, and which delivery that makes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from ematix_core.backends.stream_protocols import SAMPLE, SampledSource
from ematix_core.config.settings import Settings
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import Environment
from ematix_core.engine.planning import explain_insert
from ematix_core.errors import EmatixError
from ematix_core.model.function import signature_of
from ematix_core.model.mode import Scd2
from ematix_core.streaming.delivery import delivery_of
from ematix_core.streaming.joins.stage import JoinStage
from ematix_core.streaming.landing import Landing
from ematix_core.streaming.opening import open_reading, open_source
from ematix_core.streaming.poison import is_of_data, without
from ematix_core.streaming.result import StreamPlan, TargetStreamPlan
from ematix_core.streaming.shaping import Shaping
from ematix_core.streaming.text_types import read_as, types_of_target
from ematix_core.streaming.windows.stage import WindowStage

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.function import Function
    from ematix_core.model.job import Target
    from ematix_core.model.join import Join
    from ematix_core.model.stream import Stream
    from ematix_core.model.window import Window


def plan_stream(
    stream: Stream, project: ConnectionLookup | None = None, *, settings: Settings | None = None
) -> StreamPlan:
    """Return what consuming would do. Looks at the source's first records and at the targets; changes nothing."""
    env = Environment(project=project, settings=settings or Settings.load())
    try:
        return _planned(env, stream)
    except EmatixError as error:
        raise error.at(f"stream {stream.name}").masked(env.redactor.mask) from error.__cause__


def _planned(env: Environment, stream: Stream) -> StreamPlan:
    first = next(iter(stream.targets), None)
    shaped = _rows(env, stream, first)
    own = stream.join is None and stream.window is None  # each target has rows of its own types
    notes = (
        [] if shaped is not None else ["no record is there yet: columns and statements are known with the first ones"]
    )
    notes += [
        f"scd2 into {one.name} without event_time= keeps one version of a key from each micro-batch, its last"
        for one in stream.targets if isinstance(one.mode, Scd2) and not one.mode.event_time
    ]  # fmt: skip
    notes += [f"SQL may call {signature_of(one)}" for one in stream.functions]
    notes += [f"enriched by {one.name}, batch by batch" for one in stream.enrich]
    return StreamPlan(
        stream=stream.name, source=" and ".join(_source(env, one) for one in stream.sides or (stream,)),
        join=str(stream.join or ""),
        transform_sql=stream.transform_sql, window=str(stream.window or ""),
        columns=tuple(shaped.schema.names) if shaped is not None else (),
        targets=tuple(
            _target(env, stream, target, _rows(env, stream, target) if own and target is not first else shaped)
            for target in stream.targets
        ),
        notes=tuple(notes),
    )  # fmt: skip


def _rows(env: Environment, stream: Stream, target: Target | None) -> pa.Table | None:
    """Return what the stream makes of a sample for the target; None as long as there is none."""
    shaping = Shaping(env, stream)
    try:
        rows = _sample(env, stream, target) if stream.join is None else _joined(env, stream, stream.join)
        shaped = None if rows is None else _shaped(stream, shaping, rows)
    finally:
        shaping.close()
    return shaped if stream.window is None else _windowed(env, stream.window, stream.functions, shaped)


def _shaped(stream: Stream, shaping: Shaping, rows: pa.Table) -> pa.Table:
    """Return the sample as the SQL makes it; without rows when some are bad and the stream goes on in spite of it."""
    try:
        return shaping.shaped(rows)
    except EmatixError as error:
        if stream.on_error == "fail" or not is_of_data(error):
            raise
    return shaping.shaped(rows.slice(0, 0))


def _windowed(
    env: Environment, window: Window, functions: tuple[Function, ...], rows: pa.Table | None
) -> pa.Table | None:
    """Return the results of the sample; None without rows that have one. Checks the aggregates in any case."""
    stage = WindowStage(window, env.clock, functions)
    try:
        if rows is None or not rows.num_rows:
            return None
        bad = stage.times.bad(rows)
        found = stage.sample(without(rows, bad) if bad else rows)
        return found if found.num_rows else None
    finally:
        stage.close()


def _joined(env: Environment, stream: Stream, join: Join) -> pa.Table | None:
    """Return what the samples of both sides give; None as long as one of them has no record."""
    shaped = []
    for side in stream.sides:
        shaping = Shaping(env, side)
        try:
            rows = _sample(env, side, None)
            shaped.append(None if rows is None else _shaped(side, shaping, rows))
        finally:
            shaping.close()
    stage = JoinStage(join, env.clock)
    try:
        return stage.sample((shaped[0], shaped[1]))
    finally:
        stage.close()


def _source(env: Environment, stream: Stream) -> str:
    connection = env.connection(stream.source)
    return f"{stream.source_query} of {connection.name} ({connection.kind})"


def _sample(env: Environment, stream: Stream, target: Target | None) -> pa.Table | None:
    with ExitStack() as stack:
        types = choose = None
        if target is not None:
            landing = stack.enter_context(Landing(env, stream, target, Cancellation()))
            if (types := types_of_target(stream, target, landing)) is not None:
                choose = read_as(types(), landing.target.dialect)
        source = open_source(env, stream, target, types)
        stack.callback(source.close)
        if isinstance(source, SampledSource):
            polled = source.sample(SAMPLE)
        else:
            source.seek("earliest")
            polled = source.poll(SAMPLE)
        if polled is None:
            return None
        reading = open_reading(env, stream, source, target or next(iter(stream.targets), None))
        stack.callback(reading.close)
        if choose is not None:
            reading.go_by(choose)
        return reading.read(polled).rows


def _target(env: Environment, stream: Stream, target: Target, rows: pa.Table | None) -> TargetStreamPlan:
    plan = None
    if rows is not None:
        with Landing(env, stream, target, Cancellation()) as landing:
            plan = explain_insert(landing.plan(rows))
    delivery = delivery_of(env, stream, target)
    return TargetStreamPlan(stream.label(target), delivery.name, delivery.why, plan)
