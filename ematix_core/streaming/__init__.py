"""Consumes streams: poll a micro-batch, decode, shape by SQL, load it with the positions behind it, go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ematix_core.streaming.planning import plan_stream
    from ematix_core.streaming.supervision import consume_stream

__all__ = ["consume_stream", "plan_stream"]

_HOMES = {
    "consume_stream": "ematix_core.streaming.supervision",
    "plan_stream": "ematix_core.streaming.planning",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - functions of several signatures
    """Import a function when it is first used."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(_HOMES[name]), name)
