"""The fenced blocks of a Markdown page, and how a page is executed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNNER = Path(__file__).with_name("page_runner.py")
PAGE_SECONDS = 120
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>.*)")
_TITLE = re.compile(r'title="(?P<title>[^"]+)"')
_REASON = re.compile(r"<!--\s*notest:\s*(?P<reason>\S.*?)\s*-->")


@dataclass(frozen=True)
class Block:
    """One fenced block: what it holds, the line of its fence, and what its info string asks for."""

    language: str
    code: str
    line: int
    title: str = ""
    notest: bool = False
    reason: str = ""  # of the notest, from the comment above it

    @property
    def runs(self) -> bool:
        """Whether the block is executed, and not only shown."""
        if self.notest:
            return False
        return self.language == "python" or (self.language == "console" and self.code.startswith("$ flow"))


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, those indented below a list or an admonition included."""
    lines = text.splitlines()
    above = ""  # the last line with text before the fence, where the reason of a notest stands
    number = 0
    while number < len(lines):
        opening = _FENCE.fullmatch(lines[number])
        if not opening:
            above = lines[number].strip() or above
            number += 1
            continue
        end = _closing(lines, number + 1, opening["fence"])
        indent = len(opening["indent"])
        code = "".join(f"{line[indent:]}\n" for line in lines[number + 1 : end])
        yield _block(opening["info"], code, number + 1, above)
        above, number = "", end + 1


def _closing(lines: list[str], start: int, fence: str) -> int:
    """Return the index of the line that closes a fence; the end of the page if none does."""
    return next((i for i in range(start, len(lines)) if lines[i].strip() == fence), len(lines))


def _block(info: str, code: str, line: int, above: str) -> Block:
    """Build a block from its info string and the line above its fence."""
    language, _, options = info.partition(" ")
    title, reason = _TITLE.search(options), _REASON.fullmatch(above)
    return Block(
        language=language,
        code=code,
        line=line,
        title=title["title"] if title else "",
        notest="notest" in _TITLE.sub("", options).split(),
        reason=reason["reason"] if reason else "",
    )


def run_page(name: str, page: list[Block], folder: Path) -> str:
    """Execute a page's blocks in order, in a process and folder of their own; return what went wrong, or nothing."""
    done = subprocess.run(
        # -P: the folder of the runner is not to be importable from a page.
        [sys.executable, "-P", RUNNER],
        input=json.dumps({"name": name, "blocks": [asdict(block) | {"runs": block.runs} for block in page]}),
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
        check=False,
    )
    return "" if done.returncode == 0 else f"{done.stdout}\n{done.stderr}"


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment without the settings and the home of whoever runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EMATIX_", "XDG_"))}
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"HOME": str(folder), "PATH": commands, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
