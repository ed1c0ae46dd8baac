"""From runs to medians, ratios and verdicts; as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.contenders import Contender, Goal, Move, Phase, Role
    from benchmarks.measure import Usage


@dataclass
class Entry:
    """The runs of one contender in one move, in the order of the rounds; empty with a reason in `missing`."""

    contender: Contender
    runs: list[Usage] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)
    """CPU seconds of the database servers in each run, whatever else they did meanwhile; 0 when there are none."""
    missing: str = ""

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return median(run.seconds for run in self.runs)

    @property
    def peak_mib(self) -> float:
        """Median peak of memory."""
        return median(run.peak_mib for run in self.runs)


@dataclass
class Outcome:
    """All entries of a move, or of one of its phases, at one size."""

    move: Move
    phase: Phase
    rows: int
    entries: list[Entry]

    @property
    def name(self) -> str:
        """The move, with the phase when there are several."""
        return self.move.name if len(self.move.phases) == 1 else f"{self.move.name}, {self.phase.name}"

    @property
    def ours(self) -> Entry:
        """The entry that counts: the whole `flow run`, or the library call of a move that ends in memory."""
        return self.entries[0]

    def ratio(self, entry: Entry) -> float:
        """Return how many times as fast ours is: the median of the rounds' ratios, as both ran minutes apart."""
        return median(theirs.seconds / ours.seconds for theirs, ours in zip(entry.runs, self.ours.runs, strict=False))

    def best(self, role: Role) -> Entry | None:
        """Return the one of those that a goal is set against to which ours compares worst."""
        rivals = [e for e in self.entries if e.contender.role == role and e.runs]
        return min(rivals, key=self.ratio, default=None)

    def verdicts(self) -> list[str]:
        """Say for each goal of the move whether it is met."""
        found = [self._verdict(goal) for goal in self.move.goals if self.phase.goals]
        if self.move.most_mib is not None and self.ours.runs:
            said = "met" if self.ours.peak_mib <= self.move.most_mib else "missed"
            found.append(f"{said}: {self.ours.peak_mib:.0f} MiB of memory, wanted {self.move.most_mib} MiB")
        return found

    def _verdict(self, goal: Goal) -> str:
        if not self.ours.runs:
            return f"not decided: {self.ours.contender.name} did not run"
        rival = self.best(goal.against)
        if rival is None:
            return f"not decided: no {goal.against} could run"
        reached = self.ratio(rival)
        said = "met" if reached >= goal.ratio else "missed"
        return f"{said}: {reached:.2f} x the speed of {rival.contender.name}, wanted {goal.ratio:g} x"


def table(outcome: Outcome) -> str:
    """Return the move as text: one line a contender, medians, the ratio to ours, and the verdicts."""
    title = f"{outcome.name}, {outcome.rows:,} rows"
    head = f"  {'':34}{'wall s':>9}{'rows/s':>11}{'cpu s':>8}{'server cpu s':>14}{'peak MiB':>10}{'ours is':>12}"
    lines = [title, head]
    for entry in outcome.entries:
        if not entry.runs:
            lines.append(f"  {entry.contender.name:34}  {entry.missing}")
            continue
        cpu = median(run.cpu_seconds for run in entry.runs)
        ratio = f"{outcome.ratio(entry):.2f} x" if outcome.ours.runs else ""
        lines.append(
            f"  {entry.contender.name:34}{entry.seconds:>9.2f}{outcome.rows / entry.seconds:>11,.0f}"
            f"{cpu:>8.2f}{median(entry.server_cpu):>14.2f}{entry.peak_mib:>10.0f}{ratio:>12}"
        )
    return "\n".join([*lines, *(f"  {verdict}" for verdict in outcome.verdicts())])


def save(outcomes: list[Outcome], facts: dict[str, object], path: Path) -> None:
    """Write everything, every single run included."""
    path.parent.mkdir(exist_ok=True)
    moves = [
        {
            "move": outcome.name, "rows": outcome.rows, "verdicts": outcome.verdicts(),
            "contenders": [_plain(outcome, entry) for entry in outcome.entries],
        }
        for outcome in outcomes
    ]  # fmt: skip
    path.write_text(json.dumps({**facts, "moves": moves}, indent=1) + "\n", encoding="utf-8")


def _plain(outcome: Outcome, entry: Entry) -> dict[str, object]:
    named: dict[str, object] = {"name": entry.contender.name, "role": entry.contender.role}
    if not entry.runs:
        return {**named, "missing": entry.missing}
    runs = [
        {name: round(value, 3) for name, value in asdict(run).items()} | {"server_cpu_seconds": round(server, 2)}
        for run, server in zip(entry.runs, entry.server_cpu, strict=True)
    ]
    return {
        **named, "seconds": round(entry.seconds, 3), "rows_per_second": round(outcome.rows / entry.seconds),
        **({"ours_is": round(outcome.ratio(entry), 2)} if outcome.ours.runs else {}), "runs": runs,
    }  # fmt: skip
