"""What Dagster calls things of ours: jobs, steps, groups, checks, owners, tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dagster import AssetKey

from ematix_core.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable

RESOURCE = "ematix"
SENSOR = "ematix_triggers"
STREAM_SENSOR = "ematix_streams"
WORKFLOW_RUN, CARRIER, CAUSE = "ematix/workflow_run_id", "ematix/carrier", "ematix/cause"
"""Tags of a run that the sensor has asked for."""
STREAM = "ematix/stream"
"""Tag of the runs of a stream."""

_FOREIGN = re.compile(r"[^A-Za-z0-9_]+")
_FOREIGN_IN_KEYS = re.compile(r"[^A-Za-z0-9_-]+")
_FOREIGN_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_TAG_LETTERS = 63
_CARRIER = "dagster:"


def definition_names(names: Iterable[str], kind: str) -> dict[str, str]:
    """Return Dagster's name for each: letters, digits and `_` are kept. Raises ProjectError for two that are one."""
    made: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        plain = plain_name(name)
        if plain in owners:
            raise ProjectError(
                f"{owners[plain]!r} and {name!r} would be the same {kind} in Dagster, {plain!r}",
                hint="Letters, digits and '_' are kept; rename one of them.",
            )
        made[name], owners[plain] = plain, name
    return made


def plain_name(name: str) -> str:
    """Return the name with `_` for all that Dagster allows in no name."""
    return _FOREIGN.sub("_", name)


def table_key(connection: str, table: str) -> AssetKey:
    """Return the default key of a table: its connection, then the parts of its name, with `_` for what may not be."""
    return AssetKey([_FOREIGN_IN_KEYS.sub("_", part) for part in (connection, *table.split(".")) if part])


def owners_of(owner: str) -> list[str]:
    """Return an owner as Dagster knows them: an e-mail address, or a team."""
    if not owner:
        return []
    return [owner if _EMAIL.fullmatch(owner) else f"team:{plain_name(owner.removeprefix('team:'))}"]


def tags_of(tags: Iterable[str]) -> dict[str, str]:
    """Return tags as Dagster knows them: `layer=gold` has the value `gold`, `nightly` has none."""
    pairs = (tag.replace(":", "=", 1).partition("=") for tag in tags)
    return {_tag(name): _tag(value) for name, _, value in pairs if name}


def pool_name(pool: str) -> str | None:
    """Return a pool as Dagster knows it, which has no spaces in it; None for none."""
    return "_".join(pool.split()) or None


def carrier_of(dagster_run_id: str) -> str:
    """Return what a run of ours is carried by that somebody has started in Dagster by hand."""
    return f"{_CARRIER}{dagster_run_id}"


def sensor_carrier(sensor: str, name: str) -> str:
    """Return what a run of ours is carried by that a sensor has asked for, under a name of its own."""
    return f"{_CARRIER}{sensor}/{name}"


def is_carrier(carrier: str) -> bool:
    """Say whether a Dagster carries the run, this one or another."""
    return carrier.startswith(_CARRIER)


def run_id_of(carrier: str) -> str | None:
    """Return the id of the Dagster run that somebody has started by hand; None for what a sensor has asked for."""
    name = carrier.removeprefix(_CARRIER)
    return None if name == carrier or "/" in name else name


def _tag(text: str) -> str:
    return _FOREIGN_IN_TAGS.sub("_", text)[:_TAG_LETTERS].strip("_.-") if text else ""
