"""Random logs of changes as Debezium writes them, and what they make of a table, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.unit.codecs.debezium import event, written

if TYPE_CHECKING:
    import random

Row = dict[str, Any]
KEYS = 12
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("Anna", "Böll", None, "")


@dataclass
class ChangeLog:
    """A log as it grows: the events in the order of the source, and the records as they come to the topic."""

    chance: random.Random
    rows: dict[int, Row] = field(default_factory=dict)
    """The source's table as it is."""
    events: list[tuple[str, int, Row | None, datetime]] = field(default_factory=list)
    _sent: list[tuple[int, bytes]] = field(default_factory=list)

    def snapshot(self) -> list[tuple[str, bytes | None]]:
        """Return the records of a first copy."""
        return [self._change(key, "r", self._row(key)) for key in range(0, KEYS, 2)]

    def grow(self, changes: int) -> list[tuple[str, bytes | None]]:
        """Return the records of more changes; some are repeated, as after a restart of the connector."""
        records: list[tuple[str, bytes | None]] = []
        for _ in range(changes):
            key = self.chance.randrange(KEYS)
            if key not in self.rows:
                records.append(self._change(key, "c", self._row(key)))
            elif self.chance.random() < 1 / 3:
                records += [self._change(key, "d", None), (str(key), None)]
            else:
                records.append(self._change(key, "u", self._row(key)))
            if self.chance.random() < 1 / 10:
                records += [(str(key), message) for key, message in self._sent[-self.chance.randint(1, 5) :]]
        return records

    def late(self) -> list[tuple[str, bytes | None]]:
        """Return earlier records of keys that are there, once more."""
        there = [one for one in self._sent if one[0] in self.rows]
        return [(str(key), message) for key, message in self.chance.sample(there, min(5, len(there)))]

    def history(self) -> list[Row]:
        """Return the versions that the log makes."""
        versions: list[Row] = []
        last: dict[int, Row] = {}
        for _, key, row, at in self.events:
            before = last.get(key)
            if before is not None and before["valid_to"] is None:
                if row is not None and row.items() <= before.items():
                    continue
                before |= {"valid_to": at, "is_current": False}
            if row is not None:
                last[key] = {**row, "valid_from": at, "valid_to": None, "is_current": True}
                versions.append(last[key])
        return versions

    def _row(self, key: int) -> Row:
        return {"id": key, "name": self.chance.choice(NAMES), "quantity": self.chance.randint(0, 2)}

    def _change(self, key: int, op: str, row: Row | None) -> tuple[str, bytes | None]:
        number = len(self.events) + 1
        at = BEGIN + timedelta(microseconds=number)
        before = self.rows.pop(key, None)
        if row is not None:
            self.rows[key] = row
        self.events.append((op, key, row, at))
        micros = round(at.timestamp() * 1_000_000)
        told = {"id": key} if op == "d" and self.chance.random() < 1 / 2 else before
        message = written(event(op, told, row, ts_us=micros, ts_ms=micros // 1000, lsn=number))
        self._sent.append((key, message))
        return str(key), message
