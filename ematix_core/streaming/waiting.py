"""How long a member of a group that has no partitions waits for some, before it takes it that none are left for it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
"""So long partitions may take to come to a new member; so often it is then asked whether anything is left to read."""
_REBALANCE_SECONDS = 10.0
"""So long the group may take to share out anew what a member has lost."""


class Waiting:
    """Tells a member without partitions whether it may end.

    Who holds them is at work, or was killed: that one loses them when it was silent for so long as the group allows.
    So the end comes when that time is over, or all that was there is loaded.
    """

    def __init__(self, who: str, silence: float, done: Callable[[], bool]) -> None:
        """`silence`: seconds after which a member has lost its partitions. `done`: whether nothing is left; may block.

        `who` waits, as the log calls it.
        """
        self._who = who
        self._silence = silence
        self._done = done
        self.begin()

    def begin(self) -> None:
        """Begin to wait: now there are partitions, or there have been none yet."""
        self._since = time.monotonic()
        self._look = _LOOK_SECONDS
        self._told = False

    def over(self) -> bool:
        """Say whether it is over; what is waited for is logged, once."""
        lasted, longest = time.monotonic() - self._since, self._silence + _REBALANCE_SECONDS
        if lasted > longest:
            _log.warning("%s: no partitions came in %.0f s, so others read them and load the rest", self._who, lasted)
            return True
        if lasted < self._look:
            return False
        if self._done():
            return True
        self._look = time.monotonic() - self._since + _LOOK_SECONDS
        if not self._told:
            _log.warning(
                "%s: others of its group hold the partitions; one that was killed holds them for up to %.0f s more. "
                "Waiting for them", self._who, longest - lasted,
            )  # fmt: skip
            self._told = True
        return False
