"""What a plan of a stream and its consumption tell their caller."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ematix_core.engine.result import COUNTS, step_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.backends.stream_protocols import Position
    from ematix_core.strategies.plan import Plan
    from ematix_core.streaming.control import Landed


@dataclass(frozen=True)
class TargetConsumed:
    """What one target got while its consumer was at work. `records` were polled; `dead` of them became dead letters.

    `rows`: what the stream's SQL made of the others.
    """

    target: str
    records: int = 0
    batches: int = 0
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    closed: int = 0
    dead: int = 0
    dropped: int = 0
    restarts: int = 0
    positions: Mapping[str, Position] = field(default_factory=dict)

    def after(self, done: Landed) -> TargetConsumed:
        """Return it with one more micro-batch."""
        loaded = done.result
        counts = ("inserted", "updated", "unchanged", "deleted", "closed")
        return replace(
            self, records=self.records + done.records, batches=self.batches + 1, rows=self.rows + loaded.rows_read,
            dead=self.dead + done.dead, dropped=self.dropped + done.dropped,
            positions={**self.positions, **done.positions},
            **{name: getattr(self, name) + getattr(loaded, name) for name in counts},
        )  # fmt: skip


@dataclass(frozen=True)
class StreamResult:
    """What a consumer did before it ended; prints as one line a target."""

    stream: str
    seconds: float
    targets: tuple[TargetConsumed, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, for JSON."""
        targets = [vars(one) | {"positions": dict(one.positions)} for one in self.targets]
        return {"stream": self.stream, "seconds": round(self.seconds, 3), "targets": targets}

    def __str__(self) -> str:
        """Return `clicks: 1,000 records in 3 batches, 990 inserted, 10 dead letters in 1.20 s`, a line a target."""
        lines = []
        for one in self.targets:
            names = {**dict.fromkeys(COUNTS), "dropped": None}
            counts = "".join(f", {getattr(one, name):,} {name}" for name in names if getattr(one, name))
            dead = f", {one.dead:,} dead letters" if one.dead else ""
            of = f" into {one.target}" if len(self.targets) > 1 else ""
            lines.append(
                f"{self.stream}{of}: {one.records:,} records in {one.batches:,} batches{counts}{dead} "
                f"in {self.seconds:.2f} s"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class TargetStreamPlan:
    """How one target is loaded, and which delivery that makes. `plan` is None while the columns are not known."""

    target: str
    delivery: str
    why: str
    plan: Plan | None


@dataclass(frozen=True)
class StreamPlan:
    """What `consume()` would do."""

    stream: str
    source: str
    transform_sql: str
    columns: tuple[str, ...]
    targets: tuple[TargetStreamPlan, ...]
    window: str = ""
    join: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, for JSON."""
        return {
            "stream": self.stream, "source": self.source, "transform_sql": self.transform_sql, "window": self.window,
            "join": self.join,
            "columns": list(self.columns), "notes": list(self.notes),
            "targets": [
                {
                    "target": one.target, "delivery": one.delivery, "why": one.why,
                    "mode": one.plan.mode if one.plan else None, "notes": list(one.plan.notes) if one.plan else [],
                    "warnings": list(one.plan.warnings) if one.plan else [],
                    "steps": [
                        {"name": step.name, "why": step.why, "sql": step_text(step)}
                        for step in (one.plan.steps if one.plan else ())
                    ],
                }
                for one in self.targets
            ],
        }  # fmt: skip

    def __str__(self) -> str:
        """Return the plan as text: source, SQL, then each target with its delivery, notes and numbered steps."""
        lines = [f"stream {self.stream}", f"  reads {self.source}"]
        lines += [f"    | {line}" for line in self.transform_sql.strip().splitlines()]
        lines += [f"    join: {self.join}"] if self.join else []
        lines += [f"    window: {self.window}"] if self.window else []
        lines += [f"    columns: {', '.join(self.columns)}"] if self.columns else []
        lines += [f"    - {note}" for note in self.notes]
        for one in self.targets:
            lines.append(f"  writes {one.target}{f' ({one.plan.mode})' if one.plan else ''}: {one.delivery}")
            lines.append(f"    - {one.why}")
            lines += [f"    - {note}" for note in (one.plan.notes if one.plan else ())]
            lines += [f"    - warning: {warning}" for warning in (one.plan.warnings if one.plan else ())]
            for number, step in enumerate(one.plan.steps if one.plan else (), 1):
                lines.append(f"    {number}. {step.name}: {step.why}")
                lines += [f"       | {line}" for line in step_text(step).splitlines()]
        return "\n".join(lines)
