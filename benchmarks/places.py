"""Where the benchmarks keep data, environments and results, and the programs that they start."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
RESULTS = HERE / "results"
EXTRAS = "cloud,delta,mysql,postgres,sqlite"


def data(label: str) -> Path:
    """Return the folder with lineitem at that size, made on first use in another process (see `measure`)."""
    folder = CACHE / "lineitem"
    subprocess.run([sys.executable, "-m", "benchmarks.lineitem", str(folder), label], check=True, cwd=HERE.parent)
    return folder / label


@dataclass(frozen=True)
class Ours:
    """The environment that a user of ematix makes: this checkout installed from a wheel, with EXTRAS.

    Not the one that the benchmarks run in: that has what the tests need, and some drivers import pandas and polars
    when they find them.
    """

    python: Path
    flow: Path

    @classmethod
    def prepared(cls) -> Ours:
        """Return the environment with the checkout as it is now."""
        root, folder = HERE.parent, CACHE / "ours"
        python, installed = folder / "bin" / "python", folder / "installed"
        declared = folder / f"declared-{_digest([root / 'pyproject.toml'])}"
        if not declared.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            _install(python, f"{root}[{EXTRAS}]")
            declared.touch()
        digest = _digest(sorted((root / "ematix_core").rglob("*.py")))
        if not installed.exists() or installed.read_text() != digest:
            _install(python, "--force-reinstall", "--no-deps", str(root))
            installed.write_text(digest)
        return cls(python, folder / "bin" / "flow")


def environment(requirements: str, name: str, *, patience: float | None = None) -> Path:
    """Return the environment with what a file in peers/ asks for, made on first use within `patience` seconds.

    Raises CalledProcessError or TimeoutExpired.
    """
    file = HERE / "peers" / requirements
    folder = CACHE / f"{name}-{_digest([file])}"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        _install(folder / "bin" / "python", "-r", str(file), patience=patience)
        (folder / "complete").touch()
    return folder


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _install(python: Path, *what: str, patience: float | None = None) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    subprocess.run(command, check=True, timeout=patience)


@dataclass(frozen=True)
class Home:
    """An environment of peers, and the home that it has of its own: the peers keep state and drivers there."""

    python: Path
    home: Path

    def forget(self) -> None:
        """Remove what dlt has loaded so far: a run begins without it."""
        shutil.rmtree(self.home / "dlt", ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """Return the environment variables of every contender: no telemetry, nothing of this user's settings."""
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return {
            "HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8",
            "DLT_DATA_DIR": str(self.home / "dlt"),
            "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "INGESTR_DISABLE_TELEMETRY": "true",
            "SLING_DISABLE_TELEMETRY": "true", "SLING_HOME_DIR": str(self.home / "sling"),
        }  # fmt: skip


@dataclass(frozen=True)
class Peers(Home):
    """The environments of the peers."""

    ingestr: Path
    sling: Path
    ematix_flow: Path
    """The command of ematix-flow, which has an environment of its own."""
    preload: str
    """The library of Python, which DuckDB's driver needs in a process that is no Python; empty when there is none."""

    @classmethod
    def prepared(cls) -> Peers:
        """Return the environments, each made anew when its file of requirements has changed."""
        folder, earlier = environment("requirements.txt", "peers"), environment("ematix_flow.txt", "ematix-flow")
        home = CACHE / "home"
        _write_driver_manifest(home, next(folder.glob("lib/python*/site-packages/_duckdb*.so")))
        sling = next(folder.glob("lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"))
        return cls(
            folder / "bin" / "python", home, folder / "bin" / "ingestr", sling, earlier / "bin" / "flow",
            _shared_python(),
        )  # fmt: skip


def _write_driver_manifest(home: Path, library: Path) -> None:
    """Point ADBC at the DuckDB of the peers' environment, so that ingestr need not download one.

    https://arrow.apache.org/adbc/current/format/driver_manifests.html
    """
    folder = home / ".config" / "adbc" / "drivers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "duckdb.toml").write_text(
        'manifest_version = 1\nname = "DuckDB"\n[ADBC]\nversion = "v1.1.0"\n'
        f"[Driver]\nentrypoint = \"duckdb_adbc_init\"\nshared = '{library}'\n",
        encoding="utf-8",
    )


def _shared_python() -> str:
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    library = Path(folder or "") / (name or "")
    return str(library) if library.is_file() and library.suffix != ".a" else ""
