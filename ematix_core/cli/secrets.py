"""`flow secrets test`: whether every ${...} reference can be resolved here."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.exit_codes import FAILED
from ematix_core.cli.loading import known_connections, load_if_any
from ematix_core.cli.options import project_options
from ematix_core.cli.output import print_json, print_table, styled_status
from ematix_core.config.references import Reference, references
from ematix_core.config.secrets import resolve
from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.config.connections import FoundConnection


@click.group("secrets")
def secrets() -> None:
    """Test that ${...} references can be resolved."""


@secrets.command("test")
@click.argument("names", nargs=-1, metavar="[CONNECTION]...")
@project_options
def test(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """Resolve every ${...} reference of the connections. Prints no secret; exit code 1 when one fails."""
    results = list(resolve_all(known_connections(names, load_if_any(modules))))
    if as_json:
        print_json({"references": [asdict(one) for one in results]})
    elif not results:
        click.echo("no connection holds a ${...} reference")
    else:
        rows = [(r.connection, r.setting, r.reference, styled_status(r.status), r.detail) for r in results]
        print_table(("connection", "setting", "reference", "status", "detail"), rows)
    if any(one.status == "failed" for one in results):
        click.get_current_context().exit(FAILED)


@dataclass(frozen=True)
class Resolved:
    """What became of one reference; never its value. `status`: `ok`, `default` or `failed`."""

    connection: str
    setting: str
    reference: str
    status: str
    detail: str = ""


def resolve_all(found: Sequence[FoundConnection]) -> Iterator[Resolved]:
    """Resolve the references of the connections, one by one."""
    for one in found:
        for setting, text in _texts(one.connection.settings()):
            try:
                listed = references(text)
            except EmatixError as error:
                yield Resolved(one.connection.name, setting, "-", "failed", _detail(error))
                continue
            for reference in listed:
                yield Resolved(one.connection.name, setting, str(reference), *_outcome(reference))


def _outcome(reference: Reference) -> tuple[str, str]:
    if reference.default is not None and not os.environ.get(reference.body):
        return "default", f"{reference.body} is not set; its default holds"
    try:
        resolve(str(reference))
    except EmatixError as error:
        return "failed", _detail(error)
    return "ok", ""


def _detail(error: EmatixError) -> str:
    return f"{error.what}. {error.hint}"


def _texts(settings: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - settings of any shape
    """Yield each text below the settings with the name of the setting that holds it."""
    if isinstance(settings, str):
        yield name, settings
    elif isinstance(settings, dict):
        for key, value in settings.items():
            yield from _texts(value, str(key))
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _texts(value, name)
