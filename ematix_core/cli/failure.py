"""How a failed command speaks: one message on stderr, a hint, and the exit code."""

from __future__ import annotations

import json
import sysconfig
import tempfile
import traceback
from pathlib import Path
from typing import Any

import click

from ematix_core.cli.exit_codes import FAILED, INTERRUPTED, USAGE
from ematix_core.cli.options import DEBUG, JSON
from ematix_core.errors import (
    CancelledError,
    ConfigError,
    DeclarationError,
    EmatixError,
    MissingDriverError,
    ProjectError,
    SqlError,
    UnsupportedError,
    excerpt,
)
from ematix_core.model.connection import mask

_WRONG_DECLARATION = (ConfigError, DeclarationError, MissingDriverError, ProjectError, UnsupportedError)
_OURS = str(Path(__file__).parents[1])
_NOT_THE_USERS = (_OURS, "<frozen ", *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")))


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error: 2 for what the user declared or set wrongly, 130 when stopped, else 1."""
    if isinstance(error, KeyboardInterrupt | CancelledError):
        return INTERRUPTED
    return USAGE if isinstance(error, _WRONG_DECLARATION) else FAILED


def report(error: BaseException, ctx: click.Context) -> int:
    """Say what failed, on stderr (and as `{"error": ...}` on stdout with --json), and return the exit code."""
    debug = ctx.meta.get(DEBUG, False)
    error = error if debug else plainest(error)
    if ctx.meta.get(JSON, False):
        click.echo(json.dumps({"error": as_data(error)}, indent=2))
    if isinstance(error, KeyboardInterrupt):
        click.echo("\nstopped", err=True)
    elif isinstance(error, EmatixError):
        _say(error, debug=debug)
    else:
        _say_unexpected(error, debug=debug)
    return exit_code(error)


def as_data(error: BaseException) -> dict[str, Any]:
    """Return an error as plain data, secrets masked: type, what, where, hint; a refused statement too."""
    data = {
        "type": type(error).__name__,
        "what": mask(getattr(error, "what", "") or str(error)),
        "where": getattr(error, "where", ""),
        "hint": getattr(error, "hint", ""),
    }
    if isinstance(error, SqlError):
        data |= {"statement": mask(error.statement)}
    return data


def text(error: EmatixError) -> str:
    """Return `error: what (where)`, then the faulty line of a statement, then the hint, in colour."""
    place = f" ({error.where})" if error.where else ""
    parts = [f"{click.style('error:', fg='red', bold=True)} {error.what}{place}"]
    if isinstance(error, SqlError):
        parts.append(excerpt(error.statement, error.position))
    if error.hint:
        parts.append(error.hint)
    return mask("\n".join(parts))


def users_trace(error: EmatixError) -> str:
    """Return the traceback of the user's own code that an error comes from, without our frames; or nothing."""
    if isinstance(error, ProjectError):
        return mask(error.traceback)
    cause = error.__cause__
    if cause is None or isinstance(cause, EmatixError):
        return ""
    frames = traceback.extract_tb(cause.__traceback__)
    if not any(_is_users(frame) for frame in frames):
        return ""
    exception = traceback.TracebackException.from_exception(cause)
    exception.stack = traceback.StackSummary.from_list([f for f in frames if not f.filename.startswith(_OURS)])
    return mask("".join(exception.format()))


def _is_users(frame: traceback.FrameSummary) -> bool:
    """Say whether a frame is of the user's code; compiled drivers name their own files by relative paths."""
    return not frame.filename.startswith(_NOT_THE_USERS) and not frame.filename.endswith((".pyx", ".pxi"))


def plainest(error: BaseException) -> BaseException:
    """Return the declaration's own error instead of the one that says that its module cannot be loaded."""
    cause = error.__cause__
    if isinstance(error, ProjectError) and isinstance(cause, EmatixError):
        return cause.at(error.where) if error.where else cause
    return error


def _say(error: EmatixError, *, debug: bool) -> None:
    trace = mask("".join(traceback.format_exception(error))) if debug else users_trace(error)
    if trace:
        click.echo(trace.rstrip(), err=True)
    click.echo(text(error), err=True)


def _say_unexpected(error: BaseException, *, debug: bool) -> None:
    trace = mask("".join(traceback.format_exception(error)))
    head = f"{click.style('error:', fg='red', bold=True)} unexpected {type(error).__name__}: {mask(str(error))}"
    if debug:
        click.echo(f"{trace}\n{head}", err=True)
        return
    with tempfile.NamedTemporaryFile(
        "w", prefix="ematix-traceback-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(trace)
    click.echo(f"{head}\nThis is a fault of ematix. The traceback is in {file.name} (--debug prints it).", err=True)
