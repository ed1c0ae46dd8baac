"""scd2 against `dbt snapshot` with hard_deletes=invalidate: where both define a thing, the versions are the same.

dbt lives in an environment of its own, made once in `.cache/` of the checkout. What the two define differently is
listed in docs/explanation/scd2-and-dbt-snapshot.md, and the histories here stay clear of it: one row a key a day, and
`changed` moves whenever a value does. dbt dates by the clock, so its run times are mapped to days.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import venv
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from filelock import FileLock

from ematix_core.model.mode import scd2
from ematix_core.testing.reach import Reached
from tests.property.bench import Bench, connection

if TYPE_CHECKING:
    from ematix_core.model.mode import Scd2

HERE = Path(__file__).parent / "dbt"
CACHE = Path(__file__).parents[2] / ".cache"
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, KEYS = 6, 40
_FIELDS: list[pa.Field[Any]] = [
    pa.field("k", pa.int64()),
    pa.field("a", pa.int64()),
    pa.field("b", pa.string()),
    pa.field("changed", pa.timestamp("us", "UTC")),
]
Day = list[tuple[int, int | None, str | None, datetime]]
Version = tuple[int, int | None, str | None, str, str | None]


def _dbt() -> Path:
    """Return the Python of dbt's environment, which is made when its requirements have changed."""
    requirements = HERE / "requirements.txt"
    CACHE.mkdir(exist_ok=True)
    home = CACHE / f"dbt-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]}"
    with FileLock(f"{home}.lock"):
        if not (home / "ready").exists():
            venv.create(home, with_pip=True, clear=True)
            python = home / "bin" / "python"
            install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
            subprocess.run(install, check=True)
            (home / "ready").touch()
    return home / "bin" / "python"


def history(seed: int) -> list[Day]:
    """Return random days: keys come, change, stay, go and come back, with another `changed` each time."""
    chance = random.Random(seed)  # noqa: S311 - a test's data
    values: dict[int, tuple[int | None, str | None, datetime]] = {}
    days: list[Day] = []
    for number in range(DAYS):
        # At noon of the day before the load, so that the version is in force when it is loaded.
        noon = START + timedelta(days=number, hours=-12)
        for key in range(KEYS):
            what = chance.choice(["stay", "stay", "change", "change", "go"])
            if what == "go" and len(values) > 1:
                values.pop(key, None)
            elif key not in values or what == "change":
                old = values.get(key)
                new = (chance.choice([None, 0, 1]), chance.choice([None, "", "x"]))
                if old is None or old[:2] != new:
                    values[key] = (*new, noon)
        days.append([(key, *value) for key, value in sorted(values.items())])
    return days


def _by_dbt(days: list[Day], folder: Path) -> dict[str, list[Version]]:
    plain = [[(k, a, b, changed.replace(tzinfo=None).isoformat()) for k, a, b, changed in day] for day in days]
    (folder / "days.json").write_text(json.dumps(plain))
    ended = subprocess.run(
        [_dbt(), HERE / "drive.py", folder], capture_output=True, text=True, check=False, cwd=folder
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((folder / "versions.json").read_text())
    starts = [datetime.fromisoformat(text) for text in found["starts"]]

    def as_day(text: str | None) -> str | None:
        """Return the load in whose run the time lies; a time of the data stays itself."""
        if text is None:
            return None
        position = bisect_right(starts, datetime.fromisoformat(text))
        return f"load {position - 1}" if position else datetime.fromisoformat(text).isoformat()

    return {
        name: sorted(((k, a, b, str(as_day(f)), as_day(t)) for k, a, b, f, t in found[name]), key=repr)
        for name in ("by_check", "by_timestamp")
    }


def _by_us(days: list[Day], mode: Scd2, name: str, bench: Bench) -> list[Version]:
    reached = Reached(bench.target, Path(), bench.store)
    for number, day in enumerate(days):
        rows = [dict(zip(("k", "a", "b", "changed"), row, strict=True)) for row in day]
        table = pa.Table.from_pylist(rows, schema=pa.schema(_FIELDS))
        reached.load(name, table, mode=mode, clock=START + timedelta(days=number), name=name)

    def as_day(time: datetime | None) -> str | None:
        if time is None:
            return None
        time = time.astimezone(UTC)
        return f"load {(time - START).days}" if time.hour == 0 else time.replace(tzinfo=None).isoformat()

    versions = reached.read(name).to_pylist()
    assert all(version["is_current"] == (version["valid_to"] is None) for version in versions)
    found = [(v["k"], v["a"], v["b"], str(as_day(v["valid_from"])), as_day(v["valid_to"])) for v in versions]
    return sorted(found, key=repr)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(connection("duckdb", tmp_path_factory.mktemp("ours")), Bench.make("duckdb", Path()).store)


def test_versions_are_those_of_dbt_snapshot(bench: Bench, tmp_path: Path) -> None:
    days = history(seed=20260101)
    theirs = _by_dbt(days, tmp_path)
    check = scd2(keys="k", compare=["a", "b"], deletes="close")
    assert _by_us(days, check, "by_check", bench) == theirs["by_check"]
    timestamp = scd2(keys="k", compare=["a", "b"], event_time="changed", deletes="close")
    assert _by_us(days, timestamp, "by_timestamp", bench) == theirs["by_timestamp"]
    if sys.__stdout__ is not None:
        sys.__stdout__.write(f"\n{sum(map(len, theirs.values()))} versions as dbt snapshot makes them\n")
