"""`flow pause` and `flow resume`: whether the schedulers may start a unit, and consumers load more of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ematix_core.cli.history import history
from ematix_core.cli.loading import load
from ematix_core.cli.options import complete_names, project_options
from ematix_core.cli.output import print_json
from ematix_core.errors import ProjectError, near
from ematix_core.model.unit import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.model.project import Project

UNIT_HELP = (
    "UNIT is a workflow, or a job that a scheduler starts by itself: it has a schedule or dependencies of its own."
)
_HELP = f"{UNIT_HELP} For these two commands a stream is one, too."
PAUSE_EXAMPLES = """\
\b
flow pause nightly          nothing starts it until `flow resume nightly`
flow pause nightly hourly   several at once
flow pause clicks           consumers of the stream wait
"""
RESUME_EXAMPLES = """\
\b
flow resume nightly
"""

units_argument = click.argument(
    "names", nargs=-1, required=True, metavar="[FILE|MODULE] UNIT...", shell_complete=complete_names
)


@click.command("pause", epilog=f"{PAUSE_EXAMPLES}\n{_HELP}")
@units_argument
@project_options
def pause(*, names: tuple[str, ...], modules: tuple[str, ...], as_json: bool) -> None:
    """Let workflows and jobs fire no more, and consumers of streams wait, until they are resumed.

    What runs goes on. What happens meanwhile is kept: once resumed, a unit fires if its conditions hold; of missed
    ticks it makes up for what its `catchup` says. `flow run` starts it all the same. Consumers of a stream
    load what they have polled, and then nothing more; they learn of it within two seconds.
    """
    _set(names, modules, paused=True, as_json=as_json)


@click.command("resume", epilog=f"{RESUME_EXAMPLES}\n{_HELP}")
@units_argument
@project_options
def resume(*, names: tuple[str, ...], modules: tuple[str, ...], as_json: bool) -> None:
    """Let paused workflows and jobs fire again, and consumers of streams go on."""
    _set(names, modules, paused=False, as_json=as_json)


def _set(names: Sequence[str], modules: Sequence[str], *, paused: bool, as_json: bool) -> None:
    project, wanted = load(names, modules)
    if not wanted:
        raise click.UsageError("Name a workflow, job or stream.")
    _check(wanted, project)
    with history() as store:
        changed = {name: (store.pause if paused else store.resume)(name) for name in dict.fromkeys(wanted)}
    if as_json:
        print_json({"units": [{"unit": n, "paused": paused, "changed": c} for n, c in changed.items()]})
        return
    for name, anything in changed.items():
        fires = "go on" if name in project.streams else "fire again"
        click.echo(f"{name}: {_said(name, fires, paused=paused, changed=anything)}")


def _check(wanted: Sequence[str], project: Project) -> None:
    """Raise ProjectError for a name that no unit has."""
    known = {unit.name for unit in units(project)} | set(project.streams)
    for name in wanted:
        if name in known:
            continue
        homes = [w.name for w in project.workflows.values() if any(job.name == name for job in w.jobs)]
        if homes:
            raise ProjectError(
                f"job {name} is not started by itself: it runs in {', '.join(homes)}", hint=f"Name that: {homes[0]}."
            )
        if name in project.jobs:
            raise ProjectError(f"no scheduler starts job {name}", hint="It has no schedule and depends on no job.")
        raise ProjectError(f"no workflow, job or stream is named {name!r}", hint=near(name, known))


def _said(name: str, fires: str, *, paused: bool, changed: bool) -> str:
    if paused:
        return f"paused; `flow resume {name}` lets it {fires}" if changed else "was paused already"
    return "resumed" if changed else "was not paused"
