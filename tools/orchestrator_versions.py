"""`python -m tools.orchestrator_versions [name ...]`: the adapters' tests under older versions of Airflow and Dagster.

Each version has an environment of its own in `.orchestrators/<name>/`, made with uv, and made anew when what it is made
of has changed. What the version of `uv.lock` is tested with, the tests of this checkout say without this tool.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".orchestrators"
PACKAGES = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist")
EXTRAS = "cloud,delta,duckdb,kafka,mysql,postgres,sqlite"


@dataclass(frozen=True)
class Orchestrator:
    """What an adapter is for. `running`: the tests with a running one, minutes long, which `--standalone` adds."""

    extra: str
    tests: tuple[str, ...]
    running: tuple[str, ...]
    told: tuple[str, ...]
    """The packages whose versions are told."""
    packages: tuple[str, ...] = ()


AIRFLOW = Orchestrator(
    "airflow", ("tests/providers", "tests/adapters/airflow"),
    ("tests/adapters/airflow/test_standalone.py", "tests/adapters/airflow/test_streams_standalone.py"),
    ("apache-airflow", "apache-airflow-task-sdk", "apache-airflow-providers-common-compat", "sqlalchemy"),
    ("apache-airflow-providers-openlineage",),
)  # fmt: skip
DAGSTER = Orchestrator(
    "dagster", ("tests/adapters/dagster",), ("tests/adapters/dagster/e2e",), ("dagster", "dagster-dg-cli", "pydantic")
)


@dataclass(frozen=True)
class Version:
    """A version of an orchestrator. `without`: tests of what it does not have, each with the reason."""

    name: str
    of: Orchestrator
    packages: tuple[str, ...]
    without: dict[str, str]

    @property
    def folder(self) -> Path:
        """The environment."""
        return HOME / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def requirements(self) -> tuple[str, ...]:
        """Return what uv is asked to install."""
        ours = f"{ROOT}[{self.of.extra},{EXTRAS}]"
        return (*self.packages, *self.of.packages, *PACKAGES, "--editable", ours)


WAITS = "tests/adapters/airflow/test_mapping.py::test_waits_between_attempts_are_ours_also_after_the_task_was_cleared"
FORM = "tests/providers/test_info.py::test_airflow_shows_the_form_of_the_connection"
_OWN_WAITS = {WAITS: "the waits between tries are Airflow's own before 3.3"}

_LOWEST = "1.13.18"
"""The lowest Dagster of the extra `dagster`: the first whose component types say what they produce."""
_VERSIONS = (
    Version(
        "airflow-3.1", AIRFLOW, ("apache-airflow==3.1.*",),
        {**_OWN_WAITS, FORM: "the forms of 3.1 are made by its API server, and nowhere else"},
    ),
    # Its API does not start with a newer fastapi, which 3.3 says of itself; `dag.test()` fails with a newer svcs.
    Version("airflow-3.2", AIRFLOW, ("apache-airflow==3.2.*", "fastapi<0.137", "svcs<26"), _OWN_WAITS),
    Version(
        f"dagster-{_LOWEST}", DAGSTER,
        tuple(f"{package}=={_LOWEST}" for package in ("dagster", "dagster-webserver", "dagster-dg-cli")), {},
    ),
)  # fmt: skip
VERSIONS = {version.name: version for version in _VERSIONS}


def main(arguments: list[str] | None = None) -> int:
    """Run the tests under each version that is asked for; 0 when all have passed."""
    parser = argparse.ArgumentParser(prog="python -m tools.orchestrator_versions", description=__doc__)
    parser.add_argument("version", nargs="*", help=f"{', '.join(VERSIONS)}; all if none is named")
    parser.add_argument("--standalone", action="store_true", help="with the tests of a running orchestrator")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.version) - set(VERSIONS):
        parser.error(f"no such version: {', '.join(sorted(unknown))}; there are {', '.join(VERSIONS)}")
    chosen = [VERSIONS[name] for name in asked.version or VERSIONS]
    results = [_tested(version, standalone=asked.standalone) for version in chosen]
    for line, _ in results:
        _say(line)
    return 0 if all(passed for _, passed in results) else 1


def _tested(version: Version, *, standalone: bool) -> tuple[str, bool]:
    """Return a line with the version and the counts, and whether all tests have passed."""
    prepare(version)
    found = _versions(version)
    _say(found)
    for test, reason in version.without.items():
        _say(f"not for it: {test}: {reason}")
    # Warnings are no errors here: old versions warn of newer packages, which is nobody's fault.
    command = [
        version.python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "-o", "filterwarnings=default",
        "--disable-warnings", *version.of.tests,
        *(() if standalone else (f"--ignore={place}" for place in version.of.running)),
        *(word for test in version.without for word in ("--deselect", test)),
    ]  # fmt: skip
    began = time.monotonic()
    done = _run(command, check=False)
    counts = done.stdout.strip().rpartition("\n")[2].strip("= ")
    if done.returncode:
        _say(done.stdout)
    return f"{found}: {counts or 'no tests'} ({time.monotonic() - began:.0f} s)", done.returncode == 0


def prepare(version: Version) -> None:
    """Make the environment, unless it is there and made of the same."""
    mark = version.folder / "made-of"
    made_of = _made_of(version)
    if mark.exists() and mark.read_text(encoding="utf-8") == made_of:
        return
    _say(f"making {version.folder.relative_to(ROOT)}")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, version.folder])
    _run([uv, "pip", "install", "--quiet", "--python", version.python, *version.requirements()])
    mark.write_text(made_of, encoding="utf-8")


def _made_of(version: Version) -> str:
    digest = hashlib.sha256("\n".join(version.requirements()).encode())
    for name in ("pyproject.toml", "uv.lock"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _versions(version: Version) -> str:
    """Return which one it is, and with which of what it depends on most."""
    names = version.of.told
    code = f"from importlib.metadata import version as v; print(*(f'{{one}} {{v(one)}}' for one in {names}), sep=', ')"
    return _run([version.python, "-c", code]).stdout.strip()


def _run(command: Sequence[str | Path], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout, without the settings of an Airflow of whoever runs this."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env = kept | {"AIRFLOW__API_AUTH__JWT_SECRET": "of-the-tests-" + "x" * 64}  # `dag.test()` of 3.2 wants one
    return subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=check)  # noqa: S603 - our own commands


def _say(line: str) -> None:
    sys.stdout.write(line + os.linesep)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
