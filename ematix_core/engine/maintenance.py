"""Maintenance of targets: after a job's load, as far as it is due, or by hand."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ematix_core.backends import registry
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import Environment
from ematix_core.engine.queueing import exclusive
from ematix_core.errors import EmatixError, UnsupportedError, near
from ematix_core.failpoint import failpoint
from ematix_core.model.maintenance import Optimize
from ematix_core.sql import build

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ematix_core.backends.protocols import MaintainingTarget
    from ematix_core.engine.result import TargetResult
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.job import Job, Target
    from ematix_core.model.maintenance import Maintenance
    from ematix_core.sql.dialect import Dialect


@dataclass(frozen=True)
class Maintained:
    """What became of one step: its counts, or None when it was not due; or the error."""

    job: str
    table: str
    step: str
    counts: Mapping[str, int] | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return vars(self) | {"counts": dict(self.counts) if self.counts is not None else None}

    def __str__(self) -> str:
        """Return one line: `analytics.events: optimize(): 12 files removed, 1 files added`."""
        what = self.error or ("not due" if self.counts is None else counted(self.counts))
        return f"{self.table}: {self.step}: {what}"


def counted(counts: Mapping[str, int]) -> str:
    """Return counts in words: `12 files removed, 1 files added`."""
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items()) or "done"


def check_steps(target: Target, backend: object, dialect: Dialect, columns: Collection[str] | None = None) -> None:
    """Raise UnsupportedError for a step that the kind of target, or this table, cannot be given.

    `columns`: those of the table, when they are known.
    """
    if not target.maintenance:
        return
    for step in target.maintenance:
        where = f"table {target.name}, {step.label()}"
        if step.name not in dialect.maintenance:
            known = ", ".join(sorted(dialect.maintenance))
            raise UnsupportedError(
                f"{dialect.name} has no maintenance step {step.name!r}", where=where,
                hint=f"It has {known}." if known else "Remove it from maintenance= of this target.",
            )  # fmt: skip
        if not isinstance(step, Optimize) or columns is None:
            continue
        for name in step.z_order:
            if name not in columns:
                raise UnsupportedError(
                    f"z_order names {name!r}, which is no column of the table", where=where, hint=near(name, columns)
                )
    cast("MaintainingTarget", backend).check_maintenance(build.placed(target.name, dialect), target.maintenance)


def after_load(
    env: Environment, job: Job, results: Sequence[TargetResult], cancellation: Cancellation
) -> list[TargetResult]:
    """Carry out what is due on each target of a load that is committed, and return the results with it.

    Raises nothing: the load stands. A step that fails is a warning, and the steps behind it still run.
    """
    tour = _Tour(env, job, cancellation)
    made = []
    for target, result in zip(job.targets, results, strict=True):
        maintained, warnings = {}, list(result.warnings)
        try:
            for one in tour.steps(target):
                if one.error:
                    warnings.append(_warning(target, f"{one.step}: {one.error}"))
                elif one.counts is not None:
                    maintained[one.step] = dict(one.counts)
        except KeyboardInterrupt:
            warnings.append(_warning(target, "stopped by Ctrl-C"))
        except Exception as error:  # noqa: BLE001 - a run whose rows are committed has not failed, whatever came later
            text = str(error) if isinstance(error, EmatixError) else f"{type(error).__name__}: {error}"
            warnings.append(_warning(target, env.redactor.mask(text)))
        made.append(replace(result, maintained=maintained, warnings=tuple(warnings)))
    return made


def maintain_job(
    job: Job, project: ConnectionLookup | None = None, *, only_due: bool = False, dry_run: bool = False,
    tables: Collection[str] = (),
) -> list[Maintained]:  # fmt: skip
    """Carry out the declared steps of a job's targets now, or `only_due` ones, and say what became of each.

    `tables`: only targets of these names. `dry_run`: change nothing, and count what there is to do. An error of a step
    is in its result; the others still run. Raises what keeps a target from being reached at all.
    """
    tour = _Tour(Environment(project=project), job, Cancellation(), only_due=only_due, dry_run=dry_run)
    chosen = [target for target in job.targets if not tables or str(target.name) in tables]
    try:
        return [one for target in chosen for one in tour.steps(target)]
    except EmatixError as error:
        raise error.at(f"job {job.name}").masked(tour.env.redactor.mask) from error.__cause__


@dataclass(frozen=True)
class _Tour:
    """One round of maintenance: what is to be done, and how it is stopped."""

    env: Environment
    job: Job
    cancellation: Cancellation
    only_due: bool = True
    dry_run: bool = False

    def steps(self, target: Target) -> Iterator[Maintained]:
        """Carry out the target's steps in order; yield what became of each."""
        if not target.maintenance:
            return
        backend = registry.target(self.env.target_connection(self.job, target))
        with ExitStack() as stack:
            stack.callback(backend.close)
            check_steps(target, backend, backend.dialect)
            self.cancellation.on_cancel(backend.interrupt)
            stack.enter_context(
                exclusive(
                    [backend.exclusive()], wait=self.env.lock_wait, cancellation=self.cancellation,
                    tell=lambda text: self.env.progress.waiting(self.job.name, text),
                )
            )  # fmt: skip
            for step in target.maintenance:
                yield self._carried_out(target, backend, step)

    def _carried_out(self, target: Target, backend: Any, step: Maintenance) -> Maintained:  # noqa: ANN401 - a Target that is a MaintainingTarget too
        done = Maintained(self.job.name, str(target.name), step.label())
        if self.cancellation.reason is not None:
            return replace(done, error="left out, because the run was stopped")
        table = build.placed(target.name, backend.dialect)
        failpoint("maintenance.step.before")
        try:
            counts = backend.maintain(table, step, self.env.clock(), only_due=self.only_due, dry_run=self.dry_run)
        except EmatixError as error:
            return replace(done, error=str(error.masked(self.env.redactor.mask)))
        failpoint("maintenance.step.after")
        return replace(done, counts=counts)


def _warning(target: Target, what: str) -> str:
    return f"maintenance of {target.name}, after its load was committed: {what}"
