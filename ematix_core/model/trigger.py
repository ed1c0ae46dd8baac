"""Triggers: which successes a workflow waits for, as a small algebra of frozen pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ematix_core.errors import DeclarationError


class Named(Protocol):
    """Anything with a name: a Job or a Workflow."""

    @property
    def name(self) -> str:
        """The name by which triggers refer to it."""
        ...


@dataclass(frozen=True)
class Event:
    """The success of the workflow or job of that name."""

    name: str

    def names(self) -> tuple[str, ...]:
        """Return the one name."""
        return (self.name,)

    def __str__(self) -> str:
        """Return the name."""
        return self.name


@dataclass(frozen=True)
class AllOf:
    """Holds when every part holds."""

    parts: tuple[Trigger, ...]

    def names(self) -> tuple[str, ...]:
        """Return every name that occurs, once, in order."""
        return _names(self.parts)

    def __str__(self) -> str:
        """Return `a, b`, with nested pieces in parentheses."""
        return ", ".join(map(_nested, self.parts))


@dataclass(frozen=True)
class AnyOf:
    """Holds when at least one part holds."""

    parts: tuple[Trigger, ...]

    def names(self) -> tuple[str, ...]:
        """Return every name that occurs, once, in order."""
        return _names(self.parts)

    def __str__(self) -> str:
        """Return `a or b`, with nested pieces in parentheses."""
        return " or ".join(map(_nested, self.parts))


Trigger = Event | AllOf | AnyOf
TriggerLike = str | Named | Trigger | Sequence["str | Named | Trigger"]


def all_of(*parts: str | Named | Trigger) -> Trigger:
    """Trigger: every part has succeeded. Parts are names, workflows, jobs, or nested `all_of` / `any_of`."""
    return _combine(AllOf, "all_of", parts)


def any_of(*parts: str | Named | Trigger) -> Trigger:
    """Trigger: at least one part has succeeded. Parts are names, workflows, jobs, or nested `all_of` / `any_of`."""
    return _combine(AnyOf, "any_of", parts)


def parse_trigger(value: TriggerLike) -> Trigger:
    """Return the trigger for a name, a workflow or job, a list of them (all must succeed), or a trigger.

    Raises DeclarationError for anything else, for nothing at all, and for a part that is given twice.
    """
    if isinstance(value, Event | AllOf | AnyOf):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _combine(AllOf, "triggered_by", tuple(value))
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str) or not name:
        raise DeclarationError(
            f"{value!r} cannot trigger anything",
            hint="Give the name of a workflow or job, the workflow or job itself, all_of(...) or any_of(...).",
        )
    return Event(name)


def _combine(kind: type[AllOf | AnyOf], option: str, values: tuple[str | Named | Trigger, ...]) -> Trigger:
    parts = tuple(parse_trigger(value) for value in values)
    if not parts:
        raise DeclarationError(f"{option} names nothing", hint="Give at least one workflow or job.")
    for number, part in enumerate(parts):
        if part in parts[:number]:
            raise DeclarationError(f"{option} names {str(part)!r} twice")
    return parts[0] if len(parts) == 1 else kind(parts)


def _names(parts: tuple[Trigger, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.names()))


def _nested(part: Trigger) -> str:
    return str(part) if isinstance(part, Event) else f"({part})"
