"""Programs that the Go toolchain builds from a module: their authors publish source, Debian has no package."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tools.servers.system import ServerError, UnavailableError, run

if TYPE_CHECKING:
    from pathlib import Path

# Where the archives of https://go.dev/doc/install go, which put nothing on the PATH by themselves.
_USUAL = "/usr/local/go/bin"


def build(package: str, version: str, *, checksum: str, into: Path, instead: str) -> Path:
    """Return the program of a package, built into the folder `into` if it is not there.

    `checksum` is the module's, as in go.sum; `instead` is what somebody without Go can do. Raises UnavailableError
    without Go or network, ServerError if the module is not the one that was checked in.
    """
    program = into / package.rpartition("/")[2]
    if program.exists():
        return program
    go = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", ""), _USUAL]))
    if go is None:
        raise UnavailableError(
            f"{package} is built by Go, and this machine has none: install https://go.dev/dl, or {instead}"
        )
    partial = into.with_name(into.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    install = [go, "install", "-trimpath", "-ldflags=-s -w", f"{package}@{version}"]
    try:
        # Without cgo no C compiler is needed.
        run(["env", f"GOBIN={partial}", "CGO_ENABLED=0", *install], folder=into.parent, as_root=True)
    except ServerError as error:
        raise UnavailableError(f"{package} could not be built ({error}); {instead}") from error
    facts = run([go, "version", "-m", str(partial / program.name)], as_root=True)
    if f"\t{version}\t{checksum}\n" not in facts:
        raise ServerError(
            f"{package} {version} is not the module that was checked in, whose sum is {checksum}:\n{facts[:300]}"
        )
    partial.rename(into)
    return program
