"""The table of `flow runs watch` on a terminal. Loaded only to draw."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ematix_core.cli.history import id_of
from ematix_core.cli.output import STATUS_COLOURS, local_time
from ematix_core.cli.show import seconds_of
from ematix_core.cli.watched import state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ematix_core.cli.watched import Watched


class Board:
    """Draws on stdout while it is open, and leaves the last state there."""

    def __init__(self) -> None:
        console = Console(no_color=bool(os.environ.get("NO_COLOR")) or None, highlight=False)
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._live.stop()

    def show(self, found: Sequence[Watched]) -> None:
        """Draw the state of things."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("run", "status", "started", "seconds", ""):
            table.add_column(title, justify="right" if title == "seconds" else "left", no_wrap=True)
        for one in found:
            for number, (name, record) in enumerate(one.named()):
                shown = f"  {name.rpartition('/')[2]}" if number else f"{name} {id_of(record)}"
                status = Text(record.status, style=STATUS_COLOURS.get(record.status, ""))
                table.add_row(
                    Text(shown), status, local_time(record.started_at), f"{seconds_of(record):,.1f}",
                    Text(state(record), overflow="ellipsis"),
                )  # fmt: skip
        self._live.update(table if found else Text(""), refresh=True)
