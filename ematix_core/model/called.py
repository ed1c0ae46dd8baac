"""Calling functions of the user's: what they raise becomes an error of ours that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.errors import CancelledError, ConnectError, EmatixError, FunctionError

if TYPE_CHECKING:
    from collections.abc import Callable


def called(function: Callable[..., Any], *arguments: Any, where: str) -> Any:  # noqa: ANN401 - the user's own function
    """Return what the function does. An error of ours passes through.

    Raises FunctionError; ConnectError for an OSError, as of a network, which no row is the reason of.
    """
    try:
        return function(*arguments)
    except EmatixError:
        raise
    except KeyboardInterrupt as error:
        raise CancelledError("stopped while the function ran", where=where) from error
    except OSError as error:
        raise ConnectError(
            f"the function could not reach something: {_said(error)}", where=where,
            hint="This is tried again. Raise another error for what only some of the rows are the reason of.",
        ) from error  # fmt: skip
    except (Exception, SystemExit) as error:
        raise FunctionError(
            f"the function raised {_said(error)}", where=where,
            hint="Correct it for these rows. A stream goes on without them with on_error='drop' or 'dead_letter'.",
        ) from error  # fmt: skip


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
