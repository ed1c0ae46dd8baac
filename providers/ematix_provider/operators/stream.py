"""A stream of a project as a task."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from ematix_provider.links import EmatixStreamLink
from ematix_provider.operators.dag_runs import carrier
from ematix_provider.operators.site import EmatixOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from logging import Logger

    from airflow.sdk import Context

    from ematix_core.orchestration import Cancellation, Consumed, Landed, OpenSite
    from ematix_provider.hooks import EmatixHook
    from ematix_provider.stopping import Stoppable

LONGEST_REST = timedelta(minutes=15)
"""So long a task waits in the triggerer, then it looks whether there is something to do by consuming."""


class EmatixStreamOperator(EmatixOperator):
    """Consumes a stream of the project in the worker, and waits in the triggerer while nothing comes.

    It goes on for `seconds` (None: without an end), or until all that there was at its start is loaded (`until_idle`),
    or for one micro-batch (`once`). When nothing has come for `rest_after` seconds, or the stream is paused, the task
    is deferred: it holds no worker until the source has more, at which the trigger looks every `poll_interval` seconds.
    `deferrable=False`: it stays in the worker. It is the stream's only consumer under an orchestrator: one that may
    still live after a crash is waited for, until its lease has lapsed (30 s) at the latest. Where it goes on stands in
    the targets, so a further try loads exactly the rest. Returns the counts of this try, and positions.
    """

    template_fields: Sequence[str] = (*EmatixOperator.template_fields, "stream")
    operator_extra_links = (EmatixStreamLink(),)

    def __init__(
        self,
        *,
        stream: str,
        until_idle: bool = False,
        once: bool = False,
        seconds: float | None = None,
        rest_after: float = 30.0,
        poll_interval: float = 5.0,
        deferrable: bool = True,
        **kwargs: Any,  # noqa: ANN401 - Airflow's own
    ) -> None:
        super().__init__(**kwargs)
        self.stream = stream
        self.until_idle = until_idle
        self.once = once
        self.seconds = seconds
        self.rest_after = rest_after
        self.poll_interval = poll_interval
        self.deferrable = deferrable
        self.stream_url = ""
        self._work: Stoppable[Consumed] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what was consumed, for XCom. Raises TaskDeferred to wait in the triggerer."""
        return self._go_on(context, datetime.now(UTC).isoformat(), {})

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the same after a wait in the triggerer."""
        if event["new"]:
            self.log.info("stream %s has something to do again", self.stream)
        return self._go_on(context, **event["state"])

    def _go_on(self, context: Context, began: str, before: dict[str, Any]) -> dict[str, Any]:
        """Consume. `began`: when this try did; `before`: the facts of what it has consumed."""
        from ematix_provider.facts import attach_to_all, stream_facts

        hook, left = self.hook(context), self._left(began)
        self.stream_url = hook.stream_url(self.stream)
        if left is not None and left <= 0:
            facts = before
        else:
            with self.opened(hook) as site:
                consumed = self._consume(context, site, left)
            facts = stream_facts(consumed.result, before)
            self._wait(hook, consumed, began, facts)
        attach_to_all(context, self.outlets, facts)
        return facts

    def on_kill(self) -> None:
        """Stop the consumer; `execute` ends when what it was at is rolled back."""
        if self._work is not None:
            self.log.info("Airflow stops the task: what the stream has not committed is rolled back")
            self._work.stop()

    @property
    def is_stopped(self) -> bool:
        return self._work is not None and self._work.stopped

    def _left(self, began: str) -> float | None:
        """Return how many seconds of its time are left; None for no end."""
        if self.seconds is None:
            return None
        return self.seconds - (datetime.now(UTC) - datetime.fromisoformat(began)).total_seconds()

    def _consume(self, context: Context, site: OpenSite, seconds: float | None) -> Consumed:
        from ematix_core.orchestration import LoggedProgress, consume_attempt
        from ematix_provider.stopping import Stoppable

        log = cast("Logger", self.log)
        rests = self.deferrable and not (self.until_idle or self.once)

        def work(cancellation: Cancellation) -> Consumed:
            return consume_attempt(
                site, self.stream, carrier=carrier(context), until_idle=self.until_idle, once=self.once,
                seconds=seconds, rest_after=self.rest_after if rests else None, cancellation=cancellation,
                observer=_Log(log), progress=LoggedProgress(log),
            )  # fmt: skip

        self._work = Stoppable(work)
        return self._work.run()

    def _wait(self, hook: EmatixHook, consumed: Consumed, began: str, facts: dict[str, Any]) -> None:
        """Wait in the triggerer when there is nothing to do, and time for it. Raises TaskDeferred."""
        from ematix_provider.streams import EmatixStreamTrigger
        from ematix_provider.triggers import FIRST_LOOK_SECONDS

        left = self._left(began)
        if not consumed.rested or (left is not None and left <= FIRST_LOOK_SECONDS):
            return
        rest = LONGEST_REST if left is None else min(LONGEST_REST, timedelta(seconds=left))
        self.log.info("stream %s %s", self.stream, "has nothing to do" if consumed.end is not None else "is paused")
        site = hook.site()
        trigger = EmatixStreamTrigger(
            stream=self.stream, end=consumed.end, until=(datetime.now(UTC) + rest).isoformat(),
            ematix_conn_id=self.ematix_conn_id, modules=site.modules, directory=site.directory,
            poll_seconds=self.poll_interval, state={"began": began, "before": facts},
        )  # fmt: skip
        self.defer(trigger=trigger, method_name="resume")


class _Log:
    """An observer that tells the task's log how the stream fares, at most every ten seconds for a target."""

    def __init__(self, log: Logger, *, every: float = 10.0) -> None:
        self._log, self._every = log, every
        self._told: dict[str, float] = {}
        self._records: dict[str, int] = {}

    def landed(self, target: str, done: Landed) -> None:
        """Count, and tell now and then."""
        self._records[target] = self._records.get(target, 0) + done.records
        if time.monotonic() - self._told.get(target, 0.0) >= self._every:
            self._tell(target)

    def idle(self, target: str, behind: int | None) -> None:  # noqa: ARG002 - an observer
        """Tell what was not told yet."""
        if self._records.get(target):
            self._tell(target)

    def searching(self, target: str, looked: int, of: int, found: int) -> None:
        """See Observer: the stream itself says it to the log."""

    def stands(self, target: str, behind: int | None, positions: Mapping[str, Any]) -> None:
        """Do nothing: `flow streams` tells it."""

    def failed(self, target: str, error: str, retry_in: float) -> None:
        """Do nothing: the stream itself says so in the log."""

    def _tell(self, target: str) -> None:
        self._log.info("%s: %s records", target, f"{self._records.pop(target):,}")
        self._told[target] = time.monotonic()
