"""docs/reference/support.md says what the capability records say."""

from __future__ import annotations

from tools.support_page import PAGE, page


def test_support_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tools/support_page.py"
