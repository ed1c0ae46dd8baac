"""What a run and a plan tell their caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.strategies.plan import Plan

COUNTS = ("inserted", "updated", "unchanged", "deleted", "closed")


@dataclass(frozen=True)
class TargetResult:
    """What one target got. `rows_read` are the source's rows; `repeated` says that this load was already committed.

    `broken`: what was found, by the name of each check that did not hold and let the load go on. `maintained`: the
    counts of each step of maintenance that was due, such as `files_removed`.
    """

    target: str
    mode: str
    rows_read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    closed: int = 0
    quarantined: int = 0
    watermark: str | None = None
    repeated: bool = False
    warnings: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    maintained: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunResult:
    """The outcome of a job's run; prints as one line. With several targets the counts are their sums."""

    run_id: str
    job: str
    status: str
    rows_read: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    closed: int
    seconds: float
    plan: JobPlan | None = field(repr=False, default=None)
    targets: tuple[TargetResult, ...] = field(repr=False, default=())
    attempts: int = 1

    @property
    def quarantined(self) -> int:
        """Rows and lines set aside, over all targets."""
        return sum(target.quarantined for target in self.targets)

    @property
    def rows_per_second(self) -> float:
        """Rows read a second, over the whole run."""
        return self.rows_read / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, for JSON."""
        counts = {name: getattr(self, name) for name in COUNTS}
        return {
            "run_id": self.run_id, "job": self.job, "status": self.status, "rows_read": self.rows_read, **counts,
            "quarantined": self.quarantined,
            "seconds": round(self.seconds, 3), "attempts": self.attempts,
            "targets": [vars(target) | {"warnings": list(target.warnings)} for target in self.targets],
        }  # fmt: skip

    def __str__(self) -> str:
        """Return one line: `customers: succeeded, 1,000 rows read, 10 inserted, 990 unchanged in 0.21 s`."""
        counts = ", ".join(f"{getattr(self, n):,} {n}" for n in (*COUNTS, "quarantined") if getattr(self, n))
        return (
            f"{self.job}: {self.status}, {self.rows_read:,} rows read"
            f"{', ' + counts if counts else ''} in {self.seconds:.2f} s"
        )


@dataclass(frozen=True)
class JobPlan:
    """What `run()` would do: one Plan a target, and how the rows are read."""

    job: str
    source: str
    """One line: where the rows come from and by which path they travel."""
    query: str
    targets: tuple[Plan, ...]
    asked: tuple[tuple[str, str], ...] = ()
    """For a source of several connections: what each is asked, as its name and SQL, in the order of the tables."""

    def hash(self) -> str:
        """Return a short hash over all targets' statements."""
        return "-".join(plan.hash() for plan in self.targets)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, for JSON."""
        return {
            "job": self.job, "source": self.source, "query": self.query, "hash": self.hash(),
            "targets": [
                {
                    "target": plan.target, "mode": plan.mode, "notes": list(plan.notes),
                    "warnings": list(plan.warnings),
                    "steps": [{"name": s.name, "why": s.why, "sql": step_text(s)} for s in plan.steps],
                }
                for plan in self.targets
            ],
            **({"asked": [{"connection": name, "sql": sql} for name, sql in self.asked]} if self.asked else {}),
        }  # fmt: skip

    def __str__(self) -> str:
        """Return the plan as text: source, then each target's notes and numbered steps with their SQL."""
        lines = [f"job {self.job}", f"  reads {self.source}"]
        lines += [f"    | {line}" for line in self.query.strip().splitlines()]
        for name, sql in self.asked:
            lines.append(f"  asks {name}")
            lines += [f"    | {line}" for line in sql.splitlines()]
        for plan in self.targets:
            lines.append(f"  writes {plan.target} ({plan.mode})")
            lines += [f"    - {note}" for note in plan.notes]
            lines += [f"    - warning: {warning}" for warning in plan.warnings]
            for number, step in enumerate(plan.steps, 1):
                lines.append(f"    {number}. {step.name}: {step.why}")
                lines += [f"       | {line}" for line in step_text(step).splitlines()]
        return "\n".join(lines)


def step_text(step: Any) -> str:  # noqa: ANN401 - any Step; those without SQL give an empty text
    """Return the SQL of a step, or an empty text."""
    return getattr(step, "sql", "") or getattr(step, "query", "")


@dataclass(frozen=True)
class JobOutcome:
    """What became of one job of a workflow run: `succeeded`, `failed`, `skipped` or `cancelled`."""

    job: str
    status: str
    result: RunResult | None = None
    error: str = ""


@dataclass(frozen=True)
class WorkflowResult:
    """The outcome of a workflow run; `succeeded` only when every job did."""

    workflow: str
    workflow_run_id: str
    status: str
    outcomes: tuple[JobOutcome, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, for JSON."""
        return {
            "workflow": self.workflow, "workflow_run_id": self.workflow_run_id, "status": self.status,
            "seconds": round(self.seconds, 3),
            "jobs": [
                {"job": o.job, "status": o.status, "error": o.error, "run": o.result.to_dict() if o.result else None}
                for o in self.outcomes
            ],
        }  # fmt: skip

    def __str__(self) -> str:
        """Return one line a job, after the workflow's own."""
        lines = [f"{self.workflow}: {self.status} in {self.seconds:.2f} s"]
        lines += [f"  {o.result}" if o.result else f"  {o.job}: {o.status} {o.error}".rstrip() for o in self.outcomes]
        return "\n".join(lines)
