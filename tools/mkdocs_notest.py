"""A hook of mkdocs: hides the word `notest` of a fence, which is meant for the tests, from the Markdown renderer."""

from __future__ import annotations

import re

_NOTEST = re.compile(r"^(?P<fence>[ \t]*(?:`{3,}|~{3,})[^\n`]*?)[ \t]+notest\b", re.MULTILINE)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return the page without the word; mkdocs calls this for each page, before the page is rendered."""
    return _NOTEST.sub(r"\g<fence>", markdown)
