"""The demo: `make demo` opens a shop, loads its first day into a warehouse, lets a day pass and loads the second.

The sources and the warehouse stay in `.data` beside this file, to be looked at; each run of the demo makes them anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from sources import Sources

from ematix_core import Project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core import WorkflowResult

HERE = Path(__file__).resolve().parent
COUNTS = ("inserted", "updated", "unchanged", "deleted", "closed")
_HEADERS = ("job", "mode", "read", *COUNTS, "seconds", "rows/s")

_HISTORY = """
    SELECT address, strftime(valid_from, '%Y-%m-%d %H:%M') AS valid_from,
           coalesce(strftime(valid_to, '%Y-%m-%d %H:%M'), '') AS valid_to, is_current
    FROM analytics.customers WHERE customer_id = 7 ORDER BY customers.valid_from
"""
_GONE = """
    SELECT supplier_id, name, is_current FROM analytics.suppliers
    WHERE supplier_id IN (SELECT supplier_id FROM analytics.suppliers GROUP BY ALL HAVING NOT bool_or(is_current))
    ORDER BY supplier_id
"""
_QUARANTINE = """
    SELECT sku, brand, price, failed_check, count(*) AS loads FROM analytics.products_quarantine
    GROUP BY ALL ORDER BY sku
"""
_REVENUE = "SELECT segment, orders, revenue FROM analytics.revenue WHERE year = 1998 ORDER BY segment"


def main() -> None:
    """Run the demo in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="TPC-H scale factor (default: %(default)s)")
    scale = parser.parse_args().scale
    os.chdir(HERE)
    folder = Path(os.environ.get("SHOP_DATA", ".data"))
    _clear(folder)
    started = time.monotonic()
    sources = Sources(folder)
    print(f"Opening the shop: TPC-H data of scale {scale:g} as a SQLite database, Parquet and CSV files ...")
    sources.open_shop(scale)
    project = Project.load("pipelines.py")
    nightly = project.workflow("nightly")
    # All jobs write to one DuckDB file, which admits one writer: one at a time, so that no job's seconds are waiting.
    _show("The first day: everything is new", nightly.run(project, parallel=1))
    sources.next_day()
    print("\nA day passes: customers move, suppliers leave, prices rise, new files come, and one that is late.")
    _show("The second day: only what changed is written", nightly.run(project, parallel=1))
    _show("The second day once more: nothing is loaded twice", nightly.run(project, parallel=1))
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as warehouse:
        _query(warehouse, "Customer 7 moved in 1998; that she had moved in 1995, too, was noted only now:", _HISTORY)
        _query(warehouse, "Suppliers that left the snapshot; their last version is closed:", _GONE)
        _query(
            warehouse,
            "Products set aside by a check, the others were loaded (4 and 5 were mended overnight):",
            _QUARANTINE,
        )
        _query(warehouse, "Revenue of 1998, computed inside the warehouse:", _REVENUE)
    print(f"\nDone in {time.monotonic() - started:.0f} s. Everything is in {_short(folder.absolute())}.")
    _next_steps(folder)


def _clear(folder: Path) -> None:
    """Make the folder, or remove what an earlier run left in it; in a folder that SHOP_DATA names, nothing else."""
    mark = folder / ".made-by-demo"
    if "SHOP_DATA" in os.environ and folder.exists() and any(folder.iterdir()) and not mark.exists():
        sys.exit(f"SHOP_DATA={folder} holds files that the demo did not make: name a new folder.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def _show(title: str, result: WorkflowResult) -> None:
    """Print one row a job, one more for each of several targets, and leave when a job failed."""
    rows: list[Sequence[str]] = []
    for outcome in result.outcomes:
        if outcome.result is None:
            print(f"{outcome.job} {outcome.status}: {outcome.error}", file=sys.stderr)
            continue
        run = outcome.result
        for number, target in enumerate(run.targets):
            name = outcome.job if len(run.targets) == 1 else f"{outcome.job} ({number + 1} of {len(run.targets)})"
            counts = [f"{getattr(target, count):,}" for count in COUNTS]
            speed = [f"{run.seconds:.2f}", f"{run.rows_per_second:,.0f}"] if number == 0 else ["", ""]
            rows.append([name, target.mode, f"{target.rows_read:,}", *counts, *speed])
    print(f"\n{title} ({result.seconds:.1f} s)")
    _table(_HEADERS, rows, left=2)
    if result.status != "succeeded":
        sys.exit(1)


def _query(warehouse: duckdb.DuckDBPyConnection, title: str, sql: str) -> None:
    print(f"\n{title}")
    found = warehouse.execute(sql)
    headers = [column[0] for column in found.description or ()]
    _table(headers, [[str(value) for value in row] for row in found.fetchall()], left=len(headers))


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> None:
    """Print an aligned table; the first `left` columns are text."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    for row in [headers, *rows]:
        text = [value.ljust(width) for value, width in zip(row[:left], widths, strict=False)]
        numbers = [value.rjust(width) for value, width in zip(row[left:], widths[left:], strict=True)]
        print("  " + "  ".join([*text, *numbers]).rstrip())


def _short(path: Path) -> str:
    """Return the path relative to where the user stands, if it is below."""
    start = Path(os.environ.get("PWD", "/"))
    return str(path.relative_to(start)) if path.is_relative_to(start) else str(path)


def _next_steps(folder: Path) -> None:
    flow = "flow" if shutil.which("flow") else os.path.relpath(Path(sys.executable).parent / "flow")
    print(f"""
Look around:
  cd {_short(HERE)}{f" && export SHOP_DATA={folder}" if "SHOP_DATA" in os.environ else ""}
  {flow} runs                   what ran, with which counts
  {flow} plan customers         every statement of a run, and why
  {flow} run +revenue           a job and all that it depends on
  {flow} connections check      what the pipelines are connected to
The declarations are in pipelines.py; docs/tutorial.md takes them apart, step by step.""")


if __name__ == "__main__":
    main()
