"""`.servers/urls.json`: how tests reach the servers, as `make servers` left them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from tools.servers.system import CHECKOUT

FILE = CHECKOUT / ".servers" / "urls.json"


@dataclass(frozen=True)
class Entry:
    """A server: the administrator's URL, or None with the reason why there is none; other users' URLs by role."""

    name: str
    url: str | None
    accounts: dict[str, str]
    reason: str = ""


def variable(server: str) -> str:
    """Return the name of the environment variable that holds the URL of a server that runs anyway."""
    return f"EMATIX_TEST_{server.upper()}_URL"


def given(server: str) -> str | None:
    """Return the URL that the environment gives for this server."""
    return os.environ.get(variable(server)) or None


def read() -> dict[str, str]:
    """Return everything: `<server>` is an administrator's URL, `<server>.<role>` another user's."""
    found: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return found


def write(entries: list[Entry], facts: dict[str, str]) -> None:
    """Replace what is known of these servers, and keep what is known of others."""
    names = {entry.name for entry in entries}
    known = {key: value for key, value in read().items() if key.partition(".")[0] not in names} | facts
    for entry in entries:
        if entry.url:
            known |= {entry.name: entry.url}
            known |= {f"{entry.name}.{role}": url for role, url in entry.accounts.items()}
        elif entry.reason:
            known |= {f"{entry.name}.unavailable": entry.reason}
    FILE.parent.mkdir(exist_ok=True)
    partial = FILE.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(FILE)
