"""PostgreSQL from Debian: `wal_level=logical`, TLS, a standby and change capture possible."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import ClassVar

from tools.servers.client import PASSWORD, as_user, execute
from tools.servers.server import Server
from tools.servers.system import ServerError, run

# The first line that fits counts. The administrator is trusted, everybody else needs the password (ematix_tls TLS too).
_ACCESS = """\
local all all reject
host all postgres 127.0.0.1/32 trust
host replication postgres 127.0.0.1/32 trust
hostnossl all ematix_tls 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""
_USERS = {
    "password": ("ematix_password", "LOGIN CREATEDB"),
    "tls_only": ("ematix_tls", "LOGIN CREATEDB"),
    "unprivileged": ("ematix_unprivileged", "LOGIN"),
}


class Postgres(Server):
    """The newest PostgreSQL that is installed."""

    name = "postgres"
    default_port = 15432
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    """Fast shutdown: https://www.postgresql.org/docs/15/server-shutdown.html"""

    def packages(self) -> list[str]:
        return ["postgresql"]

    def install(self) -> None:
        """All of it is in the packages."""

    def initialise(self, data: Path) -> None:
        run([_program("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"])
        run(["/bin/sh", "-c", 'printf %s "$1" > "$2"', "sh", _ACCESS, str(data / "pg_hba.conf")])

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",  # a path to a socket may have 107 characters only
            "wal_level": "logical",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "4GB",
            # Tests make thousands of databases. What a killed server has written is safe in the kernel all the same;
            # only a power cut would lose it: https://www.postgresql.org/docs/15/runtime-config-wal.html#GUC-FSYNC
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(self.tls.certificate),
            "ssl_key_file": str(self.tls.key),
            "password_encryption": "scram-sha-256",
        }
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        return [_program("postgres"), "-D", str(self.data), "-p", str(self.port), *flags, *self.options]

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def ask(self) -> None:
        execute(self.url, "SELECT 1")

    def accounts(self, url: str) -> dict[str, str]:
        there = {name for (name,) in execute(url, "SELECT rolname FROM pg_roles")}
        for user, rights in _USERS.values():
            verb = "ALTER" if user in there else "CREATE"
            execute(url, f"{verb} ROLE {user} WITH {rights} PASSWORD '{PASSWORD}'")
        return {role: as_user(url, user, PASSWORD) for role, (user, _) in _USERS.items()}

    def become_standby_of(self, primary: Server) -> None:
        """Copy the running primary by pg_basebackup; the start then makes a read-only standby that streams from it."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres"
        run([_program("pg_basebackup"), "-d", source, "-D", str(self.data), "-R", "-c", "fast", "-X", "stream", "-N"])


def _program(name: str) -> str:
    """Return the path of a program of the newest version; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise ServerError(f"{name} is not in /usr/lib/postgresql/*/bin: is the package postgresql installed?")
    return str(found[-1])
