"""`flow consume`: consumes streams until it is stopped."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.loading import load
from ematix_core.cli.moments import parse_moment
from ematix_core.cli.options import names_argument, project_options
from ematix_core.cli.output import print_json
from ematix_core.errors import EmatixError, ProjectError, near
from ematix_core.interruptible import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from ematix_core.backends.stream_protocols import Start
    from ematix_core.model.project import Project
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.control import Control
    from ematix_core.streaming.result import StreamResult

EXAMPLES = """\
\b
flow consume clicks                     until Ctrl-C or SIGTERM
flow consume clicks --until-idle        load all there is, and end
flow consume clicks --from "2 hours ago"   begin there, whatever is loaded already
flow consume clicks --to 2026-01-31T06:00   what came before six, and no more
flow consume clicks --parallel 4        four processes share the partitions
flow consume clicks.toml                the streams of a TOML file
"""


@click.command("consume", epilog=EXAMPLES)
@names_argument
@click.option("--until-idle", is_flag=True, help="End when all that there is now has been loaded.")
@click.option("--once", is_flag=True, help="End after one micro-batch.")
@click.option(
    "--from", "start", metavar="WHERE",
    help='Begin there, not where the last consumer ended: "earliest", "latest", a time, or positions as JSON.',
)  # fmt: skip
@click.option(
    "--to", "end", metavar="WHERE",
    help="End there, and load nothing behind it: latest (where it ends now), a time, or positions as JSON.",
)  # fmt: skip
@click.option("--parallel", type=click.IntRange(1, 64), default=1, help="So many processes share the partitions.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT",
    help="Serve metrics for Prometheus there; with --parallel, each process at the next port.",
)  # fmt: skip
@click.option("--slot", type=int, default=0, hidden=True, help="Which of the processes this is.")
@click.option("--parent", type=int, hidden=True, help="The process that started them, without which they end.")
@project_options
@click.pass_context
def consume(
    ctx: click.Context, *, names: tuple[str, ...], until_idle: bool, once: bool, start: str | None, end: str | None,
    parallel: int, metrics_port: int | None, slot: int, parent: int | None, modules: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Consume streams until they are stopped.

    Ctrl-C or SIGTERM: what was polled is loaded, then it ends; once more: it stops at once and rolls back. A failure
    that may pass is no end: the consumer begins again. `flow pause NAME` lets it wait, `flow streams` shows how it
    fares. Without NAME: all streams of the project.
    """
    project, streams = chosen(names, modules)
    from ematix_core.cli.processes import parent_watched, run_processes

    if parallel > 1:
        from ematix_core.engine.environment import Environment
        from ematix_core.streaming.opening import require_shared

        for stream in streams:
            require_shared(Environment(project), stream)
        ctx.exit(run_processes(sys.argv[1:], parallel))
    from ematix_core.streaming.control import Control

    stop = Control()
    options = {
        "until_idle": until_idle, "once": once, "start": _place(start, "--from"), "end": _place(end, "--to"),
        "slot": slot,
    }  # fmt: skip
    with _signals(stop), parent_watched(parent, stop.stop):
        results = _consume(streams, project, stop, metrics_port, options)
    if as_json:
        print_json({"streams": [one.to_dict() for one in results]})
    else:
        for one in results:
            click.echo(str(one))


def chosen(names: Sequence[str], modules: Sequence[str]) -> tuple[Project, list[Stream]]:
    """Return the project and the streams that are named; without names all of them."""
    project, wanted = load(names, modules)
    if not project.streams:
        raise ProjectError("the project declares no stream", hint="Write ematix.stream(...): docs/how-to/streams.md")
    for name in wanted:
        if name in project.jobs or name in project.workflows:
            raise ProjectError(f"{name!r} is no stream, and is run by: flow run {name}")
        if name not in project.streams:
            raise ProjectError(f"no stream is named {name!r}", hint=near(name, project.streams))
    return project, [project.streams[name] for name in wanted or project.streams]


def _consume(
    streams: Sequence[Stream], project: Project, stop: Control, metrics: int | None, options: dict[str, Any]
) -> list[StreamResult]:
    """Consume each stream in a thread. `options` are those of `consume_stream`."""
    from ematix_core.cli.consuming import watching_streams
    from ematix_core.config.redact import Redactor
    from ematix_core.config.settings import Settings
    from ematix_core.store import open_store
    from ematix_core.streaming import consume_stream
    from ematix_core.streaming.statistics import Statistics

    redactor = Redactor()
    with ExitStack() as stack:
        store = stack.enter_context(open_store(Settings.load().store, redactor=redactor))
        slot = options["slot"]
        kept = {one.name: Statistics(store, one, slot=slot) for one in streams}
        stack.enter_context(watching_streams(kept))
        if metrics is not None:
            from ematix_core.observe.metrics import serving

            told = lambda: {name: statistics.meters() for name, statistics in kept.items()}  # noqa: E731 - for one call
            port = stack.enter_context(serving(metrics + slot if metrics else 0, told))
            click.echo(f"metrics: http://127.0.0.1:{port}/metrics", err=True)

        def work(stream: Stream) -> StreamResult:
            try:
                with kept[stream.name] as statistics:
                    return consume_stream(
                        stream, project, redactor=redactor, control=stop.of(lambda: statistics.paused),
                        observer=statistics, **options,
                    )  # fmt: skip
            except EmatixError as error:
                if len(streams) > 1:  # now: the others go on, perhaps for months
                    click.secho(f"{error}\n{stream.name} has ended; the other streams go on", fg="red", err=True)
                raise

        with ThreadPoolExecutor(len(streams), thread_name_prefix="consume") as pool:
            futures = [pool.submit(work, stream) for stream in streams]
            try:
                wait_for(futures)
            except KeyboardInterrupt:
                stop.cancel()
                raise
        return [one.result() for one in futures]


def _place(text: str | None, option: str) -> Start | None:
    if text is None or text in {"earliest", "latest"}:
        return text  # type: ignore[return-value]  # one of the two words
    if text.lstrip().startswith("{"):
        try:
            positions: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise click.BadParameter(f"these are no positions: {error}", param_hint=option) from None
        return positions
    try:
        return parse_moment(text)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message} Or earliest, latest.", param_hint=option) from None


@contextmanager
def _signals(stop: Control) -> Iterator[None]:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        if stop.stopping:
            raise KeyboardInterrupt
        stop.stop()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
