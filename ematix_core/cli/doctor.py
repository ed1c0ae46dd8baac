"""`flow doctor`: what is installed, what is set, and what would fail."""

from __future__ import annotations

import platform
import shutil
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ematix_core.cli.exit_codes import FAILED
from ematix_core.cli.loading import tally
from ematix_core.cli.options import project_options
from ematix_core.cli.output import local_time, print_json, print_table, styled_status
from ematix_core.errors import EmatixError, MissingDriverError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.config.settings import Settings

LOW_SPACE = 1 << 30
"""Free bytes below which a disk is called low: DuckDB and the staging of large loads spill to it."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `status`: `ok`, `missing` (not needed by itself) or `failed`."""

    subject: str
    status: str
    detail: str
    hint: str = ""


@click.command("doctor")
@project_options
def doctor(modules: tuple[str, ...], *, as_json: bool) -> None:
    """Look at the installation, the settings and the store.

    Says what is missing and the command that brings it. Exit code 1 when something is broken.
    """
    findings = list(examine(modules))
    if as_json:
        print_json({"findings": [asdict(one) for one in findings]})
    else:
        print_table(
            ("", "status", "detail"), [(one.subject, styled_status(one.status), one.detail) for one in findings]
        )
        for one in findings:
            if one.hint:
                click.echo(f"{one.subject}: {one.hint}")
    if any(one.status == "failed" for one in findings):
        click.get_current_context().exit(FAILED)


def examine(modules: Sequence[str]) -> Iterator[Finding]:
    """Look at everything and yield what was found, in order."""
    yield Finding("ematix", "ok", f"{version('ematix')}, Python {platform.python_version()}, {platform.platform()}")
    yield from _backends()
    yield from _project(modules)
    for folder in dict.fromkeys([Path.cwd(), Path(tempfile.gettempdir())]):
        yield _space(folder)


def _backends() -> Iterator[Finding]:
    from ematix_core.backends.registry import kinds

    for kind in kinds():
        yield _backend(kind)


def _backend(kind: str) -> Finding:
    """Make a source of the kind without opening it: that is when a backend asks for its driver."""
    from ematix_core.backends.registry import source
    from ematix_core.model.connection import make_connection

    try:
        source(make_connection("doctor", kind, {})).close()
    except MissingDriverError as error:
        return Finding(f"backend {kind}", "missing", error.what, error.hint)
    except EmatixError:
        pass  # the driver is there: it is the empty connection that the backend does not like
    except Exception as error:  # noqa: BLE001 - another package's backend may fail in any way, which is the finding
        return Finding(f"backend {kind}", "failed", f"{type(error).__name__}: {error}")
    return Finding(f"backend {kind}", "ok", "driver installed")


def _project(modules: Sequence[str]) -> Iterator[Finding]:
    from ematix_core.config.settings import Settings

    try:
        settings = Settings.load()
    except EmatixError as error:
        yield _failed("settings", error)
        return
    there = [str(file.path) for file in settings.files if file.exists]
    looked = " and ".join(str(file.path) for file in settings.files)
    yield Finding("settings", "ok" if there else "missing", ", ".join(there) or f"no file at {looked}")
    chosen = tuple(modules) or settings.modules
    yield _modules(chosen) if chosen else Finding("modules", "missing", "none: see `flow init`, or pass --module NAME")
    yield _store(settings)


def _modules(chosen: Sequence[str]) -> Finding:
    from ematix_core.model.project import Project

    try:
        project = Project.load(*chosen)
    except EmatixError as error:
        return _failed("modules", error)
    return Finding("modules", "ok", f"{', '.join(chosen)}: {tally(project)}")


def _store(settings: Settings) -> Finding:
    from ematix_core.model.connection import mask
    from ematix_core.store.opening import open_store

    try:
        with open_store(settings.store) as store:
            latest = store.runs(limit=1)
    except EmatixError as error:
        return _failed("store", error)
    told = f"latest run {local_time(latest[0].started_at)}" if latest else "no run yet"
    return Finding("store", "ok", f"{mask(settings.store)}: {told}")


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    return Finding(
        "disk space", "ok" if free >= LOW_SPACE else "failed", f"{free / (1 << 30):,.1f} GiB free at {folder}"
    )


def _failed(subject: str, error: EmatixError) -> Finding:
    where = f" ({error.where})" if error.where else ""
    return Finding(subject, "failed", f"{error.what}{where}", error.hint)
