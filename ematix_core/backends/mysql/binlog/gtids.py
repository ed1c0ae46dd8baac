"""Which transactions a stream has behind it: MySQL's sets of GTIDs, and MariaDB's last GTID of each domain.

https://dev.mysql.com/doc/refman/8.0/en/replication-gtids-concepts.html, https://mariadb.com/kb/en/gtid/
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Protocol, Self


class Gtids(Protocol):
    """Transactions that are done. Immutable; `str` is the server's own notation."""

    def having(self, gtid: str) -> Self:
        """Return these and one more."""
        ...

    def __contains__(self, gtid: str) -> bool:
        """Say whether the transaction is among them."""
        ...

    def covers(self, others: str) -> bool:
        """Say whether all of these others, in the server's notation, are among them."""
        ...


class MySQLGtids:
    """`uuid:1-5:7,uuid:1-3` as the intervals of each server, ends included."""

    def __init__(self, text: str) -> None:
        """Read a set. Raises ValueError for what is none; one with tags, which MySQL has from 8.3, is none."""
        self._intervals: dict[str, tuple[tuple[int, int], ...]] = {}
        for part in "".join(text.split()).lower().split(","):
            server, _, intervals = part.partition(":")
            for interval in intervals.split(":") if intervals else ():
                first, _, last = interval.partition("-")
                self._add(server, int(first), int(last or first))

    def __str__(self) -> str:
        """Return the set in MySQL's notation."""
        return ",".join(
            server + "".join(f":{first}-{last}" if last > first else f":{first}" for first, last in intervals)
            for server, intervals in sorted(self._intervals.items())
        )

    def having(self, gtid: str) -> MySQLGtids:
        added = MySQLGtids("")
        added._intervals = dict(self._intervals)
        server, _, number = gtid.partition(":")
        added._add(server, int(number), int(number))
        return added

    def __contains__(self, gtid: str) -> bool:
        server, _, number = gtid.partition(":")
        return self._within(server, int(number), int(number))

    def covers(self, others: str) -> bool:
        wanted = MySQLGtids(others).intervals()
        return all(self._within(server, first, last) for server, first, last in wanted)

    def intervals(self) -> list[tuple[str, int, int]]:
        """Return server, first and last number of each interval."""
        return [(server, *one) for server, each in sorted(self._intervals.items()) for one in each]

    def _within(self, server: str, first: int, last: int) -> bool:
        intervals = self._intervals.get(server, ())
        place = bisect_right(intervals, first, key=lambda one: one[0])
        return place > 0 and last <= intervals[place - 1][1]

    def _add(self, server: str, first: int, last: int) -> None:
        intervals = self._intervals.get(server, ())
        if intervals and first == intervals[-1][1] + 1:  # the next one of this server, as nearly always
            self._intervals[server] = (*intervals[:-1], (intervals[-1][0], last))
            return
        merged: list[tuple[int, int]] = []
        for low, high in sorted((*intervals, (first, last))):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        self._intervals[server] = tuple(merged)


class MariaDBGtids:
    """`domain-server-number,...`: of each domain the last transaction; those before it are done, too."""

    def __init__(self, text: str) -> None:
        """Read a list. Raises ValueError for what is none."""
        self._last: dict[int, tuple[int, int]] = {}
        for part in filter(None, "".join(text.split()).split(",")):
            domain, server, number = map(int, part.split("-"))
            self._last[domain] = (server, number)

    def __str__(self) -> str:
        """Return the list in MariaDB's notation."""
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self._last.items()))

    def having(self, gtid: str) -> MariaDBGtids:
        added = MariaDBGtids(gtid)
        added._last = self._last | added._last
        return added

    def __contains__(self, gtid: str) -> bool:
        domain, _, number = map(int, gtid.split("-"))
        return domain in self._last and number <= self._last[domain][1]

    def covers(self, others: str) -> bool:
        return all(one in self for one in filter(None, others.split(",")))


def gtids_of(text: str, *, mariadb: bool) -> MySQLGtids | MariaDBGtids:
    """Return the transactions that the server writes like this. Raises ValueError."""
    return MariaDBGtids(text) if mariadb else MySQLGtids(text)
