"""What the documentation shows is what happens: its Python blocks and `flow` commands are run, its data is parsed."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
import sqlglot

from tests.architecture.checkout import pages, place, server_of
from tests.architecture.snippets import Block, blocks, run_page

if TYPE_CHECKING:
    from pathlib import Path

PAGES = pytest.mark.parametrize("page", pages(), ids=place)
# Spellings that would escape the runner.
OTHER_NAMES = {"py", "py3", "pycon", "python3"}


def _run(text: str, folder: Path) -> str:
    """Execute a page given as text."""
    return run_page("page.md", list(blocks(text)), folder)


# tests/servers/test_pages.py runs the others.
@pytest.mark.parametrize("page", [page for page in pages() if not server_of(page)], ids=place)
def test_snippets_of_the_page_run(page: Path, tmp_path: Path) -> None:
    found = list(blocks(page.read_text(encoding="utf-8")))
    if any(block.runs for block in found):
        failure = run_page(str(page), found, tmp_path)
        assert not failure, failure


@PAGES
def test_unexecuted_python_gives_its_reason(page: Path) -> None:
    found = list(blocks(page.read_text(encoding="utf-8")))
    assert not [place(page, block.line) for block in found if block.notest and not block.reason]
    assert not [place(page, block.line) for block in found if block.language in OTHER_NAMES], "write ```python"


@PAGES
def test_data_on_the_page_parses(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        try:
            if block.language == "toml":
                tomllib.loads(block.code)
            elif block.language == "sql":
                sqlglot.parse(block.code, dialect="duckdb")
        except (tomllib.TOMLDecodeError, sqlglot.errors.SqlglotError) as error:
            pytest.fail(f"{place(page, block.line)}: {error}")


def test_blocks_share_one_namespace_and_titled_ones_become_files(tmp_path: Path) -> None:
    text = '```python title="shop.py"\nprice = 3\n```\n\n```python\nimport shop\nassert shop.price == price\n```\n'
    assert _run(text, tmp_path) == ""


def test_failing_block_is_reported_with_its_line_on_the_page(tmp_path: Path) -> None:
    assert 'page.md", line 4' in _run("Text\n\n```python\nraise SystemError\n```\n", tmp_path)


def test_indented_block_is_found_and_dedented() -> None:
    assert list(blocks("- item\n\n    ```python\n    x = 1\n    ```\n")) == [Block("python", "x = 1\n", 3)]


def test_notest_takes_its_reason_from_the_comment_above() -> None:
    bare, explained = blocks("```python notest\n```\n<!-- notest: needs a cluster -->\n\n```python notest\n```\n")
    assert (bare.reason, explained.reason) == ("", "needs a cluster")
    assert not bare.runs


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("$ flow() { echo a 12 b; }; flow\na ... b\n", ""),
        ("$ flow() { echo a 12 b; }; flow\na ... c\n", "The page shows"),
        ("$ flow() { exit 3; }; flow\n", "exits with 3, not 0"),
        ("$ flow() { exit 3; }; flow # exits with 3\n", ""),
        ("$ flow() { echo a b; }; flow \\\n  --long\na b\n$ echo c\nd\n", "$ echo c"),
    ],
)
def test_command_must_print_what_the_page_shows(block: str, complaint: str, tmp_path: Path) -> None:
    failure = _run(f"```console\n{block}```\n", tmp_path)
    assert (complaint in failure) if complaint else not failure
