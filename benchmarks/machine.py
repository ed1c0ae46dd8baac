"""What the figures were measured on: machine, date and versions."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.places import Peers

_OURS = (
    "ematix", "duckdb", "pyarrow", "adbc-driver-sqlite", "asyncpg", "pgpq", "connectorx", "deltalake", "pymysql",
)  # fmt: skip
_PEERS = (
    "dlt", "ingestr", "sling", "connectorx", "duckdb", "pyarrow", "sqlalchemy", "psycopg2-binary",
    "adbc-driver-postgresql", "pymysql",
)  # fmt: skip


def describe(ours: Path, peers: Peers | None = None) -> dict[str, object]:
    """Return machine, date and versions; `ours` is the Python of our environment."""
    facts: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "cpus": os.cpu_count(),
        "cpu": _found(r"model name\s*: (.*)", Path("/proc/cpuinfo")),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": _found(r'PRETTY_NAME="(.*)"', Path("/etc/os-release")),
        "python": platform.python_version(),
        "load_average_before": [round(value, 1) for value in os.getloadavg()],
        "commit": _said(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]),
        "versions": versions(ours, _OURS),
    }
    if peers is not None:
        earlier = versions(peers.ematix_flow.with_name("python"), ("ematix-flow",))
        facts["peer_versions"] = versions(peers.python, _PEERS) | earlier
        facts["sqlite3_command"] = _said(["sqlite3", "-version"]).split()[0] if shutil.which("sqlite3") else "none"
    return facts


def versions(python: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return what is installed in an environment."""
    script = f"from importlib.metadata import version\nfor n in {names}: print(n, version(n))"
    return dict(line.split() for line in _said([str(python), "-c", script]).splitlines())


def _found(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text(encoding="utf-8")) if file.exists() else None
    return found[1] if found else "unknown"


def _said(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
