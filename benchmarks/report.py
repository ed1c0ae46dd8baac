"""From runs to medians, ratios and verdicts; as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contenders import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.contenders import Contender, Move
    from benchmarks.measure import Usage


@dataclass
class Entry:
    """The runs of one contender in one move, in the order of the rounds; empty with a reason in `missing`."""

    contender: Contender
    runs: list[Usage] = field(default_factory=list)
    missing: str = ""

    @property
    def seconds(self) -> float:
        """Median wall time."""
        return median(run.seconds for run in self.runs)


@dataclass
class Outcome:
    """All entries of a move at one size."""

    move: Move
    rows: int
    entries: list[Entry]

    @property
    def ours(self) -> Entry:
        """The entry that counts: the whole `flow run`."""
        return next(entry for entry in self.entries if entry.contender.name == OURS)

    def ratio(self, entry: Entry) -> float:
        """Return how many times as fast ours is: the median of the rounds' ratios, as both ran minutes apart."""
        return median(theirs.seconds / ours.seconds for theirs, ours in zip(entry.runs, self.ours.runs, strict=False))

    def best(self) -> Entry | None:
        """Return the one of those that the target is set against to which ours compares worst."""
        rivals = [e for e in self.entries if e.contender.role == self.move.against and e.runs]
        return min(rivals, key=self.ratio, default=None)

    def verdict(self) -> str:
        """Say whether the move's target is met."""
        rival = self.best()
        if rival is None or not self.ours.runs:
            return f"not decided: no {self.move.against} could run"
        reached = self.ratio(rival)
        said = "met" if reached >= self.move.ratio else "missed"
        return f"{said}: {reached:.2f} x the speed of {rival.contender.name}, wanted {self.move.ratio:.1f} x"


def table(outcome: Outcome) -> str:
    """Return the move as text: one line a contender, medians, the ratio to ours, and the verdict."""
    title = f"{outcome.move.name}, {outcome.rows:,} rows"
    lines = [title, f"  {'':34}{'wall s':>9}{'rows/s':>11}{'cpu s':>8}{'peak MiB':>10}{'ours is':>12}"]
    for entry in outcome.entries:
        if not entry.runs:
            lines.append(f"  {entry.contender.name:34}  {entry.missing}")
            continue
        cpu = median(run.cpu_seconds for run in entry.runs)
        peak = median(run.peak_mib for run in entry.runs)
        lines.append(
            f"  {entry.contender.name:34}{entry.seconds:>9.2f}{outcome.rows / entry.seconds:>11,.0f}"
            f"{cpu:>8.2f}{peak:>10.0f}{outcome.ratio(entry):>10.2f} x"
        )
    return "\n".join([*lines, f"  {outcome.verdict()}"])


def save(outcomes: list[Outcome], facts: dict[str, object], path: Path) -> None:
    """Write everything, every single run included."""
    path.parent.mkdir(exist_ok=True)
    moves = [
        {
            "move": outcome.move.name, "rows": outcome.rows, "verdict": outcome.verdict(),
            "contenders": [_plain(outcome, entry) for entry in outcome.entries],
        }
        for outcome in outcomes
    ]  # fmt: skip
    path.write_text(json.dumps({**facts, "moves": moves}, indent=1) + "\n", encoding="utf-8")


def _plain(outcome: Outcome, entry: Entry) -> dict[str, object]:
    if not entry.runs:
        return {"name": entry.contender.name, "role": entry.contender.role, "missing": entry.missing}
    runs = [{name: round(value, 3) for name, value in asdict(run).items()} for run in entry.runs]
    return {
        "name": entry.contender.name, "role": entry.contender.role, "seconds": round(entry.seconds, 3),
        "rows_per_second": round(outcome.rows / entry.seconds), "ours_is": round(outcome.ratio(entry), 2), "runs": runs,
    }  # fmt: skip
