"""Consuming a stream as a step of Dagster: what its assets are told while it runs, and when it ends."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dagster import Config, Failure, MaterializeResult
from pydantic import Field

from ematix_core import Retry
from ematix_core.errors import EmatixError
from ematix_core.orchestration import LoggedProgress, StreamResult, TargetConsumed
from ematix_dagster import facts
from ematix_dagster.failures import dagster_error
from ematix_dagster.names import RESOURCE, carrier_of
from ematix_dagster.step import last_version, materialization
from ematix_dagster.stopping import stoppable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dagster import AssetExecutionContext, AssetKey

    from ematix_core.orchestration import Cancellation, CompiledStream, Landed, OpenSite
    from ematix_dagster.resource import EmatixResource
    from ematix_dagster.source import Source

_LOOK_SECONDS = 5.0
_LEAST_SECONDS = 1.0
_ONCE = Retry(0)
"""A consumer begins again by itself; when it cannot, the sensor starts a new run."""


class StreamConfig(Config):
    """How one run of a stream goes: the config of its step."""

    seconds: float | None = Field(
        default=3600.0,
        gt=0,
        description="How long it consumes: then the sensor starts the next run. None: without end.",
    )
    until_idle: bool = Field(default=False, description="End when all that there was at the start is loaded.")
    report_seconds: float = Field(
        default=60.0, ge=_LEAST_SECONDS, description="How often the catalog is told what was loaded, if anything was."
    )


@dataclass(frozen=True, kw_only=True)
class StreamStep:
    """One stream, and what a process needs to know to consume it."""

    stream: CompiledStream
    source: Source
    keys: tuple[AssetKey, ...]
    """The assets, in the order of the stream's targets."""

    def run(self, context: AssetExecutionContext, config: StreamConfig) -> Iterator[MaterializeResult[None]]:
        """Consume, tell the catalog meanwhile, and yield what was not yet told. Raises Failure."""
        resource: EmatixResource = getattr(context.resources, RESOURCE)
        watch = _Watch(self, context, config.report_seconds)

        def work(cancellation: Cancellation) -> StreamResult:
            return self._consumed(site, context, config, cancellation, watch)

        try:
            with resource.site(self.source).opened() as site:
                result = stoppable(work, meanwhile=watch.look, every=min(_LOOK_SECONDS, config.report_seconds))
        except BaseException as error:
            watch.tell()  # what is loaded stays loaded
            if not isinstance(error, EmatixError):
                raise
            failure = dagster_error(error, _ONCE, 1)
            raise failure from failure.__cause__
        context.log.info("%s", result)
        yield from watch.results(always=True)

    def _consumed(
        self, site: OpenSite, context: AssetExecutionContext, config: StreamConfig, cancellation: Cancellation,
        watch: _Watch,
    ) -> StreamResult:  # fmt: skip
        from ematix_core.orchestration import consume_attempt  # the engine: no process needs it that only loads

        return consume_attempt(
            site, self.stream.name, carrier=carrier_of(context.run.run_id), until_idle=config.until_idle,
            seconds=config.seconds, cancellation=cancellation, observer=watch, progress=LoggedProgress(context.log),
        ).result  # fmt: skip


class _Watch:
    """What a consumer does, as an observer, and what the catalog was not told of it yet."""

    def __init__(self, step: StreamStep, context: AssetExecutionContext, every: float) -> None:
        self._step, self._context, self._every = step, context, every
        self._lock = threading.Lock()
        self._since = time.monotonic()
        self._done = {label: TargetConsumed(label) for label in labels(step.stream)}
        self._behind: dict[str, int | None] = dict.fromkeys(self._done)

    def landed(self, target: str, done: Landed) -> None:
        """See Observer."""
        with self._lock:
            self._done[target] = self._done[target].after(done)

    def idle(self, target: str, behind: int | None) -> None:
        """See Observer."""
        with self._lock:
            self._behind[target] = behind

    def searching(self, target: str, looked: int, of: int, found: int) -> None:
        """See Observer: the stream itself says it to the log."""

    def stands(self, target: str, behind: int | None, positions: Mapping[str, Any]) -> None:
        """See Observer."""
        del positions
        if behind is not None:
            self.idle(target, behind)

    def failed(self, target: str, error: str, retry_in: float) -> None:
        """See Observer."""
        self._context.log.warning("%s: begins again in %.1f s: %s", target, retry_in, error)
        with self._lock:
            self._done[target] = replace(self._done[target], restarts=self._done[target].restarts + 1)

    def look(self) -> None:
        """Tell the catalog when it is time to. Raises Failure once Dagster has ended the run."""
        run = self._context.instance.get_run_by_id(self._context.run.run_id)
        if run is None or run.is_finished:
            raise Failure(f"Dagster has ended this run, and with it stream {self._step.stream.name}")
        if time.monotonic() - self._since >= self._every:
            self.tell()

    def tell(self) -> None:
        """Tell the catalog of what was loaded since the last time."""
        for result in self.results(always=False):
            self._context.log_event(materialization(result))

    def results(self, *, always: bool) -> Iterator[MaterializeResult[None]]:
        """Yield what was loaded since the last time for each target; those without anything only if `always`."""
        with self._lock:
            done = {label: one for label, one in self._done.items() if one.batches or always}
            self._done |= {label: TargetConsumed(label) for label in done}
            now = time.monotonic()
            seconds, self._since = now - self._since, now
        new = tuple(one for one in done.values() if one.batches)
        if new:
            self._context.log.info("%s", StreamResult(self._step.stream.name, seconds, new))
        for target, key, label in zip(self._step.stream.targets, self._step.keys, self._done, strict=True):
            if (one := done.get(label)) is not None:
                yield MaterializeResult(
                    asset_key=key, metadata=facts.of_stream(one, target, seconds, self._behind[one.target]),
                    data_version=facts.reached(one) if one.batches else last_version(self._context, key),
                )  # fmt: skip


def labels(stream: CompiledStream) -> list[str]:
    """Return what consumers call the targets."""
    names = [target.name for target in stream.targets]
    return [
        f"{target.connection} {target.name}" if names.count(target.name) > 1 else target.name
        for target in stream.targets
    ]
