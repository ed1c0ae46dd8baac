"""How a failed command speaks: one message on stderr, a hint, and the exit code."""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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

if TYPE_CHECKING:
    from types import TracebackType

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes, as `flow --help` documents them."""

_WRONG_DECLARATION = (ConfigError, DeclarationError, MissingDriverError, ProjectError, UnsupportedError)
_OURS = str(Path(__file__).parents[1])


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error: 2 for what the user declared or set wrongly, 130 when stopped, else 1."""
    if isinstance(error, KeyboardInterrupt | CancelledError):
        return INTERRUPTED
    return USAGE if isinstance(error, _WRONG_DECLARATION) else FAILED


def report(error: BaseException, ctx: click.Context) -> int:
    """Say what failed, on stderr (and as `{"error": ...}` on stdout with --json), and return the exit code."""
    debug = ctx.meta.get(DEBUG, False)
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
    """Return where in the user's own code the error comes from, without our frames; empty when it does not."""
    if (cause := _users_own(error)) is not None:
        return mask(_without_our_frames(cause))
    if isinstance(error, DeclarationError):
        return _declared_at(error)
    return ""


def _say(error: EmatixError, *, debug: bool) -> None:
    trace = mask("".join(traceback.format_exception(error))) if debug else users_trace(error)
    if trace:
        click.echo(trace.rstrip(), err=True)
    click.echo(text(error), err=True)


def _users_own(error: EmatixError) -> BaseException | None:
    """Return the exception that the user's own module or job body raised, if that is what went wrong."""
    cause = error.__cause__
    if cause is None or isinstance(cause, EmatixError):
        return None
    if isinstance(error, ProjectError) or any(not _is_ours(frame) for frame in _files(cause.__traceback__)):
        return cause
    return None


def _declared_at(error: BaseException) -> str:
    """Return `File "pipelines.py", line 14`: the last line of the traceback that is the user's."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    return f'  File "{own[-1].filename}", line {own[-1].lineno}\n    {own[-1].line}' if own else ""


def _files(trace: TracebackType | None) -> list[str]:
    return [frame.filename for frame in traceback.extract_tb(trace)]


def _is_ours(filename: str) -> bool:
    """Say whether a frame belongs to ematix or to what is installed: the import system and libraries."""
    installed = (_OURS, "<frozen ", sys.base_prefix, sys.prefix)
    return filename.startswith(installed) or "site-packages" in filename


def _without_our_frames(error: BaseException) -> str:
    exception = traceback.TracebackException.from_exception(error)
    seen: TracebackType | None = error.__traceback__
    own = [f for f in traceback.extract_tb(seen) if not f.filename.startswith((_OURS, "<frozen "))]
    exception.stack = traceback.StackSummary.from_list(own)
    return "".join(exception.format(chain=error.__suppress_context__ is False)).rstrip()


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
