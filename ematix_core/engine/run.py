"""Running one job: its record in the store, its attempts, its outcome."""

from __future__ import annotations

import logging
import random
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.config.redact import Redactor
from ematix_core.config.settings import Settings
from ematix_core.engine.attempt import Attempt
from ematix_core.engine.body import RunContext
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import Environment, now
from ematix_core.engine.maintenance import after_load, counted
from ematix_core.engine.progress import Silent
from ematix_core.engine.result import COUNTS, JobPlan, RunResult
from ematix_core.errors import CancelledError, EmatixError, RunError, TableMadeError, is_transient
from ematix_core.model.names import require_short
from ematix_core.store import Status, beating, open_store, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import TargetResult
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.job import Job
    from ematix_core.store import Run, RunStore

_log = logging.getLogger(__name__)


def plan_job(job: Job, project: ConnectionLookup | None = None, *, settings: Settings | None = None) -> JobPlan:
    """Return what a run of the job would do now. Reads schemas and marks; changes nothing, records nothing."""
    env = Environment(project=project, settings=settings or Settings.load())
    context = RunContext(run_id="plan", job=job.name, attempt=1)
    try:
        with Attempt(env, job, context, Cancellation()) as attempt:
            return attempt.plan()
    except EmatixError as error:
        raise error.at(f"job {job.name}").masked(env.redactor.mask) from error.__cause__


def run_job(
    job: Job,
    project: ConnectionLookup | None = None,
    *,
    store: RunStore | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = now,
    trigger: str = "manual",
    workflow_run_id: str | None = None,
    slice: str = "",  # noqa: A002 - the field's own word
    parameters: Mapping[str, Any] | None = None,
    token: int | None = None,
    carrier: str | None = None,
    again: bool = False,
    lock_wait: float = 60.0,
    cancellation: Cancellation | None = None,
    redactor: Redactor | None = None,
) -> RunResult:
    """Run a job in this process and return its result.

    `store`: where the run is recorded, default the one of the settings. `progress` is told how it goes. `clock` gives
    the time in UTC. `slice`: the name of the part of the job's data to load, whose limits are among the `parameters`,
    which SQL binds as `:name`. `token`: of the scheduler's lease. `carrier`: of the orchestrator whose attempt this is:
    the job's own retries are off, and with `again` a Transient failure leaves the run open for the orchestrator's next
    attempt. `lock_wait`: seconds to wait for a database file that another job holds. `cancellation`: lets another
    thread stop the run, as `flow runs cancel` does. `redactor`: learns the secrets that the run resolves.
    Raises the EmatixError of the last attempt; CancelledError after Ctrl-C.
    """
    require_short(trigger=trigger, slice=slice)
    settings = settings or Settings.load()
    env = Environment(
        project=project, settings=settings, progress=progress or Silent(), clock=clock, lock_wait=lock_wait,
        redactor=redactor or Redactor(),
    )  # fmt: skip
    with ExitStack() as stack:
        if store is None:
            store = stack.enter_context(open_store(settings.store, redactor=env.redactor))
        run = store.begin(
            job.name, workflow_run_id=workflow_run_id, trigger=trigger, slice=slice, token=token, carrier=carrier
        )
        button = cancellation or Cancellation()
        journal = stack.enter_context(_recorded(store, run, env.redactor, button))
        if run.cancel_requested:
            button.cancel()
        return _Runner(
            env, job, store, run, parameters=parameters or {}, journal=journal, cancellation=button,
            carrier=carrier, again=again,
        ).run()  # fmt: skip


@contextmanager
def _recorded(store: RunStore, run: Run, redactor: Redactor, button: Cancellation) -> Iterator[logging.Logger]:
    """Keep the run's log and its heartbeat, and yield the logger of what the run itself has to say."""
    with ExitStack() as stack:
        recorder = stack.enter_context(recording(store, run.run_id, logging.getLogger()))
        recorder.addFilter(redactor)  # a store that was given knows nothing of the run's secrets
        stack.enter_context(beating(store, run.run_id, cancelled=button.cancel, meanwhile=recorder.flush))
        # A logger of the run's own: its log has these lines whatever level the user's logging is set to, and the
        # user's handlers are not filled with them.
        journal = logging.Logger(__name__, logging.INFO)  # noqa: LOG001 - see above
        journal.addHandler(recorder)
        yield journal


