"""TPC-H's tables as Parquet and as Delta: `python -m benchmarks.tpch.data FOLDER SCALE`, made once into the folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def prepare(folder: Path, scale: str) -> None:
    """Make `parquet/<table>/` by tpchgen-cli and `delta/<table>/` by delta-rs, unless they are there."""
    if (folder / "complete").exists():
        return
    import pyarrow.dataset as ds
    from deltalake import write_deltalake

    shutil.rmtree(folder, ignore_errors=True)
    tool = str(Path(sys.executable).with_name("tpchgen-cli"))
    options = ["parquet", "-s", scale, "--parts=1", f"--output-dir={folder / 'parquet'}"]
    subprocess.run([tool, *options], check=True, stdout=sys.stderr)
    for table in sorted((folder / "parquet").iterdir()):
        write_deltalake(str(folder / "delta" / table.name), ds.dataset(table).scanner().to_reader())
    (folder / "complete").touch()


if __name__ == "__main__":
    prepare(Path(sys.argv[1]), sys.argv[2])
