"""Which Airflow this is, and whether the adapter can work with it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from ematix_core.errors import UnsupportedError

OLDEST = (3, 1)


def check_airflow(found: str | None = None) -> None:
    """Raise UnsupportedError when Airflow (of version `found`, default the installed one) is older than 3.1 or absent.

    Raised while a DAG file is parsed, it is shown among the import errors.
    """
    wanted = ".".join(map(str, OLDEST))
    found = found or _version("apache-airflow-core") or _version("apache-airflow")
    if not found:
        raise UnsupportedError("Airflow is not installed", hint='Run: pip install "ematix[airflow]"')
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        raise UnsupportedError(
            f"ematix_airflow needs Airflow {wanted} or newer, and this is {found}",
            hint=f'Run: pip install "apache-airflow>={wanted}"',
        )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
