"""The page about the three engines names what the suite compares, and how many runs there are."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.three_engines.world import WORKFLOWS

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "three-engines.md"


def test_the_table_of_the_page_has_every_workflow_of_the_suite() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(named) == sorted(WORKFLOWS)
