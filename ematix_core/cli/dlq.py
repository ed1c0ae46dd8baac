"""`flow dlq`: the dead letters of streams, and what is done with them."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.loading import load
from ematix_core.cli.options import ListByDefault, project_options
from ematix_core.cli.output import print_json, print_table
from ematix_core.errors import ProjectError, near
from ematix_core.model.duration import parse_duration
from ematix_core.model.loading import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ematix_core.model.project import Project
    from ematix_core.model.stream import Stream

HEADERS = ("letter", "state", "stream", "partition", "offset", "failed", "error")
_NAMED = 3
"""How many letters of those with one error are named."""
_VALUE = re.compile(r"""(?<!\w)'[^']*'|"[^"]*"|\d+(?:\.\d+)?""")
"""What errors of the same kind differ in."""
EXAMPLES = """\
\b
flow dlq list clicks --state parked    those that were put aside
flow dlq show clicks/0/17              everything about one
flow dlq park clicks --all             put all of a stream's aside
flow dlq purge clicks --older-than "7 days" --yes
"""


@click.group("dlq", cls=ListByDefault)
def dlq() -> None:
    """List dead letters of streams; show, replay, park or purge them.

    Without a subcommand: list.
    """


@dlq.command("list", epilog=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[FILE|MODULE] [STREAM]...")
@click.option("--state", type=click.Choice(["new", "parked", "replayed", "all"]), help="Default: new and parked.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many a stream.")
@project_options
def list_dlq(*, names: tuple[str, ...], state: str | None, limit: int, modules: tuple[str, ...], as_json: bool) -> None:
    """List dead letters, the newest first, and how many each stream has."""
    from ematix_core.streaming.dead_letters import STATES, list_letters

    project, wanted = _loaded(names, modules)
    streams = [_stream(project, name) for name in wanted] if wanted else list(project.streams.values())
    states = {None: STATES[:2], "all": STATES}.get(state) or (str(state),)
    found = [list_letters(stream, project, states=states, limit=limit) for stream in streams]
    if as_json:
        print_json({"streams": [vars(one) for one in found]})
        return
    print_table(HEADERS, [_row(letter) for one in found for letter in one.letters])
    for one in found:
        click.echo(f"{one.stream}: {', '.join(f'{number:,} {name}' for name, number in one.counts.items())}")


@dlq.command("show")
@click.argument("names", nargs=-1, required=True, metavar="[FILE|MODULE] LETTER")
@project_options
def show_letter(*, names: tuple[str, ...], modules: tuple[str, ...], as_json: bool) -> None:
    """Show a dead letter: where it came from, what went wrong, and its bytes."""
    from ematix_core.streaming.dead_letters import find_letters

    project, wanted = _loaded(names, modules)
    if len(wanted) != 1:
        raise click.UsageError("Name one letter.")
    stream = _stream_of(project, wanted[0])
    found = [
        {name: _readable(value) for name, value in letter.items()}
        for letter in find_letters(stream, wanted[0], project)
    ]
    if as_json:
        print_json({"letters": found})
        return
    for letter in found:
        for name, value in letter.items():
            click.echo(f"{name}: {'-' if value is None else value}")


def _changing(name: str, summary: str, done: str, function: str) -> Callable[..., None]:
    @dlq.command(name, help=summary)
    @click.argument("names", nargs=-1, required=True, metavar="[FILE|MODULE] STREAM|LETTER...")
    @click.option("--all", "everything", is_flag=True, help="All of the stream that is named.")
    @project_options
    def change(*, names: tuple[str, ...], everything: bool, modules: tuple[str, ...], as_json: bool) -> None:
        from ematix_core.streaming import dead_letters

        project, wanted = _loaded(names, modules)
        if not wanted or (everything and len(wanted) != 1):
            raise click.UsageError("Name letters, or one stream with --all.")
        act = getattr(dead_letters, function)
        if everything:
            number = act(_stream(project, wanted[0]), project)
        else:
            by: dict[str, list[str]] = {}
            for letter in wanted:
                by.setdefault(_stream_of(project, letter).name, []).append(letter)
            number = sum(act(project.streams[of], project, letter_ids=ids) for of, ids in by.items())
        if as_json:
            print_json({"letters": number})
        else:
            click.echo(f"{number:,} {'letter' if number == 1 else 'letters'} {done}")

    return change


park = _changing("park", "Put new letters aside: they are kept, and no longer in the way.", "parked", "park_letters")
unpark = _changing("unpark", "Make parked letters new again.", "new again", "unpark_letters")


@dlq.command("replay")
@click.argument("names", nargs=-1, required=True, metavar="[FILE|MODULE] STREAM|LETTER...")
@click.option("--all", "everything", is_flag=True, help="All new letters of the stream that is named.")
@click.option("--value", type=click.Path(exists=True, dir_okay=False), help="A file with better bytes for one letter.")
@project_options
@click.pass_context
def replay(
    ctx: click.Context, *, names: tuple[str, ...], everything: bool, value: str | None, modules: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Decode, shape and load letters again.

    What is loaded is marked, and never loaded twice; what fails again keeps its letter, with the new error. Exit code 1
    when one did. Letters whose errors differ in values only are counted together; --json has each.
    """
    from ematix_core.streaming.replay import replay_letters

    project, wanted = _loaded(names, modules)
    if not wanted or (everything and len(wanted) != 1) or (value and (everything or len(wanted) != 1)):
        raise click.UsageError("Name letters, or one stream with --all; --value is for one letter.")
    loaded = 0
    failed: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    for stream, ids in _replayed(project, wanted, everything=everything):
        done = replay_letters(stream, project, letter_ids=ids, value=Path(value).read_bytes() if value else None)
        loaded, failed, notes = loaded + done.loaded, failed | dict(done.failed), notes + done.notes
    if as_json:
        print_json({"loaded": loaded, "failed": failed, "notes": notes})
    else:
        click.echo(f"{loaded:,} {'letter' if loaded == 1 else 'letters'} loaded, {len(failed):,} failed again")
        for note in notes:
            click.echo(note)
        for line in _grouped(failed):
            click.secho(line, fg="red")
    ctx.exit(1 if failed else 0)


def _grouped(failed: Mapping[str, str]) -> Iterator[str]:
    """Yield one text for errors that differ in values only: the first of them, and which letters have it."""
    groups: dict[str, list[str]] = {}
    for letter, error in failed.items():
        groups.setdefault(_VALUE.sub("?", error), []).append(letter)
    for letters in sorted(groups.values(), key=len, reverse=True):
        error = failed[letters[0]]
        if len(letters) == 1:
            yield f"{letters[0]}: {error}"
        else:
            more = f" and {len(letters) - _NAMED:,} more" if len(letters) > _NAMED else ""
            yield f"{len(letters):,} letters, {', '.join(letters[:_NAMED])}{more}: {error}"


def _replayed(project: Project, wanted: Sequence[str], *, everything: bool) -> list[tuple[Stream, list[str] | None]]:
    """Return each stream with the letters that are meant; None for all of its new ones."""
    from ematix_core.streaming.dead_letters import find_letters

    if everything:
        return [(_stream(project, wanted[0]), None)]
    by: dict[str, list[str]] = {}
    for letter in wanted:
        stream = _stream_of(project, letter)
        find_letters(stream, letter, project)
        by.setdefault(stream.name, []).append(letter)
    return [(project.streams[name], ids) for name, ids in by.items()]


@dlq.command("purge")
@click.argument("names", nargs=-1, required=True, metavar="[FILE|MODULE] STREAM")
@click.option("--state", type=click.Choice(["new", "parked", "replayed"]), help="Only those. Default: all.")
@click.option("--older-than", metavar="AGE", help="Only those that failed so long ago: '7 days'.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@project_options
def purge(
    *, names: tuple[str, ...], state: str | None, older_than: str | None, yes: bool, modules: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Delete dead letters of a stream. Asks on a terminal; elsewhere it takes --yes."""
    from ematix_core.streaming.dead_letters import STATES, purge_letters

    project, wanted = _loaded(names, modules)
    if len(wanted) != 1:
        raise click.UsageError("Name one stream.")
    stream = _stream(project, wanted[0])
    before = None if older_than is None else datetime.now(UTC) - parse_duration(older_than, "--older-than")
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise click.UsageError("Letters that are deleted are gone: pass --yes.")
        click.confirm(f"Delete {state or 'all'} dead letters of {stream.name}?", abort=True)
    number = purge_letters(stream, project, states=(state,) if state else STATES, before=before)
    if as_json:
        print_json({"letters": number})
    else:
        click.echo(f"{number:,} {'letter' if number == 1 else 'letters'} deleted")


def _loaded(names: Sequence[str], modules: Sequence[str]) -> tuple[Project, tuple[str, ...]]:
    """Load as `load`, which takes a first name with a slash for a path: a letter's id has some, too."""
    if names and "/" in names[0] and not names[0].endswith(FILES) and not Path(names[0]).exists():
        return load((), modules)[0], tuple(names)
    return load(names, modules)


def _stream(project: Project, name: str) -> Stream:
    if name not in project.streams:
        raise ProjectError(f"no stream is named {name!r}", hint=near(name, project.streams))
    return project.streams[name]


def _stream_of(project: Project, letter: str) -> Stream:
    if letter in project.streams:
        raise click.UsageError(f"{letter} is a stream: name its letters, or pass --all for all of it.")
    names = [name for name in project.streams if letter.startswith(f"{name}/")]
    return _stream(project, max(names, key=len) if names else letter.split("/", 1)[0])


def _row(letter: dict[str, Any]) -> tuple[Any, ...]:
    error = (letter["error"] or "").splitlines()
    return (
        letter["letter_id"], letter["state"], letter["stream"], letter["partition_name"], letter["record_offset"],
        letter["failed_at"], error[0] if error else None,
    )  # fmt: skip


def _readable(value: Any) -> Any:  # noqa: ANN401 - any value of a letter
    """Return bytes as what their JSON says, as text, or as hex with their number."""
    if not isinstance(value, bytes):
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"{value.hex()} ({len(value):,} bytes)"
    try:
        return json.loads(text)
    except ValueError:
        return text
