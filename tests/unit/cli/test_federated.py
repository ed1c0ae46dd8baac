"""How the commands show and check a connection that has others as its sources."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

DECLARED = """
import ematix_core as ematix
shop = ematix.SQLiteConnection("shop", path="shop.db")
gone = ematix.SQLiteConnection("gone", path="gone.db")
named = ematix.FederatedConnection("named", sources=["shop"])
broken = ematix.FederatedConnection("broken", sources=[shop, "gone"])
lost = ematix.FederatedConnection("lost", sources=["nowhere"])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "declared.py").write_text(DECLARED)
    sqlite3.connect(tmp_path / "shop.db").close()


def test_sources_are_shown_by_name(flow: Flow) -> None:
    told = json.loads(flow("connections", "-m", "declared.py", "--json").output)["connections"]
    sources = {one["connection"]: one["settings"].get("sources") for one in told if one["kind"] == "federated"}
    assert sources == {"broken": ["shop", "gone"], "lost": ["nowhere"], "named": ["shop"]}


def test_each_source_is_checked_and_the_one_that_fails_is_named(flow: Flow) -> None:
    checked = flow("connections", "check", "named", "broken", "lost", "-m", "declared.py")
    assert checked.exit_code == 1
    assert "shop: SQLite" in checked.output
    assert "(connection broken, source gone)" in checked.output
    assert "no connection is named 'nowhere'" in checked.output
