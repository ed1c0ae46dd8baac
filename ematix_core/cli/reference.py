"""Makes the page `docs/reference/cli.md` from the commands: `python -m ematix_core.cli.reference > the page`."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import click

from ematix_core.cli.root import COMMANDS, flow

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRODUCTION = """\
# Commands

This page is made from the commands themselves; `flow COMMAND --help` says the same.

Results go to stdout, everything else (progress, warnings, errors) to stderr. With `--json`, stdout is one JSON
document; when a command fails before it has a result, the document is `{"error": {"type", "what", "where", "hint"}}`.
Colours are off when the output is no terminal or `NO_COLOR` is set.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a job or a check failed, or a system could not be reached |
| 2 | the command line, a setting or a declaration is wrong |
| 130 | stopped by Ctrl-C or SIGTERM; what was not committed is rolled back |
"""


def page() -> str:
    """Return the whole page."""
    root = click.Context(flow, info_name="flow")
    sections = []
    for name, entry in COMMANDS.items():
        command = flow.get_command(root, name)
        if command is None or entry.summary.startswith("The same as"):
            continue
        aliases = [other for other, same in COMMANDS.items() if same[:2] == entry[:2] and other != name]
        context = click.Context(command, parent=root, info_name=name)
        sections += list(_sections(command, context, aliases))
    return INTRODUCTION + "\n" + "\n".join(sections)


def _sections(command: click.Command, context: click.Context, aliases: list[str]) -> Iterator[str]:
    title = context.command_path
    usage = " ".join([title, *command.collect_usage_pieces(context)])
    parts = [f"## {title}\n", _prose(command.help or "")]
    if aliases:
        parts.append(f"Also: {', '.join(f'`flow {alias}`' for alias in aliases)}.\n")
    parts += [f"```text\n{usage}\n```\n", _options(command, context)]
    if command.epilog:
        parts.append(_prose(command.epilog))
    yield "\n".join(part for part in parts if part)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _sections(inner, click.Context(inner, parent=context, info_name=name), [])


def _options(command: click.Command, context: click.Context) -> str:
    records = [record for parameter in command.params if (record := parameter.get_help_record(context)) and record[1]]
    if not records:
        return ""
    rows = [f"| `{names.replace('|', chr(92) + '|')}` | {text} |" for names, text in records]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n"


def _prose(text: str) -> str:
    r"""Return the paragraphs of a help text; one that starts with \b keeps its lines, as an example."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    kept = [f"```text\n{p[2:]}\n```" if p.startswith("\b\n") else p for p in paragraphs]
    return "\n\n".join(kept) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
