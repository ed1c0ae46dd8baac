"""The command `flow` itself: a lazy table of its commands, and what happens when one of them fails."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NamedTuple

import click

from ematix_core.cli.options import debug_option


class Entry(NamedTuple):
    """Where a command lives (its module below `cli`, and the name in it) and its line in `flow --help`.

    The line stands here so that the help needs none of the modules; a test holds it equal to the command's own.
    """

    module: str
    name: str
    summary: str


COMMANDS = {
    "init": Entry("init", "init", "Make a small project that runs as it is."),
    "list": Entry("list", "list_", "List jobs, workflows, streams and connections."),
    "plan": Entry("plan", "plan", "Show what a run would do, and why, without doing it."),
    "preview": Entry("plan", "plan", "The same as plan."),
    "dry-run": Entry("plan", "plan", "The same as plan."),
    "run": Entry("run", "run", "Run jobs and workflows."),
    "scheduler": Entry("scheduler", "scheduler", "Run workflows and jobs when they are due."),
    "run-due": Entry("run_due", "run_due", "Run what is due now, and what that sets off, then leave."),
    "explain": Entry("explain", "explain", "Say why a workflow or a job runs, or does not run."),
    "backfill": Entry("backfill", "backfill", "Run a workflow or a job once for each slice of the past."),
    "maintain": Entry("maintain", "maintain", "Carry out the maintenance that jobs declare for their tables."),
    "consume": Entry("consume", "consume", "Consume streams until they are stopped."),
    "streams": Entry("streams", "streams", "List the consumers of streams; show one stream."),
    "dlq": Entry("dlq", "dlq", "List dead letters of streams; show, replay, park or purge them."),
    "runs": Entry("runs", "runs", "List past runs; show, watch, cancel or repeat one of them."),
    "logs": Entry("logs", "logs", "Print the log of a run."),
    "pause": Entry(
        "pause", "pause", "Let workflows and jobs fire no more, and consumers of streams wait, until they are resumed."
    ),
    "resume": Entry("pause", "resume", "Let paused workflows and jobs fire again."),
    "announce": Entry("announce", "announce", "Tell that something outside has succeeded."),
    "alerts": Entry("alerts", "alerts", "List who is alerted; send a test alert."),
    "connections": Entry("connections", "connections", "List connections; check that they can be reached."),
    "secrets": Entry("secrets", "secrets", "Test that ${...} references can be resolved."),
    "validate": Entry("validate", "validate", "Check the declarations without connecting to anything."),
    "compile": Entry("compile", "compile_", "Write what a project declares into a file that orchestrators read."),
    "doctor": Entry("doctor", "doctor", "Look at the installation, the settings and the store."),
    "completion": Entry("completion", "completion", "Print the completion script for a shell."),
}

HIDDEN = {"perform-task": Entry("perform", "perform_task", "Carry out one task of a scheduler, given as JSON.")}
"""Commands for programs, which no list shows."""


class Root(click.Group):
    """Imports a command when it is asked for, and turns its errors into a message and an exit code."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name) or HIDDEN.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(f"ematix_core.cli.{entry.module}"), entry.name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from ematix_core.errors import near

            ctx.fail(f"There is no command {args[0]!r}. {near(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click declares it
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost handler; it reports them all
            from ematix_core.cli.failure import report

            ctx.exit(report(error, ctx))


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"ematix {version('ematix')}")
        ctx.exit()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Exit codes: 0 done · 1 a job or a check failed · 2 wrong command line or declaration · 130 stopped.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
@debug_option
@click.pass_context
def flow(ctx: click.Context) -> None:
    """Run pipelines that are declared in Python.

    New here? Type `flow init shop`.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
