"""Programs from the npm registry, for Node.js."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from tools.servers.system import ServerError, UnavailableError, run

if TYPE_CHECKING:
    from pathlib import Path


def node() -> str:
    """Return the program that runs them. Raises UnavailableError."""
    return _found("node")


def package(name: str, version: str, *, integrity: str, into: Path) -> Path:
    """Return the folder of a package, put into the folder `into` with what it needs if it is not there.

    `integrity` is the package's own, as in package-lock.json; what it needs is as new as it allows. Raises
    UnavailableError without Node.js or network, ServerError if the package is not the one that was checked in.
    """
    home = into / "node_modules" / name
    if home.exists():
        return home
    npm = _found("npm")
    partial = into.with_name(into.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    quiet = ["--no-audit", "--no-fund", "--no-progress", "--ignore-scripts"]
    try:
        run([npm, "install", f"--prefix={partial}", *quiet, f"{name}@{version}"], as_root=True)
    except ServerError as error:
        raise UnavailableError(f"{name} could not be installed: {error}") from error
    lock = json.loads((partial / "node_modules" / ".package-lock.json").read_text(encoding="utf-8"))
    if (found := lock["packages"][f"node_modules/{name}"]["integrity"]) != integrity:
        raise ServerError(f"{name} {version} is not the package that was checked in: {found}, not {integrity}")
    partial.rename(into)
    return home


def _found(program: str) -> str:
    if (path := shutil.which(program)) is None:
        raise UnavailableError(f"there is no {program} on this machine: install Node.js, https://nodejs.org")
    return path
