"""MariaDB from Debian, and what it shares with MySQL: users, and options of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tools.servers.client import PASSWORD, as_user, execute
from tools.servers.server import Server
from tools.servers.system import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Each of the tests' databases begins with ematix_.
_RIGHTS = "GRANT ALL ON `ematix\\_%`.* TO {user}"
_LIMITS = "GRANT SELECT ON `ematix\\_%`.* TO {user}"


class MySQLLike(Server):
    """MariaDB or MySQL: the same settings, and users that differ in the words for how they prove who they are."""

    plugins: ClassVar[Mapping[str, str]]
    """How a user proves who he is, by the role that is for trying it out: `IDENTIFIED ...` with {password}."""

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/mysql"

    def ask(self) -> None:
        execute(self.url, "SELECT 1")

    def accounts(self, url: str) -> dict[str, str]:
        native = self.plugins["password"]
        users = {
            "tls_only": (native, "REQUIRE SSL", _RIGHTS),
            "unprivileged": (native, "", _LIMITS.replace("SELECT", "USAGE").replace("`ematix\\_%`.*", "*.*")),
            "read_only": (native, "", _LIMITS),
        } | {role: (identified, "", _RIGHTS) for role, identified in self.plugins.items()}
        for role, (identified, require, rights) in users.items():
            # An anonymous user of localhost would go before one of every host, so both are named.
            for host in ("%", "localhost"):
                user = f"ematix_{role}@'{host}'"
                by = identified.format(password=PASSWORD)
                execute(url, f"CREATE USER IF NOT EXISTS {user} {by} {require}", rights.format(user=user))
        return {role: as_user(url, f"ematix_{role}", PASSWORD) for role in users}

    def settings(self) -> list[str]:
        """Return the part of the command line that is the same for both."""
        return [
            f"--datadir={self.data}", f"--port={self.port}", "--bind-address=127.0.0.1",
            "--socket=socket",  # in the data folder: a path to a socket may have 107 characters only
            "--server-id=1", "--log-bin=binlog", "--binlog-format=ROW", "--local-infile=1",
            "--max-connections=200", "--innodb-buffer-pool-size=256M",
            # A commit is with the kernel, which a killed server does not take along; only a power cut would lose it.
            # https://dev.mysql.com/doc/refman/8.0/en/innodb-parameters.html#sysvar_innodb_flush_log_at_trx_commit
            "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
            f"--ssl-ca={self.tls.ca}", f"--ssl-cert={self.tls.certificate}", f"--ssl-key={self.tls.key}",
            *self.options,
        ]  # fmt: skip


class MariaDB(MySQLLike):
    """MariaDB; the core packages have the programs without the service that mariadb-server sets up."""

    name = "mariadb"
    default_port = 15306
    plugins: ClassVar[Mapping[str, str]] = {"password": "IDENTIFIED BY '{password}'"}

    def packages(self) -> list[str]:
        return ["mariadb-server-core", "mariadb-client-core"]  # mariadb-install-db calls a program of the latter

    def install(self) -> None:
        """All of it is in the packages."""

    def initialise(self, data: Path) -> None:
        run(["/usr/bin/mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal",
             "--skip-test-db", f"--datadir={data}"], folder=data.parent)  # fmt: skip

    def command(self) -> list[str]:
        return ["/usr/sbin/mariadbd", "--no-defaults", *self.settings()]
