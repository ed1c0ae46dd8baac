"""What a history has to be, from the log of changes that the source kept of itself.

What a key is after the last change of an instant is what it is from then on: commits of one second, where the source
tells no more, are one instant. A change after which a key is as before makes no version. The first copy stands for the
changes that it has seen; those have to be the first ones, and not later than `COPYING` after the time that it is given.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

COPYING = 3_000_000
"""How long after the time that copied rows are given (us) they may have been read: it is a second or two before."""
Values = tuple[Any, ...]


@dataclass(frozen=True)
class Told:
    """A change of a key, when it was committed (us); without values the key was gone."""

    key: Any
    at: int
    values: Values | None


@dataclass(frozen=True)
class Version:
    """A version in the target; times in us."""

    key: Any
    values: Values
    begin: int
    end: int | None
    current: bool


def judge(told: Iterable[Told], versions: Iterable[Version], *, copies: int) -> int:
    """Compare the versions with the changes, which come in their order; return how many versions there are.

    `copies`: how many times there may be at most that are none of a change, but of a copy or its continuation.
    """
    changes: dict[Any, list[Told]] = defaultdict(list)
    found: dict[Any, list[Version]] = defaultdict(list)
    for change in told:
        changes[change.key].append(change)
    for version in sorted(versions, key=lambda version: version.begin):
        found[version.key].append(version)
    assert found.keys() <= changes.keys()
    times = {key: {change.at for change in of_key} for key, of_key in changes.items()}
    copied = {of_key[0].begin for key, of_key in found.items() if of_key[0].begin not in times[key]}
    assert 0 < len(copied) <= copies
    for key, of_key in changes.items():
        there = found.get(key, [])
        wanted = list(_possible(of_key, there, copied))
        assert there in wanted, f"{key}: {of_key[-20:]}\nhas {there[-20:]}\nnot {wanted[-1][-20:]}"
    return sum(map(len, found.values()))


def _possible(told: Sequence[Told], there: Sequence[Version], copied: AbstractSet[int]) -> Iterator[list[Version]]:
    """Yield the versions of a key, for each number of its first changes that a copy may have seen."""
    yield versions_of(told)
    for seen, last in enumerate(told, start=1):
        if last.values is None and last.at <= max(copied) + COPYING:
            yield versions_of(told[seen:])
        elif there and there[0].begin in copied and last.at <= there[0].begin + COPYING:
            yield versions_of([Told(last.key, there[0].begin, last.values), *told[seen:]])


def versions_of(told: Sequence[Told]) -> list[Version]:
    """Return the versions that the changes of one key make."""
    if not told:
        return []
    states = sorted({change.at: change.values for change in told}.items())
    telling = [
        (at, values) for number, (at, values) in enumerate(states) if number == 0 or values != states[number - 1][1]
    ]
    ends = [*(at for at, _ in telling[1:]), None]
    return [
        Version(told[0].key, values, at, end, current=end is None)
        for (at, values), end in zip(telling, ends, strict=True)
        if values is not None
    ]