class _Runner:
    """One run: attempts until one succeeds or none is left, then the record is closed."""

    def __init__(
        self,
        env: Environment,
        job: Job,
        store: RunStore,
        run: Run,
        *,
        parameters: Mapping[str, Any],
        journal: logging.Logger,
        cancellation: Cancellation,
        carrier: str | None = None,
        again: bool = False,
    ) -> None:
        self._env = env
        self._job = job
        self._store = store
        self._run = run
        self._parameters = parameters
        self._journal = journal
        self._cancellation = cancellation
        self._carrier, self._again = carrier, again
        self._attempt = run.attempts
        self._started = time.monotonic()  # moved on by what is spent in queues: seconds are those of work
        self._plan: JobPlan | None = None

    def run(self) -> RunResult:
        if self._attempt > 1 and self._carrier is None:
            self._journal.warning("this run was killed half-way: it is taken up again under its load id")
        try:
            results = self._attempts()
        except KeyboardInterrupt:
            self._finish(Status.CANCELLED, error="stopped by Ctrl-C and rolled back")
            raise CancelledError("stopped by Ctrl-C and rolled back", where=f"job {self._job.name}") from None
        except CancelledError as error:
            self._finish(Status.CANCELLED, error=str(error))
            raise error.at(f"job {self._job.name}") from None
        except EmatixError as error:
            self._fail(error.at(f"job {self._job.name}").masked(self._env.redactor.mask))
            raise
        except Exception as error:
            self._journal.exception("unexpected: the traceback tells more")
            unexpected = RunError(f"{type(error).__name__}: {error}", where=f"job {self._job.name}")
            unexpected.masked(self._env.redactor.mask)
            self._finish(Status.FAILED, error=str(unexpected))
            raise unexpected from error
        return self._succeeded(results)

    def _attempts(self) -> list[TargetResult]:
        policy = self._job.retry
        if not policy.retries or self._carrier is not None:
            return self._made_or_found()
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

        def pause(state: RetryCallState) -> float:
            wait = policy.wait(state.attempt_number)
            return wait + wait * policy.jitter * random.random()  # noqa: S311 - spreads retries, protects nothing

        def failed(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            assert isinstance(error, EmatixError)  # noqa: S101 - only transient ones are retried, and they are ours
            self._env.progress.failed(
                self._job.name, error.masked(self._env.redactor.mask), retry_in=state.upcoming_sleep
            )
            self._journal.warning("attempt %s failed: %s", self._attempt, error)
            self._store.attempt_failed(self._run.run_id, str(error.at(f"job {self._job.name}")))
            self._attempt += 1

        retrying = Retrying(
            stop=stop_after_attempt(policy.retries + 1), wait=pause, before_sleep=failed, reraise=True,
            retry=retry_if_exception(lambda e: is_transient(e) and self._cancellation.reason is None),
        )  # fmt: skip
        return retrying(self._made_or_found)

    def _made_or_found(self) -> list[TargetResult]:
        """Make an attempt, and at once another when a writer beside it has made the table first: it is there then."""
        try:
            return self._once()
        except TableMadeError as error:
            self._journal.warning("%s: the attempt begins anew", error.what)
            return self._once()

    def _once(self) -> list[TargetResult]:
        job, env = self._job, self._env
        # Each attempt has a stop button of its own for its timeout, wired to the run's.
        button = Cancellation()
        self._cancellation.on_cancel(lambda: button.cancel(self._cancellation.reason))
        env.progress.started(job.name, self._attempt)
        self._journal.info("attempt %s of job %s starts", self._attempt, job.name)
        context = RunContext(self._run.load_id, job.name, self._attempt, self._run.slice, self._parameters)
        button.limit(job.timeout)
        try:
            with Attempt(env, job, context, button) as attempt:
                self._started += attempt.queue()
                self._plan = attempt.plan()
                return attempt.load()
        finally:
            button.done()

    def _succeeded(self, results: Sequence[TargetResult]) -> RunResult:
        counts = {name: sum(getattr(result, name) for result in results) for name in COUNTS}
        rows_read = max((result.rows_read for result in results), default=0)
        results = after_load(self._env, self._job, results, self._cancellation)
        seconds = time.monotonic() - self._started
        for result in results:
            for step, done in result.maintained.items():
                self._journal.info("maintenance of %s, %s: %s", result.target, step, counted(done))
        for result in results:
            for warning in result.warnings:
                _log.warning("%s", warning)
        outcome = RunResult(
            run_id=self._run.run_id, job=self._job.name, status="succeeded", rows_read=rows_read, seconds=seconds,
            plan=self._plan, targets=tuple(results), attempts=self._attempt, **counts,
        )  # fmt: skip
        self._journal.info("%s", outcome)
        self._finish(Status.SUCCEEDED, counts={"rows_read": rows_read, **counts}, targets=results)
        self._env.progress.finished(self._job.name, outcome)
        return outcome

    def _fail(self, error: EmatixError) -> None:
        if self._carrier is None or not self._again or not is_transient(error):
            self._finish(Status.FAILED, error=str(error))
            return
        self._journal.warning("attempt %s failed: %s", self._attempt, error)
        self._store.set_aside(self._run.run_id, str(error), carrier=self._carrier)

    def _finish(
        self, status: Status, *, counts: dict[str, int] | None = None, targets: Sequence[TargetResult] = (),
        error: str = "",
    ) -> None:  # fmt: skip
        if error:
            self._journal.error("%s", error)
        plain: list[dict[str, Any]] = [vars(target) | {"warnings": list(target.warnings)} for target in targets]
        self._store.finish(
            self._run.run_id, status, seconds=time.monotonic() - self._started, counts=counts, targets=plain,
            plan_hash=self._plan.hash() if self._plan else "", error=error,
        )  # fmt: skip
