"""The project beside the file that asks for it: an orchestrator's file names modules, and has them compiled."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ematix_core.errors import ProjectError
from ematix_core.orchestration.compiled_file import compiled

if TYPE_CHECKING:
    from types import ModuleType

    from ematix_core.model.stream import Stream
    from ematix_core.model.workflow import Workflow
    from ematix_core.orchestration.compiled_project import CompiledProject

Recompile = Literal["auto", "never", "always"]
ModuleLike = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Located:
    """A compiled project, and how another process finds the same one."""

    project: CompiledProject
    file: str
    """The file that asked for it."""
    modules: tuple[str, ...]
    directory: str


def locate(
    module: ModuleLike,
    *,
    adapter: Path,
    directory: str | Path | None = None,
    compiled_file: str | Path | None = None,
    recompile: Recompile | None = None,
) -> Located:
    """Return the compiled project of one or several modules.

    `adapter`: the folder of the package that asks for somebody else, whose file it is that counts. `directory` of the
    modules: relative to that file, whose folder is the default; `compiled_file` is relative to it. `recompile`: see
    `compiled`. Raises ProjectError for a project that has problems, for a compiled file that is missing or stale where
    it must not be made anew, and for modules that cannot be loaded.
    """
    file = calling_file(adapter)
    folder = Path(file).parent if directory is None else Path(file).parent / directory
    modules = tuple(map(str, [module] if isinstance(module, str | Path) else module))
    project = compiled(modules, folder, None if compiled_file is None else folder / compiled_file, recompile)
    if project.problems:
        lines = "\n".join(f"- {problem}" for problem in project.problems)
        raise ProjectError(f"the project has problems:\n{lines}", where=str(folder))
    return Located(project, file, modules, str(folder))


def calling_file(adapter: Path) -> str:
    """Return the file that called the adapter: the first on the stack that is none of its own, and none of these."""
    own = {str(adapter), str(Path(__file__).parent)}
    frame = inspect.currentframe()
    while frame is not None and str(Path(frame.f_code.co_filename).parent) in own:
        frame = frame.f_back
    return __file__ if frame is None else str(Path(frame.f_code.co_filename).absolute())


def module_of(declared: Workflow | Stream, *, adapter: Path, example: str) -> str:
    """Return the file of the imported module in which the workflow, or the stream, is a global.

    `example`: how one says where it is instead. Raises ProjectError when it is in none but the calling file, which
    cannot be loaded for a job, or compiled, without doing again what it does.
    """
    caller = calling_file(adapter)
    for found in list(sys.modules.values()):
        file = getattr(found, "__file__", None)
        if file is not None and str(Path(file).absolute()) != caller and _holds(found, declared):
            return str(file)
    raise ProjectError(
        f"{type(declared).__name__.lower()} {declared.name} is in no module beside the file that asks for it",
        where=caller,
        hint=f"Declare it in a module of its own and import that, or say where it is: {example}.",
    )


def _holds(module: ModuleType, declared: Workflow | Stream) -> bool:
    return any(value is declared for value in list(vars(module).values()))
