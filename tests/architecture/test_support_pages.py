"""The pages at the top of the repository speak to everybody: they exist, and name no path of one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT, SUPPORT_PAGES

# An absolute path; not the slash of a URL, of a relative path or of a word/word pair.
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/~*<])/[A-Za-z][\w.-]*(?=/)")
HOMES = {"/Users", "/home", "/root"}


@pytest.mark.parametrize("page", SUPPORT_PAGES)
def test_support_page_names_no_path_of_a_machine(page: str) -> None:
    found = set(ABSOLUTE_PATH.findall((ROOT / page).read_text(encoding="utf-8")))
    assert not {path for path in found if path in HOMES or Path(path).is_dir()}
