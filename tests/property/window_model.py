"""Windows in plain Python, row by row: what the columnar ones are compared with."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""`t`: microseconds; `k`: key; `v`: a whole number or None; `p`: partition."""


@dataclass
class WindowModel:
    """As declared: times in microseconds."""

    kind: str
    size: int
    every: int = 0
    longest: int = 0
    lateness: int = 0
    keep: int = 0
    idle: float = 30.0
    rows: list[Row] = field(default_factory=list)
    watermark: int | None = None
    newest: dict[str, int] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    arrived: int = 0

    def take(self, batch: list[Row], partitions: list[str], now: float) -> tuple[list[Row], list[Row]]:
        """Return the results that a batch leads to, and the rows of it that are too late."""
        before = self.watermark
        new = [{**row, "n": self.arrived + number} for number, row in enumerate(batch)]
        self.arrived += len(batch)
        self._advance(batch, partitions, now)
        if self.kind == "session":
            return self._sessions(new, before)
        late = [row for row in new if before is not None and self._last_end(row["t"]) + self.keep <= before]
        fresh = [row for row in new if row not in late]
        self.rows += fresh
        told = []
        if before is not None and self.keep:
            touched = {(row["k"], start) for row in fresh for start in self._starts(row["t"])}
            told += self._told({(k, s) for k, s in touched if s + self.size <= before < s + self.size + self.keep})
        if self.watermark is not None:
            ends = {(row["k"], start) for row in self.rows for start in self._starts(row["t"])}
            told += self._told(
                {(k, s) for k, s in ends
                 if (before is None or before < s + self.size) and s + self.size <= self.watermark}
            )  # fmt: skip
        return told, late

    def _starts(self, t: int) -> list[int]:
        last = t // self.every * self.every
        return [s for s in range(last, t - self.size, -self.every) if s <= t < s + self.size]

    def _last_end(self, t: int) -> int:
        return max(self._starts(t)) + self.size

    def _told(self, windows: set[tuple[Any, int]]) -> list[Row]:
        found = []
        for key, start in windows:
            rows = [row for row in self.rows if row["k"] == key and start <= row["t"] < start + self.size]
            found.append(result(key, start, start + self.size, rows))
        return found

    def _sessions(self, new: list[Row], before: int | None) -> tuple[list[Row], list[Row]]:
        late, told, kept = [], [], []
        for rows in self._cut([*self.rows, *new]):
            end = min(rows[-1]["t"] + self.size, rows[0]["t"] + self.longest if self.longest else 1 << 62)
            if before is not None and end <= before and all(row in new for row in rows):
                late += rows
            else:
                kept += rows
        self.rows = []
        for rows in self._cut(kept):
            end = min(rows[-1]["t"] + self.size, rows[0]["t"] + self.longest if self.longest else 1 << 62)
            if self.watermark is not None and end <= self.watermark:
                told.append(result(rows[0]["k"], rows[0]["t"], end, rows))
            else:
                self.rows += rows
        return told, late

    def _cut(self, rows: list[Row]) -> list[list[Row]]:
        keyed = defaultdict(list)
        for row in sorted(rows, key=lambda row: (row["t"], row["n"])):
            keyed[row["k"]].append(row)
        sessions = []
        for ordered in keyed.values():
            session = [ordered[0]]
            for row in ordered[1:]:
                over = self.longest and row["t"] - session[0]["t"] >= self.longest
                if row["t"] - session[-1]["t"] >= self.size or over:
                    sessions.append(session)
                    session = []
                session.append(row)
            sessions.append(session)
        return sessions

    def _advance(self, batch: list[Row], partitions: list[str], now: float) -> None:
        for name in [*partitions, *(row["p"] for row in batch)]:
            self.last.setdefault(name, now)
        for row in batch:
            self.newest[row["p"]] = max(row["t"], self.newest.get(row["p"], row["t"]))
            self.last[row["p"]] = now
        waited = [name for name, last in self.last.items() if now - last < self.idle]
        if waited and all(name in self.newest for name in waited):
            at = min(self.newest[name] for name in waited) - self.lateness
            self.watermark = at if self.watermark is None else max(at, self.watermark)


def result(key: str, start: int, end: int, rows: list[Row]) -> Row:
    """Return what is told of a window."""
    ordered = sorted(rows, key=lambda row: (row["t"], row["n"]))
    values = [row["v"] for row in ordered if row["v"] is not None]
    middle = sorted(values)
    half = len(middle) // 2
    return {
        "k": key, "window_start": start, "window_end": end, "n": len(rows), "total": sum(values) if values else None,
        "least": min(values, default=None), "mean": sum(values) / len(values) if values else None,
        "head": values[0] if values else None, "tail": values[-1] if values else None, "kinds": len(set(values)),
        "middle": None if not middle else (
            float(middle[half]) if len(middle) % 2 else (middle[half - 1] + middle[half]) / 2
        ),
    }  # fmt: skip
