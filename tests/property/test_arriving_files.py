"""Files that come in any order, late and with equal times, read by a source that is restarted at any moment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from ematix_core.backends.objects.tail import DirectoryTail
from ematix_core.backends.stream_protocols import PollLimits, order_of
from ematix_core.backends.tailing import PARTITION
from ematix_core.model.connection import ObjectStoreConnection
from tests.property.soak import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 100
SECOND = 1_000_000_000

_arrivals = st.tuples(
    st.just("arrive"),
    st.sampled_from(["a", "b", "0", "z", "sub/a", "sub/0", "x/y/m"]),
    st.integers(0, WINDOW - 1),  # how late
    st.integers(0, 4),  # rows
)
_steps = st.one_of(
    _arrivals,
    st.tuples(st.just("wait"), st.integers(0, 2 * WINDOW)),
    st.tuples(st.just("read"), st.integers(1, 5), st.integers(1, 3)),  # polls, rows a poll
    st.tuples(st.just("save")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("remove"), st.integers(0, 5)),
)


class World:
    """A folder with a clock of its own, and a consumer that keeps rows and positions together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.positions: Any = "earliest"
        self.now = 1_769_824_800 * SECOND
        self.written: list[str] = []
        self.paths: dict[Path, list[str]] = {}
        self.saved: list[str] = []
        self.tail = self.opened()
        self.unsaved: list[str] = []

    def opened(self) -> DirectoryTail:
        connection = ObjectStoreConnection("files", path=str(self.folder), format="csv")
        tail = DirectoryTail(connection, "**", window=WINDOW, on_change="fail", clock=lambda: self.now)
        tail.seek(self.positions)
        return tail

    def arrive(self, name: str, late: int, rows: int) -> None:
        number = len(self.paths)
        path = self.folder / f"{name}-{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        ids = [f"{number}.{row}" for row in range(rows)]
        half = path.with_name(f"_new-{number}")
        half.write_text("id\n" + "".join(f"r{one}\n" for one in ids))
        changed = self.now - late * SECOND
        os.utime(half, ns=(changed, changed))
        half.rename(path)
        self.paths[path] = [f"r{one}" for one in ids]
        self.written += self.paths[path]

    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    def read(self, polls: int, rows: int) -> None:
        for _ in range(polls):
            before = self.tail.positions()
            polled = self.tail.poll(PollLimits(rows=rows, seconds=0))
            assert order_of(self.tail.positions()[PARTITION]) >= order_of(before[PARTITION])
            if polled is None:
                return
            self.unsaved += map(str, polled.rows.column("id").to_pylist())

    def save(self) -> None:
        self.saved += self.unsaved
        self.unsaved = []
        self.positions = json.loads(json.dumps(self.tail.positions()))

    def restart(self) -> None:
        """Forget what was not saved."""
        self.tail.close()
        self.unsaved = []
        self.tail = self.opened()

    def remove(self, which: int) -> None:
        """Remove a file that has been read, as housekeeping does."""
        done = [path for path, rows in self.paths.items() if path.exists() and set(rows) <= set(self.saved)]
        whole = self.positions == "earliest" or self.positions[PARTITION][2]["open"] is None
        for path in done[which : which + 1] if whole else ():
            path.unlink()


@examples("files that arrive", sample=40)
@given(steps=st.lists(_steps, max_size=30))
def test_every_row_comes_exactly_once(steps: Sequence[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for name, *arguments in steps:
            getattr(world, name)(*arguments)
        world.wait(10)  # the last files are complete
        world.read(1000, 3)
        world.save()
        assert sorted(world.saved) == sorted(world.written)
        world.wait(WINDOW + 1)
        assert world.tail.poll(PollLimits(seconds=0)) is None
        state: Any = world.tail.positions()[PARTITION][2]  # type: ignore[index]  # this kind's are lists
        assert (state["read"], state["old"]) == ([], sum(path.exists() for path in world.paths))
        world.tail.close()
