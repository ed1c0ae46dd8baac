"""Which modules a command means, and what they declare."""

from __future__ import annotations

import pkgutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ematix_core.config.connections import FoundConnection, all_connections
from ematix_core.config.settings import FILE_NAME, Settings
from ematix_core.errors import ProjectError, UnknownConnectionError, near
from ematix_core.model.loading import is_path
from ematix_core.model.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def load(
    names: Sequence[str], modules: Sequence[str], *, loaded: Callable[..., Project] = Project.load
) -> tuple[Project, tuple[str, ...]]:
    """Return the project and the names that are left as patterns.

    The modules are `--module`, else those of the settings. The first name is one too when it is a path; or when it
    is nothing that those modules declare and can be imported. `loaded` makes the project of the modules. Raises
    ProjectError, ConfigError, DeclarationError.
    """
    first, rest = (names[0], tuple(names[1:])) if names else ("", ())
    if is_path(first):
        return loaded(*modules, first), rest
    chosen = tuple(modules) or Settings.load().modules
    if chosen:
        project = loaded(*chosen)
        if modules or not first or _declares(project, first) or not _is_module(first):
            return project, tuple(names)
        return loaded(first), rest
    if first and _is_module(first):
        return loaded(first), rest
    context = click.get_current_context(silent=True)
    command = context.command_path if context else "flow run"
    raise ProjectError(
        f"no modules are configured, so {first!r} is unknown" if first else "no modules are configured",
        hint=f"Name a file ({command} pipelines.py{f' {first}' if first else ''}), pass --module NAME, or write\n"
        f'[project]\nmodules = ["pipelines"]\ninto {FILE_NAME} here. `flow init` makes a project that runs.',
    )


def load_good(names: Sequence[str], modules: Sequence[str]) -> tuple[Project, tuple[str, ...], tuple[str, ...]]:
    """Return as `load` does what is good of the project, and a message for each thing that is left out."""
    problems: list[str] = []

    def loaded(*chosen: str) -> Project:
        project, messages = Project.load_good(*chosen)
        problems[:] = messages
        return project

    return (*load(names, modules, loaded=loaded), tuple(problems))


def modules_here() -> list[str]:
    """Return the names of the modules and packages in the working directory."""
    return [module.name for module in pkgutil.iter_modules([str(Path.cwd())])]


def counts(project: Project) -> dict[str, int]:
    """Return how many declarations of each kind there are."""
    return {kind: len(getattr(project, kind)) for kind in ("jobs", "workflows", "streams", "connections", "tables")}


def tally(project: Project) -> str:
    """Return the same in words: `3 jobs, 1 workflow, 3 connections, 3 tables`; streams only where there are some."""
    known = {kind: n for kind, n in counts(project).items() if n or kind != "streams"}
    return ", ".join(f"{n} {kind if n != 1 else kind.removesuffix('s')}" for kind, n in known.items())


def load_if_any(modules: Sequence[str]) -> Project:
    """Return the project; an empty one when no modules are given or configured."""
    chosen = tuple(modules) or Settings.load().modules
    return Project.load(*chosen) if chosen else Project.of()


def known_connections(names: Sequence[str], project: Project) -> list[FoundConnection]:
    """Return the connections of the project, the environment and the settings; with names, only those."""
    found = all_connections(project.connections, Settings.load())
    known = {one.connection.name: one for one in found}
    for name in names:
        if name not in known:
            raise UnknownConnectionError(f"no connection is named {name!r}", hint=near(name, known))
    return [known[name] for name in names] if names else found


def _declares(project: Project, name: str) -> bool:
    bare = name.removeprefix("+").removesuffix("+")
    declared = bare in project.jobs or bare in project.workflows or bare in project.streams
    return declared or not bare.replace(".", "").isidentifier()


def _is_module(name: str) -> bool:
    """Say whether Python would find a module of that name, here or installed; parents of a dotted name are imported."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
