"""`python -m tools.servers up|down|status [name ...]`: the servers of the tests, on loopback and without docker."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from filelock import FileLock

from tools.servers import urls
from tools.servers.kinds import KINDS, make
from tools.servers.server import Server
from tools.servers.system import ServerError, UnavailableError, home, install, missing
from tools.servers.tls import WRONG_HOST


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 if all that was asked for is so."""
    parser = argparse.ArgumentParser(prog="python -m tools.servers", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument(
        "name", nargs="*", help=f"{', '.join(KINDS)}; those of the gate if none is named, and what runs"
    )
    asked = parser.parse_args(arguments)
    if unknown := set(asked.name) - set(KINDS):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    try:
        with FileLock(home() / "lock"):
            names = asked.name or [name for name, kind in KINDS.items() if not kind.on_request or make(name).running]
            servers = [make(name) for name in KINDS if name in names]
            return {"up": up, "down": down, "status": status}[asked.command](servers)
    except ServerError as error:
        _say(f"error: {error}")
        return 1


def up(servers: list[Server]) -> int:
    """Install and start what is not running, all at once, and write down how to reach them."""
    ours = [server for server in servers if not urls.given(server.name)]
    needed = sorted({package for server in ours if not server.running for package in server.packages()})
    if absent := missing(needed):
        _say(f"installing {' '.join(absent)}")
        install(absent)
    with ThreadPoolExecutor(len(servers)) as pool:
        done = list(pool.map(_up, servers))
    tls = servers[0].tls
    facts = {"ca": str(tls.ca), "other_ca": str(tls.other_ca), "wrong_host": WRONG_HOST}
    urls.write([entry for _, entry in done], facts)
    return 0 if all(worked for worked, _ in done) else 1


def _up(server: Server) -> tuple[bool, urls.Entry]:
    """Return whether it is up, or cannot be on this machine, and what tests need to know."""
    began = time.monotonic()
    try:
        if given := urls.given(server.name):
            _say(f"{server.name}: {urls.variable(server.name)} is used")
            return True, urls.Entry(server.name, given, server.accounts(given))
        if server.answers:
            _say(f"{server.name}: runs already, at 127.0.0.1:{server.port}")
            return True, urls.Entry(server.name, server.url, server.accounts(server.url))
        server.stop()
        server.start()
        accounts = server.accounts(server.url)
    except UnavailableError as error:
        _say(f"{server.name}: NOT AVAILABLE, and its tests will fail. {error}")
        return True, urls.Entry(server.name, None, {}, str(error))
    except Exception as error:  # noqa: BLE001 - one server's failure, whatever its driver raises, must not hide the others'
        _say(f"{server.name}: FAILED. {error}")
        return False, urls.Entry(server.name, None, {}, str(error))
    _say(f"{server.name}: started in {time.monotonic() - began:.1f} s, at 127.0.0.1:{server.port}")
    return True, urls.Entry(server.name, server.url, accounts)


def down(servers: list[Server]) -> int:
    """Stop them, all at once; the data stays."""
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(Server.stop, servers))
    urls.write([urls.Entry(server.name, None, {}) for server in servers if not urls.given(server.name)], {})
    _say(f"stopped: {', '.join(server.name for server in servers)}")
    return 0


def status(servers: list[Server]) -> int:
    """Say of each whether it runs and where."""
    states = {server.name: server.answers for server in servers}
    for server in servers:
        _say(f"{server.name}: " + (server.url if states[server.name] else f"down; its log: {server.log}"))
    return 0 if all(states.values()) else 1


def _say(line: str) -> None:
    sys.stdout.write(line + os.linesep)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
