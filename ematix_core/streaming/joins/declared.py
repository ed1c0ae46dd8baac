"""What of a join its state depends on: with other values of these, what is kept would mean something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ematix_core.model.join import Join


def declared(join: Join) -> dict[str, Any]:
    """Return it as plain data for JSON. Lateness and the like may change: they hold from then on."""
    return {
        "join": join.how, "sides": [side.name for side in join.sides], "on": [list(pair) for pair in join.on],
        "on_time": [side.on_time for side in join.sides],
        "before": f"{join.before / 1_000_000:g} s", "after": f"{join.after / 1_000_000:g} s",
    }  # fmt: skip
