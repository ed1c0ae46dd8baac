"""`flow compile`: write what a project declares into a file that orchestrators read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.exit_codes import FAILED
from ematix_core.cli.options import module_option, output_options
from ematix_core.cli.output import print_json
from ematix_core.cli.scheduling import modules_of
from ematix_core.config.settings import Settings
from ematix_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.orchestration import CompiledProject


@click.command("compile")
@module_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="The file. Default: the name of the first module with .ematix.json, here.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Write nothing; say what has changed since the file was written.")
@output_options
def compile_(*, modules: tuple[str, ...], output: Path | None, check: bool, as_json: bool) -> None:
    """Write what a project declares into a file that orchestrators read.

    An Airflow DAG file, for one, reads it and imports none of the modules. Connects to nothing and calls no job.
    A broken project is an error, with all its problems. With --check, exit code 1 when the file is missing or stale.
    """
    from ematix_core.orchestration import compiled_file

    chosen = modules_of(modules, Settings.load())
    file = output or compiled_file.default_path(chosen, Path())
    if check:
        found, changes = compiled_file.look(chosen, Path(), file)
        _print_check(file, found, changes, compiled_file.command(chosen, Path(), file), as_json=as_json)
        return
    project = compiled_file.compile_apart(chosen, Path())
    try:
        compiled_file.write(project, file)
    except OSError as error:
        raise ConfigError(f"the compiled project cannot be written: {error.strerror}", where=str(file)) from error
    if as_json:
        print_json(_data(file, project))
    else:
        click.echo(f"wrote {file}: {_contents(project)}")


def _print_check(
    file: Path, project: CompiledProject | None, changes: Sequence[str], remedy: str, *, as_json: bool
) -> None:
    if as_json:
        print_json({"up_to_date": not changes, "changes": changes, **_data(file, project)})
    elif not changes and project is not None:
        click.echo(f"{file} is up to date: {_contents(project)}")
    else:
        click.echo("\n".join([f"{file} is not up to date:", *(f"- {one}" for one in changes), f"Run: {remedy}"]))
    if changes:
        click.get_current_context().exit(FAILED)


def _data(file: Path, project: CompiledProject | None) -> dict[str, Any]:
    if project is None:
        return {"file": str(file)}
    return {
        "file": str(file),
        "hash": project.hash,
        "modules": project.modules,
        "workflows": [one.name for one in project.workflows if not one.unit.single],
        "jobs": [job.name for job in project.jobs],
        "streams": [stream.name for stream in project.streams],
    }


def _contents(project: CompiledProject) -> str:
    """Return in words what is in a file: `1 workflow, 3 jobs, hash 3b9849666c59`."""
    counts = {"workflow": sum(not one.unit.single for one in project.workflows), "job": len(project.jobs)}
    if project.streams:
        counts["stream"] = len(project.streams)
    counted = [f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items()]
    return ", ".join([*counted, f"hash {project.hash[:12]}"])
