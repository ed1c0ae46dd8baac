"""What a TOML file may hold: tables with known keys, and values of the right kind. Errors name file and table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConfigError, near

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def table(content: Mapping[str, Any], name: str, where: str, known: Collection[str] | None = None) -> dict[str, Any]:
    """Return the table of that name; empty when there is none. With `known`, it may have no other keys."""
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{name} must be a table", where=where, hint=f"Write [{name}].")
    if known is not None:
        check_keys(found, known, "key", f"{where}, [{name}]")
    return found


def check_keys(found: Mapping[str, Any], known: Collection[str], what: str, where: str) -> None:
    """Raise ConfigError for the first key that is not known."""
    for key in found:
        if key not in known:
            raise ConfigError(f"unknown {what} {key!r}", where=where, hint=near(key, known))


def text(value: object, key: str, where: str, example: str) -> str:
    """Return the value if it is text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key} must be text, such as {example!r}", where=where)
    return value


def texts(value: object, key: str, where: str, example: str) -> tuple[str, ...]:
    """Return the texts of a list; a single text stands for a list of one."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(one, str) and one for one in values):
        raise ConfigError(f'{key} must be a list of texts, such as ["{example}"]', where=where)
    return tuple(values)


def whole(value: object, key: str, where: str, example: int) -> int:
    """Return the value if it is a whole number above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{key} must be a whole number above 0, such as {example}", where=where)
    return value


def number(value: object, key: str, where: str, example: float) -> float:
    """Return the value if it is a finite number above 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigError(f"{key} must be a number above 0, such as {example:g}", where=where)
    return float(value)
