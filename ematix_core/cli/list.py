"""`flow list`: what a project declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.loading import load
from ematix_core.cli.options import names_argument, project_options
from ematix_core.cli.output import print_json, print_table
from ematix_core.cli.select import GRAMMAR, select

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.model.project import Project
    from ematix_core.model.stream import Stream
    from ematix_core.model.workflow import Workflow


@click.command("list", epilog=GRAMMAR)
@names_argument
@project_options
def list_(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """List jobs, workflows, streams and connections.

    With NAME: only those jobs and streams.
    """
    project, patterns = load(names, modules)
    named = [name for name in patterns if name in project.streams]
    others = [name for name in patterns if name not in project.streams]
    chosen = select(project.jobs, project.workflows, others).jobs if others or not patterns else ()
    jobs = [job_data(job, project) for job in chosen]
    streams = [stream_data(project.streams[name]) for name in (named if patterns else project.streams)]
    workflows = [] if patterns else [workflow_data(one) for one in project.workflows.values()]
    connections = [] if patterns else [connection_data(one) for one in project.connections.values()]
    if as_json:
        print_json({"jobs": jobs, "workflows": workflows, "streams": streams, "connections": connections})
    elif not (jobs or workflows or streams or connections):
        click.echo("nothing is declared")
    else:
        _print_tables(jobs, workflows, streams, connections)


def job_data(job: Job, project: Project) -> dict[str, Any]:
    """Return what is declared about a job, as plain data."""
    return {
        "job": job.name,
        "source": job.source_name,
        "targets": _targets(job),
        "watermark": job.watermark,
        "depends_on": list(job.depends_on),
        "schedule": str(job.schedule) if job.schedule else None,
        "workflows": [w.name for w in project.workflows.values() if job.name in {j.name for j in w.jobs}],
        "module": job.module,
        "owner": job.owner,
        "tags": list(job.tags),
        "doc": job.doc,
    }


def stream_data(stream: Stream) -> dict[str, Any]:
    """Return what is declared about a stream, as plain data."""
    return {
        "stream": stream.name,
        "source": stream.source_name,
        "source_query": stream.source_query,
        "targets": _targets(stream),
        "on_error": stream.on_error,
        "module": stream.module,
        "owner": stream.owner,
        "tags": list(stream.tags),
        "doc": stream.doc,
    }


def workflow_data(workflow: Workflow) -> dict[str, Any]:
    """Return what is declared about a workflow, as plain data."""
    return {
        "workflow": workflow.name,
        "runs": workflow.summary(),
        "jobs": [job.name for job in workflow.jobs],
        "owner": workflow.owner,
        "tags": list(workflow.tags),
        "description": workflow.description,
    }


def connection_data(connection: Connection) -> dict[str, Any]:
    """Return name, kind and settings of a connection, secrets masked."""
    settings = {name: value for name, value in connection.masked().items() if value not in ({}, [])}
    return {"connection": connection.name, "kind": connection.kind, "settings": settings}


def connection_rows(connections: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the rows of a table of connections."""
    return [
        (one["connection"], one["kind"], ", ".join(f"{key}={value}" for key, value in one["settings"].items()))
        for one in connections
    ]


def _print_tables(
    jobs: list[dict[str, Any]],
    workflows: list[dict[str, Any]],
    streams: list[dict[str, Any]],
    connections: list[dict[str, Any]],
) -> None:
    rows = [(job["job"], *_target_cells(job), _or_dash(job["depends_on"]), job["schedule"]) for job in jobs]
    tables: list[tuple[tuple[str, ...], list[tuple[Any, ...]]]] = [
        (("job", "mode", "source", "target", "depends on", "schedule"), rows),
        (("workflow", "runs", "jobs"), [(w["workflow"], w["runs"], ", ".join(w["jobs"])) for w in workflows]),
        (("stream", "mode", "source", "target", "on error"), [_stream_row(one) for one in streams]),
        (("connection", "kind", "settings"), [*connection_rows(connections)]),
    ]
    for number, (headers, lines) in enumerate(table for table in tables if table[1]):
        if number:
            click.echo()
        print_table(headers, lines)


def _targets(declared: Job | Stream) -> list[dict[str, Any]]:
    return [{"table": str(t.name), "connection": t.connection_name, "mode": t.mode.name} for t in declared.targets]


def _stream_row(stream: dict[str, Any]) -> tuple[str, ...]:
    modes, source, places = _target_cells(stream)
    return stream["stream"], modes, f"{source}: {stream['source_query']}", places, stream["on_error"]


def _target_cells(job: dict[str, Any]) -> tuple[str, str, str]:
    modes = _or_dash(list(dict.fromkeys(target["mode"] for target in job["targets"])))
    places = [".".join(filter(None, (t["connection"], t["table"]))) for t in job["targets"]]
    return modes, job["source"] or "the target's", ", ".join(places)


def _or_dash(names: list[str]) -> str:
    return ", ".join(names) or "-"
