"""The public face: `ematix_core.__all__` is what public_names.txt says, and each name explains itself."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import ematix_core

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("public_names.txt")


def _undocumented(name: str) -> Iterator[str]:
    """Yield the name and its public methods that have no docstring, inherited ones counted."""
    value = getattr(ematix_core, name)
    if not inspect.getdoc(value):
        yield name
    if inspect.isclass(value) and value.__module__.partition(".")[0] == "ematix_core":
        for attribute in vars(value):
            method = getattr(value, attribute)
            if not attribute.startswith("_") and inspect.isroutine(method) and not inspect.getdoc(method):
                yield f"{name}.{attribute}"


def test_public_names_change_on_purpose() -> None:
    golden = set(GOLDEN.read_text(encoding="utf-8").split())
    names = set(ematix_core.__all__)
    added, removed = sorted(names - golden), sorted(golden - names)
    assert not added + removed, (
        f"added {added}, removed {removed}: if that is meant, edit {GOLDEN.name} and CHANGELOG.md"
    )


def test_every_public_name_resolves() -> None:
    assert not [name for name in ematix_core.__all__ if not hasattr(ematix_core, name)]


def test_every_public_name_and_method_has_a_docstring() -> None:
    assert not [gap for name in ematix_core.__all__ for gap in _undocumented(name)]
