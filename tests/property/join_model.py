"""A join of two streams in plain Python, row by row: what the columnar one is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""`t`: microseconds; `k`: key or None; `v`: a number; `p`: partition; `n`: its number."""


@dataclass
class JoinModel:
    """As declared: times in microseconds."""

    how: str
    before: int
    after: int
    lateness: int
    idle: float = 30.0
    rows: tuple[list[Row], list[Row]] = field(default_factory=lambda: ([], []))
    known: list[bool] = field(default_factory=lambda: [False, False])
    found: set[tuple[int, int]] = field(default_factory=set)
    told: set[tuple[int, int]] = field(default_factory=set)
    watermark: int | None = None
    newest: dict[str, int] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    arrived: int = 0

    def take(self, batch: tuple[list[Row], list[Row]], partitions: list[str], now: float) -> tuple[list[Row], int]:
        """Return the results that a batch leads to, and how many rows of it are too late."""
        results, late = [], 0
        for side, rows in enumerate(batch):
            self.known[side] |= bool(rows)
            for given in rows:
                self.arrived += 1
                row = {**given, "n": self.arrived}
                if self.watermark is not None and row["t"] < self.watermark:
                    late += 1
                    continue
                for other in self.rows[1 - side]:
                    left, right = (row, other) if side == 0 else (other, row)
                    near = left["t"] - self.before <= right["t"] <= left["t"] + self.after
                    if near and row["k"] is not None and row["k"] == other["k"]:
                        results.append(result(left, right))
                        self.found |= {(side, row["n"]), (1 - side, other["n"])}
                self.rows[side].append(row)
        self._advance([*batch[0], *batch[1]], partitions, now)
        return results + self.alone(), late

    def alone(self) -> list[Row]:
        """Return what is told of rows that found nothing, as far as the watermark is."""
        results: list[Row] = []
        for side, outer in ((0, self.how in {"left", "full"}), (1, self.how in {"right", "full"})):
            reach = self.after if side == 0 else self.before
            for row in self.rows[side] if outer and self.watermark is not None and self.known[1 - side] else ():
                mark = (side, row["n"])
                if row["t"] + reach < self.watermark and mark not in self.found | self.told:
                    self.told.add(mark)
                    results.append(result(row, None) if side == 0 else result(None, row))
        return results

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


def result(left: Row | None, right: Row | None) -> Row:
    """Return what is told of a pair, or of a row that found nothing."""
    return {
        "k": (left or right or {})["k"], "a": left and left["v"], "at": left and left["t"],
        "b": right and right["v"], "bt": right and right["t"],
    }  # fmt: skip
