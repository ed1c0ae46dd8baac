"""Folders of the local file system, as the kinds that keep files see them: safe paths, and errors in our words."""

from __future__ import annotations

import contextlib
import errno
import re
from typing import TYPE_CHECKING

from ematix_core.errors import ConnectError, DiskFullError, EmatixError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator


def below(name: str) -> str:
    """Return a user's path below the connection in its plain form. Raises SourceError for one that leads out of it."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith(("/", "~")) or ".." in parts or "\\" in name or "\0" in name or re.match(r"^\w+:", name):
        raise SourceError(
            f"{name!r} is no path below the connection",
            hint="Write it relative to the connection's path, without '..': FROM \"orders/*.parquet\".",
        )
    return "/".join(parts)


@contextlib.contextmanager
def told(action: str) -> Iterator[None]:
    """Raise an operating system's error as one of ours: no space, no permission, or any other."""
    try:
        yield
    except OSError as error:
        raise os_error(error, action) from error


def os_error(error: OSError, action: str) -> EmatixError:
    """Return what an OSError means to a run."""
    where = str(error.filename or "")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFullError(f"no space left to {action}", where=where, hint="Free space there. Nothing was committed.")
    hint = "Check the permissions of the connection's folder." if isinstance(error, PermissionError) else ""
    return ConnectError(f"cannot {action}: {error.strerror or error}", where=where, hint=hint)
