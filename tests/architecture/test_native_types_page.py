"""docs/reference/native-types.md says what the tests of the types check."""

from __future__ import annotations

from tools.native_types_page import PAGE, page


def test_page_of_native_types_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tools.native_types_page"
