"""How streams fare while `flow consume` is at work: a table on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.watch import draws

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ematix_core.streaming.statistics import Statistics

_DRAW_SECONDS, _LINE_SECONDS = 0.5, 10.0
HEADERS = ("stream", "target", "status", "records", "rec/s 1m", "rec/s 5m", "behind", "latency", "dead")


def row(stream: str, target: str, told: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the cells of one consumer, for HEADERS."""
    status = told.get("status", "")
    return (
        stream, target, (status == "running" and told.get("doing")) or status, told.get("records", 0),
        told.get("m1", {}).get("records"), told.get("m5", {}).get("records"), told.get("behind"), told.get("latency"),
        told.get("dead", 0),
    )  # fmt: skip


@contextmanager
def watching_streams(streams: Mapping[str, Statistics]) -> Iterator[None]:
    """Show on stderr how the streams fare, as long as this is open."""
    drawing = draws(sys.stderr)
    done = threading.Event()
    show = _table if drawing else _lines
    thread = threading.Thread(target=show, args=(streams, done), name="watching-streams", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _lines(streams: Mapping[str, Statistics], done: threading.Event) -> None:
    while not done.wait(_LINE_SECONDS):
        for name, statistics in streams.items():
            for target, told in statistics.meters().items():
                behind = "" if told["behind"] is None else f", {told['behind']:,} behind"
                dead = f", {told['dead']:,} dead letters" if told["dead"] else ""
                click.echo(
                    f"{name} into {target}: {told['doing'] or told['status']}, {told['records']:,} records, "
                    f"{told['m1']['records']:,.0f}/s{behind}{dead}",
                    err=True,
                )


def _table(streams: Mapping[str, Statistics], done: threading.Event) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    with Live(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True) as live:
        while not done.wait(_DRAW_SECONDS):
            table = Table(box=None, pad_edge=False, header_style="bold")
            for number, title in enumerate(HEADERS):
                table.add_column(title, justify="left" if number < 3 else "right", no_wrap=True)  # noqa: PLR2004 - the columns of text
            for name, statistics in streams.items():
                for target, told in statistics.meters().items():
                    table.add_row(*(_shown(cell) for cell in row(name, target, told)))
            live.update(table, refresh=True)


def _shown(cell: Any) -> str:  # noqa: ANN401 - text or a number
    if cell is None:
        return "-"
    return f"{cell:,.1f}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
