"""The files of this checkout that the gates look at."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("ematix_core", "adapters", "providers")
SUPPORT_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def product_files() -> list[Path]:
    """Return the Python files of what the wheel ships, as far as it exists already."""
    return sorted(file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py"))


def python_files() -> list[Path]:
    """Return every Python file that is, or could be, committed: what git does not ignore."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # A file that is deleted but not yet committed is still listed.
    return sorted({file for name in listing.stdout.split("\0") if name and (file := ROOT / name).is_file()})


def pages() -> list[Path]:
    """Return the pages whose snippets are executed."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def server_of(page: Path) -> str:
    """Return the server that a page's snippets need, as its first line says: `<!-- server: kafka -->`; "" for none."""
    match = re.match(r"<!-- server: (\w+) -->\n", page.read_text(encoding="utf-8"))
    return match[1] if match else ""


def place(file: Path, line: int | None = None) -> str:
    """Return `path:line` relative to the checkout, as an editor opens it."""
    return f"{file.relative_to(ROOT)}" + (f":{line}" if line is not None else "")
