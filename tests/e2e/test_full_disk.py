"""A disk that is really full: a small file system of the test's own, in a mount namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import random
import sys
import pyarrow as pa
import ematix_core as ematix
from ematix_core.errors import DiskFullError

kind = sys.argv[1]
target = {
    "duckdb": ematix.DuckDBConnection("t", path="small/t.duckdb"),
    "sqlite": ematix.SQLiteConnection("t", path="small/t.db"),
    "objects": ematix.ObjectStoreConnection("t", path="small/lake"),
}[kind]


def rows(count):
    return lambda: pa.table({"id": list(range(count)), "text": [random.randbytes(60).hex() for _ in range(count)]})


def load(name, count):
    return ematix.job(name=name, target="t", target_connection=target)(rows(count))


load("small", 10).run()
try:
    load("large", 400_000).run()
except DiskFullError as error:
    print(error)
else:
    sys.exit("the disk was not full")
count = ematix.job(name="count", source_connection=target, source_table="t", target="c", mode="truncate",
                   target_connection=ematix.MemoryConnection("m"))(lambda: None)
print("rows left:", count.run().rows_read)
"""


@pytest.mark.parametrize("kind", ["duckdb", "sqlite", "objects"])
def test_a_full_disk_is_named_and_nothing_is_committed(kind: str, tmp_path: Path) -> None:
    """The message says that the disk is full and what to do; the rows of before are all that is there."""
    (tmp_path / "small").mkdir()
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    mounted = f"mount -t tmpfs -o size=12m tmpfs small && exec {sys.executable} script.py {kind}"

    done = subprocess.run(
        ["/usr/bin/unshare", "--map-root-user", "--mount", "/bin/sh", "-c", mounted],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd()), "HOME": str(tmp_path)},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "full" in done.stdout or "No space" in done.stdout
    assert "rows left: 10" in done.stdout
