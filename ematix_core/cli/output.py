"""What commands print on stdout: one JSON document, or plain tables that a pipe can take too."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ematix_core.model.schedule import wall_time

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_json(document: Any) -> None:  # noqa: ANN401 - any JSON document
    """Print the one JSON document of a command. Times become ISO 8601 text."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:  # noqa: ANN401 - whatever json has no form for
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns under bold headers: numbers to the right, text to the left, nothing cut off."""
    if not rows:
        return
    cells = [[_cell(value) for value in row] for row in rows]
    right = [all(isinstance(row[i], int | float) or row[i] is None for row in rows) for i in range(len(headers))]
    widths = [max(len(header), *(_width(row[i]) for row in cells)) for i, header in enumerate(headers)]

    def line(values: Sequence[str]) -> str:
        fill = [" " * (width - _width(value)) for value, width in zip(values, widths, strict=True)]
        padded = [pad + value if r else value + pad for value, pad, r in zip(values, fill, right, strict=True)]
        return "  ".join(padded).rstrip()

    click.secho(line(headers), bold=True)
    for row in cells:
        click.echo(line(row))


def _width(cell: str) -> int:
    return len(click.unstyle(cell))


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever a table shows
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.2f}"
        case datetime():
            return local_time(value)
        case _:
            return str(value).replace("\n", " ")


def local_time(moment: datetime | None) -> str:
    """Return a moment in this machine's zone, to the second; `-` for none. Without a zone it counts as UTC."""
    if moment is None:
        return "-"
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return wall_time(aware.replace(microsecond=0), None, "seconds")


STATUS_COLOURS = {
    "succeeded": "green", "ok": "green", "failed": "red", "interrupted": "red", "cancelled": "yellow",
    "skipped": "yellow",
}  # fmt: skip


def styled_status(status: str) -> str:
    """Return a status word in its colour."""
    return click.style(status, fg=STATUS_COLOURS.get(status))
