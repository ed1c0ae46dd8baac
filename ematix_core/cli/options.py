"""The options that commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., Any]")

DEBUG = "ematix_core.cli.debug"
JSON = "ematix_core.cli.json"


def _remember(key: str) -> Callable[[click.Context, click.Parameter, bool], bool]:
    """Keep a flag where failures find it, whichever command it was given to."""

    def keep(ctx: click.Context, _: click.Parameter, wanted: bool) -> bool:
        if wanted:
            ctx.meta[key] = True
        return wanted

    return keep


debug_option = click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_remember(DEBUG),
    help="Show the Python traceback of an error.",
)

json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember(JSON),
    help="Print one JSON document on stdout; everything else goes to stderr.",
)

module_option = click.option(
    "-m",
    "--module",
    "modules",
    multiple=True,
    metavar="NAME",
    help="A module, package, .py file or .toml file of streams. May be repeated. Default: modules in ematix.toml.",
)


class ListByDefault(click.Group):
    """A group whose command `list` may be left out: `flow runs --json` is `flow runs list --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args.insert(0, "list")
        return super().parse_args(ctx, args)


def complete_names(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Offer the jobs, workflows and streams of the settings' modules. A Tab is no place for error messages."""
    from ematix_core.cli.loading import load
    from ematix_core.errors import EmatixError

    try:
        project, _patterns = load([], [])
    except EmatixError:
        return []
    return [name for name in (*project.jobs, *project.workflows, *project.streams) if name.startswith(incomplete)]


names_argument = click.argument("names", nargs=-1, metavar="[FILE|MODULE] [NAME]...", shell_complete=complete_names)
"""Modules and jobs, as `loading.load` takes them."""


def output_options(command: _Command) -> _Command:
    """Give a command `--json` and `--debug`."""
    return json_option(debug_option(command))


def project_options(command: _Command) -> _Command:
    """Give a command `--module`, `--json` and `--debug`."""
    return module_option(output_options(command))
