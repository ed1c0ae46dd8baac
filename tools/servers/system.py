"""What servers need of the machine: Debian packages, an account that is not root, a folder that it can reach."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = os.geteuid() == 0
USER, GROUP = ("nobody", "nogroup") if ROOT else (None, None)
"""The account that servers run under when root starts them: database servers refuse root. Every Debian has it."""

# postgresql makes a cluster of its own and every server starts at its installation: neither is wanted here, and what
# keeps both from happening is taken away again. https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
_INSTALL = """
set -eu
made=
trap 'rm -f $made' EXIT
if [ ! -e /usr/sbin/policy-rc.d ]; then
    made=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\\nexit 101\\n' > $made
    chmod +x $made
fi
cluster=/etc/postgresql-common/createcluster.d/ematix-servers.conf
if [ ! -e /etc/postgresql-common ]; then
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' > $cluster
    made="$made $cluster"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
"""


class ServerError(Exception):
    """A server could not be installed or started; the text says why and what to do."""


class UnavailableError(ServerError):
    """This machine cannot have this server; the others are not concerned."""


def run(command: list[str], *, folder: Path | None = None, as_root: bool = False) -> str:
    """Run a command to its end, under the servers' account, and return what it printed. Raises ServerError."""
    user, group = (None, None) if as_root else (USER, GROUP)
    try:
        done = subprocess.run(  # noqa: S603 - commands are literal in tools/servers
            command, cwd=folder, user=user, group=group, extra_groups=[] if user else None,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ServerError(f"{command[0]} is not there: {error}") from error
    if done.returncode:
        raise ServerError(f"{shlex.join(command)} failed ({done.returncode}):\n{done.stdout[-3000:]}")
    return done.stdout


def spawn(command: list[str], *, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a server under the servers' account, in a session of its own, so that it outlives this process."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - commands are literal in tools/servers
            command, cwd=folder, user=USER, group=GROUP, extra_groups=[] if USER else None,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def give(path: Path) -> None:
    """Make a file or folder the servers' own."""
    if USER and GROUP:
        shutil.chown(path, USER, GROUP)


def owned_folder(path: Path) -> Path:
    """Make a folder (its parents are there already) that belongs to the servers' account."""
    path.mkdir(exist_ok=True)
    give(path)
    return path


def home() -> Path:
    """Return the folder for the data of this checkout's servers: `.servers` in it, or one that `nobody` can reach."""
    wanted = CHECKOUT / ".servers"
    wanted.mkdir(exist_ok=True)
    if not ROOT or all(stat.S_IMODE(folder.stat().st_mode) & stat.S_IXOTH for folder in (wanted, *wanted.parents)):
        return wanted
    other = Path("/var/tmp") / f"ematix-servers-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]}"  # noqa: S108 - owned by root, checked below
    other.mkdir(mode=0o755, exist_ok=True)
    if other.is_symlink() or other.stat().st_uid != 0:
        raise ServerError(f"{other} belongs to somebody else: remove it")
    return other


def missing(packages: list[str]) -> list[str]:
    """Return which of the Debian packages are not installed."""
    if not shutil.which("dpkg-query"):
        return packages
    listing = subprocess.run(  # noqa: S603 - names of packages that are literal in tools/servers
        ["/usr/bin/dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *packages],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    there = {line.split()[0] for line in listing.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in there]


def install(packages: list[str]) -> None:
    """Install Debian packages, as root or by `sudo -n`. Raises ServerError with the command for somebody who may."""
    by_hand = f"sudo apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise ServerError(
            f"the servers come from Debian packages ({' '.join(packages)}), and this machine has no apt-get. "
            "Name servers that run already by EMATIX_TEST_POSTGRES_URL and the like: docs/how-to/servers.md"
        )
    script = ["/bin/sh", "-c", _INSTALL, "install", *packages]
    if ROOT:
        run(script, as_root=True)
        return
    try:
        run(["sudo", "-n", *script])
    except ServerError as error:
        raise ServerError(f"packages are missing, and sudo wants a password. Run: {by_hand}\n({error})") from error
