"""Jars from Maven Central by Maven, which keeps them in ~/.m2 and knows the mirrors of this machine."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from tools.servers.system import ServerError, UnavailableError, run

if TYPE_CHECKING:
    from pathlib import Path

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_POM = """<project>
<modelVersion>4.0.0</modelVersion><groupId>ematix</groupId><artifactId>servers</artifactId><version>1</version>
<dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


def jars(artifacts: tuple[str, ...], *, checksum: str, into: Path) -> None:
    """Put `group:name:version` and all that they need to run into a folder, if it is not there.

    `checksum` is `digest` of the folder. Raises UnavailableError without Maven or network, ServerError if the jars are
    not those that were checked in.
    """
    if into.exists():
        return
    partial = into.with_name(into.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    pom = into.with_name("pom.xml")
    wanted = "".join(_DEPENDENCY.format(*artifact.split(":")) for artifact in artifacts)
    pom.write_text(_POM.format(dependencies=wanted), encoding="utf-8")
    _maven(f"-f={pom}", f"{_PLUGIN}:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}")
    if (found := digest(partial)) != checksum:
        raise ServerError(f"the jars in {partial} are not those that were checked in: {found}, not {checksum}")
    partial.rename(into)


def artifact(name: str, *, checksum: str, into: Path) -> Path:
    """Return the file of `group:name:version[:type[:classifier]]` in a folder. `checksum` is its sha256."""
    try:
        _maven(f"{_PLUGIN}:copy", f"-Dartifact={name}", f"-DoutputDirectory={into}")
    except UnavailableError as error:
        raise UnavailableError(f"{name}: {error}") from error
    (file,) = into.iterdir()
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != checksum:
        raise ServerError(f"{file} is not the file that was checked in: its sha256 is {found}, not {checksum}")
    return file


def digest(folder: Path) -> str:
    """Return one sha256 over names and contents of the files of a folder."""
    lines = (f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _maven(*arguments: str) -> None:
    try:
        run(["mvn", "-q", "-B", *arguments], as_root=True)
    except ServerError as error:
        raise UnavailableError(f"nothing could be fetched from Maven Central: {error}") from error
