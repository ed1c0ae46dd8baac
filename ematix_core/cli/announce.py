"""`flow announce`: tell triggers that something outside of the project has succeeded."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ematix_core.cli.history import history
from ematix_core.cli.options import output_options
from ematix_core.cli.output import print_json
from ematix_core.errors import DeclarationError

EXAMPLES = """\
\b
flow announce s3://landing/orders                     what waits for it counts it as a success, now
flow announce s3://landing/orders --key 2026-01-31    told twice with the same key, it counts once
"""


@click.command("announce", epilog=EXAMPLES)
@click.argument("name", metavar="URI")
@click.option("--key", help="What tells this success from the others of that name; default the time.")
@output_options
def announce(*, name: str, key: str | None, as_json: bool) -> None:
    """Tell that something outside has succeeded.

    URI is what `triggered_by=` names, such as `s3://landing/orders`: whatever waits for it fires as after the success
    of a workflow. The store need not know the name.
    """
    if "://" not in name:
        raise DeclarationError(
            f"{name!r} is not the URI of something outside",
            hint=f"Write it as triggered_by= has it, such as s3://landing/orders. A job or workflow: flow run {name}.",
        )
    with history() as store:
        new = store.announce(name, key or datetime.now(UTC).isoformat())
    if as_json:
        print_json({"name": name, "new": new})
    else:
        click.echo(f"{name}: {'announced' if new else 'was announced already'}")
