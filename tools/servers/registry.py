"""A schema registry: Apicurio, which also has the interface of Confluent's. It keeps schemas in memory.

https://www.apicur.io/registry/docs/apicurio-registry/3.3.x/
"""

from __future__ import annotations

import os
import re
import shutil
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tools.servers import maven
from tools.servers.server import Server
from tools.servers.system import UnavailableError, owned_folder, run

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "3.3.3"
OLDEST_JAVA = 21
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
CONFLUENT = "/apis/ccompat/v7"
"""Where the interface of Confluent's registry is."""


class Registry(Server):
    """Apicurio Registry on a Java that `java` finds: Debian 12 has none. `options` are Java's, `-Dname=value`."""

    name = "registry"
    default_port = 15394

    @property
    def programs(self) -> Path:
        """The folder that the archive was unpacked to."""
        return self.kind_folder / "programs"

    def packages(self) -> list[str]:
        needs_maven = not self.programs.exists() and not shutil.which("mvn")
        return ["maven"] if needs_maven else []

    def install(self) -> None:
        java()
        if self.programs.exists():
            return
        owned_folder(self.kind_folder)
        partial = self.kind_folder / "programs.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        archive = maven.artifact(ARTIFACT, checksum=SHA256, into=self.kind_folder / "download")
        run(["tar", "-xzf", str(archive), "--no-same-owner", "-C", str(partial)], as_root=True)
        shutil.rmtree(archive.parent)
        partial.rename(self.programs)

    def initialise(self, data: Path) -> None:
        owned_folder(data)

    def command(self) -> list[str]:
        # As for Kafka: the quick compiler only, and the small collector.
        quick = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        places = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}"]
        management = ["-Dquarkus.management.host=127.0.0.1", "-Dquarkus.management.port=0"]
        quiet = ["-Dquarkus.http.access-log.enabled=false"]
        program = str(self.programs / "quarkus-run.jar")
        return [str(java()), *quick, *places, *management, *quiet, *self.options, "-jar", program]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{CONFLUENT}"

    def ask(self) -> None:
        _ask(self.url)

    def accounts(self, url: str) -> dict[str, str]:
        """Return no users: whoever reaches it may do everything."""
        _ask(url)
        return {}


def _ask(url: str) -> None:
    with urllib.request.urlopen(f"{url}/subjects", timeout=5) as answer:  # noqa: S310 - http or https, as tests are told
        answer.read()


def java() -> Path:
    """Return the program of a Java that is new enough: that of JAVA_HOME, else one in /usr/lib/jvm.

    Raises UnavailableError when there is none.
    """
    for folder in _folders():
        release = folder / "release"
        version = re.search(
            r'^JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8") if release.exists() else "", re.MULTILINE
        )
        if version and int(version[1]) >= OLDEST_JAVA and (folder / "bin" / "java").exists():
            return folder / "bin" / "java"
    raise UnavailableError(f"Apicurio {VERSION} needs Java {OLDEST_JAVA} or newer: set JAVA_HOME to one")


def _folders() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    yield from sorted(Path("/usr/lib/jvm").glob("*"))
