"""`flow alerts`: who is told of failures and the like, and whether that works."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.options import ListByDefault, output_options
from ematix_core.cli.output import print_json, print_table
from ematix_core.config.settings import FILE_NAME, Settings
from ematix_core.errors import ConfigError, near

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.config.alerting import AlerterSettings
    from ematix_core.observe.alert import Alert


@click.group("alerts", cls=ListByDefault)
def alerts() -> None:
    """List who is alerted; send a test alert.

    Alerters stand in ematix.toml, as [alerts.NAME]. Without a subcommand: list.
    """


@alerts.command("list")
@output_options
def list_alerters(*, as_json: bool) -> None:
    """List the alerters and what they are told, secrets masked."""
    found = [_data(alerter) for alerter in Settings.load().alerts.values()]
    if as_json:
        print_json({"alerters": found})
    elif found:
        rows = [(one["alerter"], one["kind"], ", ".join(one["on"]), _line(one["settings"])) for one in found]
        print_table(("alerter", "kind", "on", "settings"), rows)
    else:
        click.echo(f"no alerter is declared: write [alerts.NAME] into {FILE_NAME}")


@alerts.command("test")
@click.argument("name")
@output_options
def test(name: str, *, as_json: bool) -> None:
    """Send a failure and its recovery by the alerter NAME, so far as it wants them.

    Exit code 1 when the receiver refuses or does not answer.
    """
    from ematix_core.config.redact import Redactor
    from ematix_core.observe.alert import wanted
    from ematix_core.observe.alerts import declared

    settings = Settings.load()
    if name not in settings.alerts:
        raise ConfigError(f"no alerter is named {name!r}", hint=near(name, settings.alerts))
    alerter = next(one for one in declared(settings, Redactor()) if one.name == name)
    sent: list[dict[str, Any]] = []
    for alert in _samples(alerter.on):
        if wanted(alert, alerter.on):
            begun = time.monotonic()
            with redirect_stdout(sys.stderr) if as_json else nullcontext():  # stdout is for the one document
                alerter.send(alert)
            sent.append({"kind": str(alert.kind), "seconds": round(time.monotonic() - begun, 3)})
    if as_json:
        print_json({"alerter": name, "sent": sent})
    else:
        for one in sent:
            click.echo(f"{name}: {one['kind']} sent in {one['seconds']:.2f} s")


def _samples(on: tuple[str, ...]) -> Iterator[Alert]:
    """Yield an alert of a kind that is wanted, a failure if it is, and the recovery from it."""
    from datetime import UTC, datetime

    from ematix_core.observe.alert import Alert, AlertKind

    kind = next((one for one in AlertKind if one in on and one is not AlertKind.RECOVERY), AlertKind.FAILURE)
    text, at = "Sent by flow alerts test. Nothing has happened.", datetime.now(UTC)
    yield Alert(kind=kind, unit="test", at=at, title="this is a test", text=text)
    yield Alert(kind=AlertKind.RECOVERY, unit="test", at=at, title="the test is over", text=text, ends=(kind,))


def _data(alerter: AlerterSettings) -> dict[str, Any]:
    return {
        "alerter": alerter.name, "kind": alerter.kind, "on": [str(kind) for kind in alerter.on],
        "settings": alerter.shown(),
    }  # fmt: skip


def _line(settings: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "-"
