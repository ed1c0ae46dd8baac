"""`flow streams`: which streams there are, how their consumers fare, and what their sources keep for them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ematix_core.cli.consume import chosen
from ematix_core.cli.consuming import HEADERS, row
from ematix_core.cli.exit_codes import FAILED
from ematix_core.cli.history import history
from ematix_core.cli.options import ListByDefault, names_argument, project_options
from ematix_core.cli.output import local_time, print_json, print_table
from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.store.records import ConsumerState
    from ematix_core.streaming.result import StreamPlan

_Told = TypeVar("_Told")

EXAMPLES = """\
\b
flow streams               how the consumers of all streams fare
flow streams show clicks   what a stream does, its delivery, its consumers and positions
flow streams state clicks  what it keeps, how far the watermark is, and where
flow streams drop orders   drop what its source keeps for it: a replication slot
"""


@click.group("streams", cls=ListByDefault, epilog=EXAMPLES)
def streams() -> None:
    """List the consumers of streams; show one stream, or drop what its source keeps for it."""


@streams.command("list")
@click.option("--all", "every", is_flag=True, help="Those of the last week that have ended, too.")
@project_options
def list_(*, every: bool, modules: tuple[str, ...], as_json: bool) -> None:
    """List the streams of the project, each with its consumers."""
    project, declared = chosen((), modules)
    del project
    with history() as store:
        found = {one.name: store.consumers(one.name) for one in declared}
    shown = {name: consumers if every else _present(consumers) for name, consumers in found.items()}
    if as_json:
        print_json({"streams": [{"stream": n, "consumers": [c.to_dict() for c in cs]} for n, cs in shown.items()]})
        return
    rows: list[tuple[Any, ...]] = []
    for one in declared:
        for target in one.targets:
            mine = [state for state in shown[one.name] if state.target == one.label(target)]
            rows += [row(one.name, state.target, {**state.stats, "status": state.status}) for state in mine]
            if not mine:
                rows.append(row(one.name, one.label(target), {"status": "no consumer"}))
    print_table(HEADERS, rows)


@streams.command("show")
@names_argument
@project_options
def show(*, names: tuple[str, ...], modules: tuple[str, ...], as_json: bool) -> None:
    """Show what a stream does, which delivery that makes, and how its consumers fare.

    Connects to look at the source's first records and at the targets; changes nothing. Exit code 1 when what a stream
    does cannot be told; how its consumers fare is shown all the same.
    """
    from ematix_core.streaming.retention import retained

    project, declared = chosen(names, modules)
    plans = {one.name: _told(partial(one.plan, project)) for one in declared}
    kept = {one.name: _told(partial(retained, one, project)) for one in declared}
    with history() as store:
        found = {one.name: store.consumers(one.name) for one in declared}
    if as_json:
        print_json({"streams": [_document(name, plan, kept[name], found[name]) for name, plan in plans.items()]})
    else:
        for name, plan in plans.items():
            _show(name, plan, kept[name], found[name])
    if any(isinstance(one, EmatixError) for one in (*plans.values(), *kept.values())):
        click.get_current_context().exit(FAILED)


def _told(tell: Callable[[], _Told]) -> _Told | EmatixError:
    """Return what is told, or why it cannot be."""
    try:
        return tell()
    except EmatixError as error:
        return error


def _document(
    name: str, plan: StreamPlan | EmatixError, kept: Mapping[str, str] | EmatixError, found: Sequence[ConsumerState]
) -> dict[str, Any]:
    errors = [str(one) for one in (plan, kept) if isinstance(one, EmatixError)]
    return {
        **({"stream": name} if isinstance(plan, EmatixError) else plan.to_dict()),
        **({"error": errors[0]} if errors else {}),
        "retained": {} if isinstance(kept, EmatixError) else kept,
        "consumers": [state.to_dict() for state in found],
    }


def _show(
    name: str, plan: StreamPlan | EmatixError, kept: Mapping[str, str] | EmatixError, found: Sequence[ConsumerState]
) -> None:
    if isinstance(plan, EmatixError):
        click.echo(f"stream {name}")
        click.secho(f"  what it does cannot be told: {plan}", fg="red")
    else:
        click.echo(str(plan))
    if isinstance(kept, EmatixError):
        click.secho(f"  what is kept for it cannot be told: {kept}", fg="red")
    else:
        for target, what in kept.items():
            click.echo(f"  kept for {target}: {what}")
    for state in found:
        click.echo(
            f"  consumer of {state.target}: {state.status}, process {state.pid} on {state.host}, since "
            f"{local_time(state.started_at)}, {state.stats.get('records', 0):,} records"
        )
        if state.error:
            click.secho(f"    {state.error}", fg="red")
        for partition, place in state.stats.get("positions", {}).items():
            click.echo(f"    at {partition}: {place}")


@streams.command("state")
@names_argument
@click.option("--reset", is_flag=True, help="Forget what is kept: the stream goes on where it is, with an empty state.")
@project_options
def state(*, names: tuple[str, ...], reset: bool, modules: tuple[str, ...], as_json: bool) -> None:
    """Show what streams with a window or a join keep: how far their watermark is, how much is open, and where.

    Connects to the targets, which have noted the state that counts. After --reset a consumer at work begins again.
    """
    from ematix_core.streaming.state.inspection import state_of

    project, declared = chosen(names, modules)
    if reset and not names:
        raise click.UsageError("--reset needs the name of a stream.")
    keeping = declared if names else [one for one in declared if one.keeps_state]
    found = [state_of(one, target, project, reset=reset) for one in keeping for target in one.targets]
    if as_json:
        print_json({"states": [one.to_dict() for one in found]})
        return
    for one in found:
        click.echo(f"{one.stream} into {one.target}: state {one.checkpoint or 'none yet'}, in {one.place}")
        if one.checkpoint:
            waiting = f"{one.rows:,} rows that wait, " if one.rows else ""
            groups = f"{one.groups:,} open groups, " if one.groups or not one.rows else ""
            click.echo(f"  {waiting}{groups}{one.bytes:,} bytes in memory; "
                       f"{one.stored_bytes:,} bytes in {one.segments:,} segments")  # fmt: skip
            click.echo(f"  watermark: {one.watermark.isoformat() if one.watermark else 'none yet'}")
            for partition, at in one.newest.items():
                click.echo(f"  newest of partition {partition or '(all)'}: {at.isoformat()}")


@streams.command("drop")
@names_argument
@project_options
def drop(*, names: tuple[str, ...], modules: tuple[str, ...], as_json: bool) -> None:
    """Drop what the sources of the named streams keep for their consumers: replication slots and publications.

    For a stream that is no more, or is to begin anew. The targets and their positions stay; a consumer that begins
    after that is refused, unless it is told --from earliest or latest.
    """
    from ematix_core.streaming.retention import drop_retained

    if not names:
        raise click.UsageError("which streams? Name them")
    project, declared = chosen(names, modules)
    dropped = {one.name: drop_retained(one, project) for one in declared}
    if as_json:
        print_json({"streams": [{"stream": name, "dropped": targets} for name, targets in dropped.items()]})
        return
    for name, targets in dropped.items():
        for target, what in targets.items():
            click.echo(f"{name} -> {target}: dropped {' and '.join(what) or 'nothing, nothing was there'}")


def _present(consumers: list[ConsumerState]) -> list[ConsumerState]:
    """Return those at work; for a target that has none the last one that was."""
    working = [state for state in consumers if not state.ended and state.status != "lost"]
    targets = {state.target for state in working}
    last = {state.target: state for state in consumers if state.target not in targets}
    return [*working, *last.values()]
