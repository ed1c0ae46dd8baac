"""Checkpoints: segments that lead to the state of one stream's target, each with the one before it.

A checkpoint is written before the transaction that brings its results and notes its name beside the positions. So the
state that a consumer begins with is the one that belongs to the positions, whenever the one before it was killed; what
was written and never noted is forgotten.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConfigError
from ematix_core.failpoint import failpoint
from ematix_core.streaming.state.entries import FORMAT, about, intact, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.streaming.state.entries import Entry
    from ematix_core.streaming.state.places import Place

_MOST = 64
"""So many segments are read at most to restore a state."""
_SMALL = 1 << 20
"""Bytes up to which additions are not worth a new whole."""


class Checkpoints:
    """Reads and writes the segments of one place. `declared`: what the state is of; another one is refused."""

    def __init__(self, place: Place, stream: str, declared: Mapping[str, Any]) -> None:
        self._place, self._stream, self._declared = place, stream, declared
        self._chain: list[tuple[str, int]] = []  # names and lengths, the oldest first, which is a whole

    @property
    def last(self) -> str:
        """The name of the checkpoint that was read or written last; empty before the first."""
        return self._chain[-1][0] if self._chain else ""

    @property
    def segments(self) -> int:
        """How many segments lead to the last checkpoint."""
        return len(self._chain)

    @property
    def bytes(self) -> int:
        """How long these are together."""
        return sum(length for _, length in self._chain)

    @property
    def _reset(self) -> str:
        return f"flow streams state {self._stream} --reset forgets it and begins with an empty one."

    def empty(self, after: str) -> str:
        """Write an empty state that follows a checkpoint, which need not be readable; return its name."""
        name = _name(after)
        segment = pack(self._head(""), [])
        self._place.write(name, segment)
        self._chain = [(name, len(segment))]
        return name

    def read(self, name: str) -> list[Entry]:
        """Return the entries that lead to a checkpoint.

        Raises ConfigError when it is gone or damaged, or is of something else.
        """
        segments: list[tuple[str, int]] = []
        entries: list[Entry] = []
        wanted = name
        while wanted:
            segment = self._place.read(wanted)
            if segment is None:
                raise ConfigError(
                    f"the state {wanted} is not there", where=self._place.shown,
                    hint="Bring the files back, or give up what was open: "
                    f"flow streams state {self._stream} --reset begins with an empty state where the stream is.",
                )  # fmt: skip
            with intact(f"{self._place.shown}/{wanted}", self._reset):
                facts = about(segment)
                self._check(wanted, facts)
                entries[:0] = unpack(segment)
            segments.insert(0, (wanted, len(segment)))
            wanted = facts["parent"]
        self._chain = segments
        return entries

    def write(self, entries: Sequence[Entry], whole: Callable[[], Sequence[Entry]]) -> str:
        """Keep what was added since the last checkpoint, or the whole where that is less to read; return its name."""
        name = _name(self.last)
        first = self._chain[0][1] if self._chain else 0
        added = sum(length for _, length in self._chain[1:])
        anew = not self._chain or len(self._chain) >= _MOST or added > max(first, _SMALL)
        segment = pack(self._head("" if anew else self.last), whole() if anew else entries)
        failpoint("stream.state.before")
        self._place.write(name, segment)
        failpoint("stream.state.after")
        self._chain = [*([] if anew else self._chain), (name, len(segment))]
        return name

    def settled(self) -> None:
        """Forget the segments before those that lead to the last checkpoint; called when that has been noted.

        Newer ones that are not noted stay: another consumer may be about to note them.
        """
        if len(self._chain) == 1:
            first = self._chain[0][0]
            self._place.remove([name for name in self._place.names() if name[:12] < first[:12]])

    def _head(self, parent: str) -> dict[str, Any]:
        return {"stream": self._stream, "declared": dict(self._declared), "parent": parent}

    def _check(self, name: str, facts: Mapping[str, Any]) -> None:
        where = f"{self._place.shown}/{name}"
        if facts["format"] > FORMAT:
            raise ConfigError(
                f"the state has format {facts['format']}, and this version of ematix reads up to {FORMAT}",
                where=where, hint=f"Install the version that wrote it, or a newer one; {self._reset}",
            )  # fmt: skip
        old, new = facts["declared"], self._declared
        changed = [one for one in sorted({*old, *new}) if old.get(one) != new.get(one)]
        if changed:
            told = ", ".join(f"{one}={old.get(one)!r} and now {new.get(one)!r}" for one in changed)
            raise ConfigError(
                f"the state is of another declaration: it had {told}", where=where,
                hint=f"Declare the new one as a stream of another name, or put the old one back; {self._reset}",
            )  # fmt: skip


def _name(after: str) -> str:
    """Return a name that comes after another one, and that no other consumer makes."""
    number = int(after.partition("-")[0] or 0) + 1
    return f"{number:012d}-{secrets.token_hex(4)}"
