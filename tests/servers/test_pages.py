"""Pages of the documentation that need a server, run as tests/architecture/test_docs.py runs the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.architecture.checkout import pages, place, server_of
from tests.architecture.snippets import blocks, run_page
from tests.servers.own import own_server

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", [page for page in pages() if server_of(page)], ids=place)
def test_snippets_of_the_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_server(server_of(page)) as server:  # of its own, as that of a reader is: with nothing in it
        monkeypatch.setenv(server_of(page).upper(), server.url)
        failure = run_page(str(page), list(blocks(page.read_text(encoding="utf-8"))), tmp_path)
    assert not failure, failure
