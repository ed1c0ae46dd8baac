"""Moments on the command line: ISO 8601, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ematix_core.model.duration import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def moment_option(name: str, meaning: str) -> Callable[[_Command], _Command]:
    """Return an option whose value is a moment, or None."""
    return click.option(name, metavar="TIME", callback=_given, help=meaning)


def parse_moment(text: str) -> datetime:
    """Return the moment of `2026-01-31`, `2026-01-31T06:00` (this machine's zone, unless it names one), `2 hours ago`.

    Raises click's BadParameter for any other text.
    """
    try:
        return _parse(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "Write 2026-01-31, 2026-01-31T06:00 or '2 hours ago'."
        raise click.BadParameter(f"{text!r} is no moment. {hint}") from None


def _parse(text: str) -> datetime:
    """Return the moment; raises ValueError, which DeclarationError is too."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC) - parse_duration(text.removesuffix("ago"), "time")


def _given(_ctx: click.Context, _: click.Parameter, text: str | None) -> datetime | None:
    return None if text is None else parse_moment(text)
