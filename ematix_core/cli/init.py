"""`flow init`: a small project that runs as it is."""

from __future__ import annotations

import csv
import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import click

from ematix_core.cli.options import output_options
from ematix_core.cli.output import print_json
from ematix_core.errors import ProjectError

TEMPLATES = {"ematix.toml": "ematix.toml", "pipelines.py": "pipelines.py.txt", "README.md": "README.md"}
DATABASE, ORDERS = Path("data/shop.db"), Path("data/orders/2026-01.csv")
CUSTOMERS, ORDER_COUNT = 200, 1_000
_FIRST = ("Ada", "Ben", "Chloe", "Dara", "Emil", "Femi", "Grace", "Hugo", "Ines", "Jun")
_LAST = ("Adler", "Baker", "Costa", "Dubois", "Eriksen", "Fofana", "Garcia", "Haas")
_CITIES = ("Berlin", "Lagos", "Lisbon", "London", "Oslo", "Paris", None)


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@output_options
def init(folder: Path, *, as_json: bool) -> None:
    """Make a small project that runs as it is.

    Writes ematix.toml, pipelines.py, a README and some data into DIR (default: here), and never over a file that
    exists.
    """
    written = [folder / name for name in [*map(Path, TEMPLATES), DATABASE, ORDERS]]
    present = [str(path) for path in written if path.exists()]
    if present:
        raise ProjectError(f"not overwriting {', '.join(present)}", hint="Choose an empty folder: flow init my_project")
    _write(folder)
    if as_json:
        print_json({"folder": str(folder), "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {path}")
    click.echo("\nNext:")
    for line in next_steps(folder):
        click.echo(f"  {line}")


def next_steps(folder: Path) -> list[str]:
    """Return what to type next; a driver that the project needs and that is missing comes first."""
    steps = [] if find_spec("adbc_driver_sqlite") else ['pip install "ematix[sqlite]"']
    if folder != Path():
        steps.append(f"cd {folder}")
    return [*steps, "flow run          # load everything", "flow plan orders  # see what a run does, and why"]


def _write(folder: Path) -> None:
    for path in (folder, folder / DATABASE.parent, folder / ORDERS.parent):
        path.mkdir(parents=True, exist_ok=True)
    templates = files("ematix_core.cli") / "scaffold"
    for name, template in TEMPLATES.items():
        (folder / name).write_text((templates / template).read_text(encoding="utf-8"), encoding="utf-8")
    dice = random.Random(2026)  # noqa: S311 - the same sample data for everybody
    _write_customers(folder / DATABASE, dice)
    _write_orders(folder / ORDERS, dice)


def _write_customers(path: Path, dice: random.Random) -> None:
    people = [
        (number, f"{dice.choice(_FIRST)} {dice.choice(_LAST)}", dice.choice(_CITIES))
        for number in range(1, CUSTOMERS + 1)
    ]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT)")
        database.executemany("INSERT INTO customers VALUES (?, ?, ?)", people)


def _write_orders(path: Path, dice: random.Random) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["order_id", "customer_id", "ordered_on", "amount"])
        for number in range(1, ORDER_COUNT + 1):
            day = date(2026, 1, 1) + timedelta(days=dice.randrange(31))
            amount = Decimal(dice.randrange(500, 25_000)) / 100
            writer.writerow([number, dice.randint(1, CUSTOMERS), day.isoformat(), f"{amount:.2f}"])
