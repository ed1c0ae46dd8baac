"""The project as a scheduler sees it: its units as data, loaded in another process, and again when its files change.

A scheduler itself never imports the user's modules: what they do when imported cannot hurt it, and a changed module
needs no care about what the old one left behind.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core.errors import ProjectError
from ematix_core.model.loading import own_files
from ematix_core.model.project import Project
from ematix_core.model.unit import Unit, units

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 120
_MARK = b"\0ematix\0"


@dataclass(frozen=True)
class Snapshot:
    """What a project declared at one moment."""

    units: tuple[Unit, ...]
    problems: tuple[str, ...]
    """What had to be left out, and why."""
    files: tuple[tuple[str, int, int], ...]
    """Path, size and time of change (ns) of each file that was loaded."""

    @property
    def changed(self) -> bool:
        """Whether one of the files is another by now."""
        return any(_stamp(path) != (path, size, changed) for path, size, changed in self.files)

    def looked_at(self) -> Snapshot:
        """Return the same units with the files as they are now: another change makes it `changed` again."""
        return replace(self, files=tuple(_stamp(path) for path, _, _ in self.files))


def load_snapshot(modules: Sequence[str], directory: Path) -> Snapshot:
    """Load the project in a process of its own and return what it declares; what is broken is left out.

    Raises ProjectError when that process ends without an answer, with what it printed.
    """
    snapshot = asked(f"from {__name__} import answer; answer()", modules, directory)
    assert isinstance(snapshot, Snapshot)  # noqa: S101 - see answer
    return snapshot


def answer() -> None:
    """Tell what the project declares, for `load_snapshot`, in the process that it starts."""
    tell(snapshot_of(sys.argv[1:]))


def asked(program: str, arguments: Sequence[str], directory: Path) -> object:
    """Run a program that loads a project, in a process of its own in `directory`, and return what it `tell`s.

    Raises ProjectError when that process ends without an answer, with what it printed.
    """
    # Without -B the modules' bytecode is kept, by the second of their change and their size: a change within a second
    # that keeps the size would not be seen by the next such process.
    command = [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, ''); {program}", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and a program of ours
            command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ProjectError(
            f"the project was not loaded within {_SECONDS} s", hint="A module waits for something when it is imported."
        ) from None
    if done.returncode:
        printed = done.stderr.decode(errors="replace").strip()
        raise ProjectError(f"the process that loads the project ended with {done.returncode}:\n{printed}")
    _, _, told = done.stdout.rpartition(_MARK)  # before it stands what the modules print
    return pickle.loads(told)  # noqa: S301 - written by the process that was started here


def tell(value: object) -> None:
    """Print the answer of a process that `asked` started."""
    sys.stdout.buffer.write(_MARK + pickle.dumps(value))


def snapshot_of(modules: Sequence[str]) -> Snapshot:
    """Load the project in this process and return what it declares."""
    before = set(sys.modules)
    project, problems = Project.load_good(*modules)
    return Snapshot(units(project), tuple(problems), tuple(_stamp(path) for path in own_files(modules, before)))


def _stamp(path: str) -> tuple[str, int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return path, -1, 0
    return path, found.st_size, found.st_mtime_ns
