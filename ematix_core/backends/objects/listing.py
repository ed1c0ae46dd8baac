"""What a name in FROM means: a table that ematix wrote, a file, a glob, or a folder of files."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ematix_core.backends.objects.manifest import STATE, History, Manifest
from ematix_core.backends.objects.settings import format_of
from ematix_core.backends.storage.folder import HIDDEN, StoredFile
from ematix_core.backends.storage.paths import below
from ematix_core.errors import MissingSourceError, near

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ematix_core.backends.storage.folder import Folder

_MAGIC = re.compile(r"[*?\[{]")
_NEAR_SHOWN = 500


@dataclass(frozen=True)
class Listing:
    """The files behind a name; `manifest` when they are a table of ours."""

    name: str
    files: tuple[StoredFile, ...]
    manifest: Manifest | None = None

    def only(self, paths: Iterable[str] | None) -> Listing:
        """Return the listing restricted to these paths below the connection (None: all)."""
        if paths is None:
            return self
        wanted = frozenset(paths)
        return replace(self, files=tuple(file for file in self.files if file.path in wanted))


def find(files: Folder, name: str, schema: str = "") -> Listing:
    """Return what a name stands for. Raises MissingSourceError with near matches, SourceError for `../`."""
    path = below(f"{schema}/{name}" if schema else name)
    if format_of(path)[0] and not _MAGIC.search(path) and not _hidden(path) and files.is_file(path):
        return Listing(path, (files.stat(path),))  # as most names do; what ends like a file is hardly ever a table
    candidates = [path, path.replace(".", "/")] if "." in name and "/" not in name else [path]
    for candidate in candidates:
        if not _MAGIC.search(candidate) and (manifest := History(files, candidate).newest()):
            return table_listing(files, candidate, manifest)
    found: tuple[StoredFile, ...]
    if _MAGIC.search(path):
        matching = tuple(_globbed(files, path))
        found = tuple(file for file in matching if file.path == path) or matching
    elif _hidden(path):
        found = ()
    elif files.is_file(path):
        found = (files.stat(path),)
    else:
        found = tuple(_data_files(files.walk(path)))
    if not found:
        raise _missing(files, path)
    return Listing(path, found)


def table_listing(files: Folder, table: str, manifest: Manifest) -> Listing:
    """Return the files of a version of a table of ours."""
    data = History(files, table).data
    for file in manifest.files:
        files.note(f"{data}/{file.path}", file.size)
    entries = (
        StoredFile(f"{table}/{f.path}", files.location(f"{data}/{f.path}"), f.size, 0, files) for f in manifest.files
    )
    return Listing(table, tuple(entries), manifest)


def _data_files(found: Iterator[StoredFile]) -> list[StoredFile]:
    """Return the files with an ending that we know; all of them when no file has one."""
    every = list(found)
    known = [file for file in every if format_of(file.path)[0]]
    return known or every


def files_of(files: Folder, name: str) -> Iterator[StoredFile]:
    """Yield the files that a name finds, in order of their paths: those that a glob matches.

    Of a folder, those whose ending tells their format.
    """
    if _MAGIC.search(name):
        yield from _globbed(files, name)
    elif not _hidden(name):
        yield from (file for file in files.walk(name) if format_of(file.path)[0])


def fixed_folder(pattern: str) -> str:
    """Return the folder below which a glob looks; a name that is no glob is the folder itself."""
    fixed: list[str] = []
    for part in pattern.split("/"):
        if _MAGIC.search(part):
            break
        fixed.append(part)
    return "/".join(fixed)


def _globbed(files: Folder, pattern: str) -> Iterator[StoredFile]:
    folder = fixed_folder(pattern)
    if _hidden(folder):
        return
    matches = re.compile(glob_to_regex(pattern)).fullmatch
    yield from (file for file in files.walk(folder) if matches(file.path) or file.path == pattern)


def glob_to_regex(pattern: str) -> str:
    """Return the regular expression of a glob: `*` and `?` within a name, `**` across folders, `[a-c]`, `{a,b}`."""
    out, i, depth = "", 0, 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**/", i):
            out, i = out + "(?:[^/]+/)*", i + 2
        elif pattern.startswith("**", i):
            out, i = out + ".*", i + 1
        elif char in "*?":
            out += "[^/]*" if char == "*" else "[^/]"
        elif char == "[" and (end := pattern.find("]", i + 2)) > 0:
            inner = re.sub(r"[\\\[&~|]", r"\\\g<0>", pattern[i + 1 : end])  # which sets of `re` give another meaning
            out, i = out + "[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]", end
        elif char == "{" and "}" in pattern[i:]:
            out, depth = out + "(?:", depth + 1
        elif char == "}" and depth:
            out, depth = out + ")", depth - 1
        else:
            out += "|" if char == "," and depth else re.escape(char)
        i += 1
    return out


def _hidden(path: str) -> bool:
    return any(part.startswith(HIDDEN) for part in path.split("/"))


def _missing(files: Folder, path: str) -> MissingSourceError:
    if not files.is_folder(""):
        return MissingSourceError(
            f"nothing to read: there is no folder {files.shown}", hint="Check the path of the connection."
        )
    shown = _near(files, fixed_folder(path))
    what = f"no file matches {path!r}" if _MAGIC.search(path) else f"there is no file, folder or table {path!r}"
    hint = near(path, shown)
    if len(hint) > _NEAR_SHOWN:
        hint = hint[:_NEAR_SHOWN].rpartition(",")[0] + ", ..."
    return MissingSourceError(
        f"{what} below {files.shown}",
        hint=hint
        if shown
        else f"The folder holds no data files (names that begin with . or _ and {STATE} are not read).",
    )


def _near(files: Folder, folder: str) -> list[str]:
    """Return files and their folders below a folder; below the one that it is in when it holds none, and so on."""
    known: set[str] = set()
    for file, _ in zip(() if _hidden(folder) else files.walk(folder), range(_NEAR_SHOWN), strict=False):
        known |= {file.path, file.path.rpartition("/")[0]}
    if not known and folder:
        return _near(files, folder.rpartition("/")[0])
    return sorted(known - {""})
