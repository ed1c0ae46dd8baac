"""Executes the blocks of one page in order, in the current folder: run as a program, with the page as JSON on stdin.

Python blocks share one namespace. A block with a title is written to that file too. Commands of a console block run in
a shell, and what the page shows below a command is compared as doctest does, `...` standing for anything. A command
that is to fail says so: `$ flow run broken.py orders  # exits with 1`.
"""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TypedDict

_CHECK = doctest.OutputChecker()
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_EXIT = re.compile(r"#\s*exits with (\d+)")


class Block(TypedDict):
    """A block as `snippets.run_page` sends it."""

    language: str
    code: str
    line: int
    title: str
    runs: bool


def _run_python(block: Block, page: str, module: ModuleType) -> None:
    """Execute a Python block so that a traceback shows the line of the page."""
    padded = "\n" * block["line"] + block["code"]
    # dont_inherit: the page decides about `from __future__ import annotations`, not this file.
    exec(compile(padded, page, "exec", dont_inherit=True), vars(module))  # noqa: S102 - running the page is the task


def _commands(code: str) -> list[tuple[str, str]]:
    """Split a console block into commands, continued by a backslash or not, each with the output shown below it."""
    parts = re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]
    split = (re.match(r"((?:.*\\\n)*.*)\n?", part) for part in parts)
    return [(match[1], part[match.end() :]) for part, match in zip(parts, split, strict=True) if match]


def _run_console(block: Block, page: str) -> None:
    """Run each command and compare its exit code and, where the page shows one, its output."""
    for command, expected in _commands(block["code"]):
        done = subprocess.run(
            ["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        exit_code = int(match[1]) if (match := _EXIT.search(command)) else 0
        said = f"{page}:{block['line']}: $ {command}\n"
        if done.returncode != exit_code:
            sys.exit(f"{said}exits with {done.returncode}, not {exit_code}:\n{done.stdout}")
        if expected.strip() and not _CHECK.check_output(expected.strip(), done.stdout.strip(), _FLAGS):
            sys.exit(f"{said}The page shows:\n{expected}\nThe command printed:\n{done.stdout}")


def main() -> None:
    """Execute the page on stdin; leave with a traceback or a message when a block does not do what it shows."""
    page = json.load(sys.stdin)
    # A module of its own, and known: dataclasses and typing look a class's names up in sys.modules.
    module = sys.modules["page"] = ModuleType("page")
    sys.path.insert(0, str(Path.cwd()))
    for block in page["blocks"]:
        if block["title"]:
            Path(block["title"]).parent.mkdir(parents=True, exist_ok=True)
            Path(block["title"]).write_text(block["code"], encoding="utf-8")
        if block["runs"] and block["language"] == "python":
            _run_python(block, page["name"], module)
        elif block["runs"]:
            _run_console(block, page["name"])


if __name__ == "__main__":
    main()
