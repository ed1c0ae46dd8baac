"""What happens meanwhile: something that is done right before a certain call of the code under test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def before(monkeypatch: pytest.MonkeyPatch, where: object, name: str, act: Callable[[], object]) -> None:
    """Do it once, right before the next call of the function, as another process might."""
    real = getattr(where, name)

    def first(*given: object, **named: object) -> object:
        monkeypatch.setattr(where, name, real)
        act()
        return real(*given, **named)

    monkeypatch.setattr(where, name, first)
