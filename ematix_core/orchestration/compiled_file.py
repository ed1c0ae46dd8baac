"""The file of a compiled project: where it is, whether it is still true, and how it is made anew.

Reading it imports none of the project's modules; compiling does, in a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from ematix_core.errors import ConfigError, EmatixError, ProjectError, near
from ematix_core.orchestration.compiled_project import CompiledProject
from ematix_core.orchestration.content import digest, place

if TYPE_CHECKING:
    from collections.abc import Sequence

Recompile = Literal["auto", "never", "always"]

VARIABLE = "EMATIX_COMPILE"
_CHOICES = ("auto", "never", "always")


def compiled(
    modules: Sequence[str],
    directory: str | Path,
    path: str | Path | None = None,
    recompile: Recompile | None = None,
) -> CompiledProject:
    """Return the compiled project of some modules, from its file when that is true.

    `directory`: where the modules are; `path`: the file, default `<first module>.ematix.json` in `directory`.
    `recompile`, default what the variable EMATIX_COMPILE says, else "auto": a file that is missing or does not fit the
    modules any more is made anew, in a process of its own; where it cannot be written, the project is returned all the
    same. "never": it is an error that names the file, what has changed, and the remedy; "always": it is made anew.
    Raises ProjectError for that, and with all its problems for a project that is broken.
    """
    choice = recompile or _chosen()
    folder = Path(directory)
    file = default_path(modules, folder) if path is None else Path(path)
    if choice != "always":
        project, changes = look(modules, folder, file)
        if project is not None and not changes:
            return project
        if choice == "never":
            raise stale(modules, folder, file, changes)
    project = compile_apart(modules, folder)
    with suppress(OSError):  # a folder that is read only: an image, a bundle of another user
        write(project, file)
    return project


def default_path(modules: Sequence[str], directory: Path) -> Path:
    """Return where the compiled project is by default: named after the first module, in the directory."""
    if not modules:
        raise ProjectError("there is nothing to compile", hint="Name a module, a package or a .py file.")
    last = Path(modules[0]).name.removesuffix(".py").removesuffix(".toml").rpartition(".")[2]
    return directory / f"{last}.ematix.json"


def module_name(module: str, folder: Path) -> str:
    """Return a module as the file names it: a path is relative to the folder of the project, without `./`."""
    from ematix_core.model.loading import is_path

    if not is_path(module):
        return module
    relative = os.path.relpath(os.path.realpath(folder / module), os.path.realpath(folder))
    text = Path(relative).as_posix()
    return text if is_path(text) else f"./{text}"


def look(modules: Sequence[str], directory: Path, file: Path) -> tuple[CompiledProject | None, tuple[str, ...]]:
    """Return the project that a file has, and what it does not fit any more; no project when it cannot be read."""
    try:
        project = CompiledProject.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, ("it is not there",)
    except (OSError, UnicodeDecodeError) as error:
        return None, (f"it cannot be read: {error}",)
    except ProjectError as error:
        return None, (error.what,)
    return project, tuple(changes(project, modules, directory))


def changes(project: CompiledProject, modules: Sequence[str], directory: Path) -> list[str]:
    """Return what is another now than when the project was compiled, in words; nothing when it is still true."""
    found = []
    wanted = [module_name(module, directory) for module in modules]
    if list(project.modules) != wanted:
        found.append(f"it is of {', '.join(project.modules) or 'no modules'}, not of {', '.join(wanted)}")
    if project.version != version("ematix"):
        found.append(f"it is of ematix {project.version}, and this is {version('ematix')}")
    folder = Path(os.path.realpath(directory))
    for path, before in project.files.items():
        now = digest(place(path, folder))
        if not now or now != before:
            found.append(f"{path} {'is not there' if not now else _changed(path)}")
    return found


def _changed(path: str) -> str:
    return "has other modules in it" if path.endswith("/") else "has changed"


def stale(modules: Sequence[str], directory: Path, file: Path, found: Sequence[str]) -> ProjectError:
    """Return the error of a file that is not true any more, with what has changed and the remedy."""
    reasons = "".join(f"\n- {one}" for one in found)
    return ProjectError(
        f"the compiled project {file} is stale:{reasons}" if file.exists() else f"there is no compiled project {file}",
        hint=f"Compile it anew, in {directory.absolute()}: {command(modules, directory, file)}",
    )  # fmt: skip


def command(modules: Sequence[str], directory: Path, file: Path) -> str:
    """Return the command that makes a file anew, to be given in the directory."""
    options = [f"--module {module}" for module in modules]
    if file.absolute() != default_path(modules, directory).absolute():
        options.append(f"-o {os.path.relpath(file, directory)}")
    return " ".join(["flow compile", *options])


def compile_apart(modules: Sequence[str], directory: Path) -> CompiledProject:
    """Compile in a process of its own: what the modules do when imported cannot hurt this one.

    That process finds modules where this one would. Raises ProjectError.
    """
    from ematix_core.scheduler.projects import asked

    if not directory.is_dir():
        raise ProjectError(f"there is no folder {directory}", hint="It is where the modules of the project are.")
    wanted = json.dumps({"modules": [str(module) for module in modules], "path": [one for one in sys.path if one]})
    answer = asked("from ematix_core.orchestration.compiling import answer; answer()", [wanted], directory)
    if isinstance(answer, EmatixError):
        raise answer
    assert isinstance(answer, CompiledProject)  # noqa: S101 - see compiling.answer
    return answer


def write(project: CompiledProject, file: Path) -> None:
    """Write the file in one step: who reads it meanwhile sees the old or the new one. Raises OSError."""
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(project.to_json(), encoding="utf-8", newline="\n")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _chosen() -> Recompile:
    choice = os.environ.get(VARIABLE) or "auto"
    if choice not in _CHOICES:
        raise ConfigError(f"{VARIABLE}={choice!r} is no way to compile", hint=near(choice, _CHOICES))
    return cast("Recompile", choice)
