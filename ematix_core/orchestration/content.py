"""What files a project was compiled of, told by their content: times of change lie in images and after a checkout."""

from __future__ import annotations

import os
import pkgutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, or of the names of a folder's modules; empty when it is not there."""
    try:
        if path.is_dir():
            names = sorted(module.name for module in pkgutil.iter_modules([str(path)]))
            return sha256("\n".join(names).encode()).hexdigest()
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def portable(path: Path, folder: Path, roots: Iterable[str]) -> str:
    """Return a path by which a file is found on another machine too; with `/` at the end when it is a folder.

    It counts from `folder`; of a file outside, from that one of `roots` (folders of `sys.path`) that Python found it
    in. Where it is in neither, it leads out of `folder` by `..`.
    """
    end = "/" if path.is_dir() else ""
    for root in (str(folder), *sorted(roots, key=len, reverse=True)):
        if root and path.is_relative_to(root):
            return path.relative_to(root).as_posix() + end
    return Path(os.path.relpath(path, folder)).as_posix() + end


def place(path: str, folder: Path) -> Path:
    """Return where a file is that `portable` has named: in `folder`, else where Python would find it."""
    places = [folder / path, *(Path(root, path) for root in sys.path if root)]
    return next((one for one in places if one.exists()), folder / path)
