"""The reference page is what the commands say."""

from __future__ import annotations

from pathlib import Path

from ematix_core.cli.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_reference_page_is_up_to_date() -> None:
    again = "run: python -m ematix_core.cli.reference > docs/reference/cli.md"
    assert PAGE.read_text(encoding="utf-8") == page(), again
