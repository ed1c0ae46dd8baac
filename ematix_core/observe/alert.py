"""One alert, as every alerter gets it, and what an alerter is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ematix_core.config.alerting import AlertKind

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

__all__ = ["Alert", "AlertKind", "Alerter", "wanted"]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that people should know of a unit (a workflow, or a job by itself). `at` is in UTC."""

    kind: AlertKind
    unit: str
    at: datetime
    title: str
    """One line."""
    text: str = ""
    run_id: str = ""
    job: str = ""
    """The job that failed, when the unit has several."""
    ends: tuple[AlertKind, ...] = ()
    """For a recovery: which alerts of the unit are over."""
    to: tuple[str, ...] = ()
    """The alerters that are told, by name; empty for all."""
    tags: tuple[str, ...] = ()
    owner: str = ""

    @property
    def key(self) -> str:
        """What it is about, as a text: alerts that say the same again have the same key."""
        return key_of(self.unit, self.kind)

    def facts(self) -> dict[str, str]:
        """Return what is known besides title and text, for people."""
        found = {
            "workflow or job": self.unit, "failed job": self.job, "run": self.run_id, "owner": self.owner,
            "tags": ", ".join(self.tags), "at": f"{self.at:%Y-%m-%d %H:%M:%S} UTC",
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "kind": str(self.kind), "unit": self.unit, "job": self.job, "run_id": self.run_id,
            "at": self.at.isoformat(), "title": self.title, "text": self.text, "key": self.key,
            "ends": [key_of(self.unit, kind) for kind in self.ends], "tags": list(self.tags), "owner": self.owner,
        }  # fmt: skip


class Alerter(Protocol):
    """Tells somebody. Called from one thread at a time."""

    @property
    def name(self) -> str:
        """The name by which units choose it."""
        ...

    @property
    def on(self) -> Collection[AlertKind]:
        """The kinds of alerts that it wants."""
        ...

    def send(self, alert: Alert) -> None:
        """Deliver the alert. May block for seconds.

        Raises AlertError when it cannot; ReceiverError when another try may help. May be called again with the same
        alert, so a receiver that can should know it by its key.
        """
        ...


def key_of(unit: str, kind: AlertKind) -> str:
    """Return the key of a unit's alerts of that kind."""
    return f"ematix/{unit}/{kind}"


def wanted(alert: Alert, on: Collection[AlertKind]) -> bool:
    """Say whether who wants these kinds wants the alert: of recoveries, those from what it was told of."""
    others = set(on) - {AlertKind.RECOVERY}
    if alert.kind is AlertKind.RECOVERY and others and alert.ends and not others.intersection(alert.ends):
        return False
    return alert.kind in on
