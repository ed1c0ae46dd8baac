"""`flow maintain`: the maintenance that jobs declare for their tables, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ematix_core.cli.loading import load
from ematix_core.cli.options import names_argument, project_options
from ematix_core.cli.output import print_json
from ematix_core.cli.select import GRAMMAR, select_some
from ematix_core.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.model.job import Job
    from ematix_core.model.project import Project

EXAMPLES = """\
\b
flow maintain                     every step of every job
flow maintain silver.orders       those of the jobs that load this table, on it
flow maintain --due               only what is due by every=
flow maintain orders --dry-run    what there is to do
"""


@click.command("maintain", epilog=f"{EXAMPLES}\n{GRAMMAR} A table is named as a job's target is.")
@names_argument
@click.option("--due", "only_due", is_flag=True, help="Leave out steps that are not due by every=.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what there is to do.")
@project_options
@click.pass_context
def maintain(
    ctx: click.Context, *, names: tuple[str, ...], only_due: bool, dry_run: bool, modules: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Carry out the maintenance that jobs declare for their tables.

    At once, whether due or not. Without NAME: of all jobs. A step that fails does not keep the others from running.
    """
    project, patterns = load(names, modules)
    from ematix_core.engine.maintenance import maintain_job

    found = [
        one
        for job, tables in _chosen(project, patterns)
        for one in maintain_job(job, project, only_due=only_due, dry_run=dry_run, tables=tables)
    ]
    if as_json:
        print_json({"dry_run": dry_run, "steps": [one.to_dict() for one in found]})
    else:
        for one in found:
            click.secho(str(one), fg="red" if one.error else None)
    ctx.exit(1 if any(one.error for one in found) else 0)


def _chosen(project: Project, patterns: Sequence[str]) -> Iterator[tuple[Job, frozenset[str]]]:
    """Yield the jobs that are meant, each with the names of the tables that are: none stands for all."""
    maintained = {
        name: {str(target.name) for target in job.targets if target.maintenance} for name, job in project.jobs.items()
    }
    tables = frozenset(name for name in patterns if any(name in of for of in maintained.values()))
    rest = [name for name in patterns if name not in tables]
    chosen = select_some(project.jobs, project.workflows, rest).jobs if rest or not patterns else ()
    named = {job.name for job in chosen}
    for name, job in project.jobs.items():
        if name in named:
            if rest and len(rest) == 1 and rest[0] == name and not maintained[name]:
                raise ProjectError(
                    f"job {name!r} declares no maintenance", hint="Write maintenance=[ematix.optimize()] on the job."
                )
            yield job, frozenset()
        elif tables & maintained[name]:
            yield job, tables
