"""What of a window its state depends on: with other values of these, what is kept would mean something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ematix_core.model.window import Window


def declared(window: Window) -> dict[str, Any]:
    """Return it as plain data for JSON. Lateness and the like may change: they hold from then on."""
    every = window.every if window.kind == "hopping" else 0
    lengths = {"size": window.size, "every": every, "max_length": window.longest}
    return {
        "window": window.kind, "on": window.on, "by": list(window.by), "aggregate": dict(window.aggregate),
        **{name: f"{length / 1_000_000:g} s" for name, length in lengths.items() if length},
    }  # fmt: skip
