"""The table of docs/benchmarks.md from the JSON of the last run: `python -m benchmarks.scheduler.tables`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.places import RESULTS
from benchmarks.scheduler.figures import number

_HEAD = (
    "| figure | wanted | measured | rounds | Airflow | ours is | verdict |\n| --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Print it as Markdown."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "scheduler.json"
    print(_HEAD)
    for figure in json.loads(path.read_text(encoding="utf-8"))["figures"]:
        print(_row(figure))


def _row(figure: dict[str, Any]) -> str:
    unit, wanted = figure["unit"], figure["wanted"]
    sign = "≥" if figure["more_is_better"] else "≤"
    rounds = figure["rounds"]
    cells = [
        figure["name"], f"{sign} {wanted:g}" if wanted is not None else "", f"{number(figure['measured'])} {unit}",
        f"{number(min(rounds))} to {number(max(rounds))}" if len(rounds) > 1 else "",
        f"{number(figure['airflow'])} {unit}" if "airflow" in figure else "",
        f"{number(figure['ours_is'])} ×" if "ours_is" in figure else "",  # noqa: RUF001 - as in the tables of the page
        f"**{figure['verdict']}**" if wanted is not None else "",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
