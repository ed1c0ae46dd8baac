"""A folder of JSON lines as the source of streams, and an empty SQLite file as their target."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Protocol

import pytest

import ematix_core as ematix

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ematix_core.model.connection import Connection


class Arrive(Protocol):
    """Writes a file of JSON lines, complete at once, older than any that a later call writes."""

    def __call__(self, *rows: Mapping[str, Any]) -> None: ...


@pytest.fixture
def files(tmp_path: Path) -> Connection:
    (tmp_path / "in").mkdir()
    return ematix.ObjectStoreConnection("files", path=str(tmp_path / "in"))


@pytest.fixture
def arrive(tmp_path: Path, files: Connection) -> Arrive:
    del files
    written: list[int] = []

    def write(*rows: Mapping[str, Any]) -> None:
        written.append(len(rows))
        half = tmp_path / "in" / f"_{len(written)}"
        half.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        os.utime(half, (time.time() - 600 + len(written),) * 2)
        half.rename(half.with_name(f"{len(written)}.json"))

    return write


@pytest.fixture
def store(tmp_path: Path) -> Connection:
    return ematix.SQLiteConnection("store", path=str(tmp_path / "store.sqlite"))
