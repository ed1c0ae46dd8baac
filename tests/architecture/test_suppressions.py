"""A `noqa` or `type: ignore` is a claim that the rule is wrong here, so it says why on its line."""

from __future__ import annotations

import io
import re
import tokenize
from typing import TYPE_CHECKING

import pytest

from tests.architecture.checkout import place, python_files

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPRESSION = re.compile(
    r"#\s*(?:ruff:\s*)?(?:noqa(?::\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*)?|type:\s*ignore(?:\[[^\]]*\])?)"
)
REASON = re.compile(r"\w+\W+\w+")


def _has_reason(comment: str) -> bool:
    """Say whether words remain when the suppressions of a comment are taken out; true if there is none."""
    rest, count = SUPPRESSION.subn("", comment)
    return count == 0 or REASON.search(rest) is not None


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment; a string that looks like one is none."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# noqa", False),
        ("# noqa: S608", False),
        ("# noqa: S608, E501", False),
        ("# noqa: S608 -", False),
        ("# noqa: S608 - identifiers are quoted above", True),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore[arg-type]  # the stub lacks the overload", True),
        ("# type: ignore[arg-type]  # noqa: E501", False),
        ("# why this is done", True),
    ],
)
def test_reason_is_told_from_a_bare_suppression(comment: str, expected: bool) -> None:
    assert _has_reason(comment) is expected


def test_every_suppression_has_a_reason_on_its_line() -> None:
    bare = [
        f"{place(file, line)} {comment}"
        for file in python_files()
        for line, comment in _comments(file.read_text(encoding="utf-8"))
        if not _has_reason(comment)
    ]
    assert not bare
