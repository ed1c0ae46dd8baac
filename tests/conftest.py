"""What holds for every test session: a skipped test fails CI, files do not see each other's projects, who runs what."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

ORCHESTRATORS = (
    "tests/adapters/airflow/test_standalone.py", "tests/adapters/airflow/test_streams_standalone.py",
    "tests/adapters/dagster/e2e/", "tests/e2e/three_engines/", "tests/providers/test_standalone.py",
)  # fmt: skip
"""Files and folders whose tests start a whole Airflow or Dagster, half a dozen processes each: one is enough for two
cores, and two at a time let each other's waits run out."""
SKIPPED = 6
"""The exit code of a session in CI that skipped tests; pytest's own end at 5."""

pytest_plugins = ["tests.servers.s3", "tests.servers.kafka", "tests.servers.registry"]


@pytest.fixture(scope="module", autouse=True)
def _projects_are_forgotten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave no project of this file's tests behind: the next file's may have modules of the same names."""
    paths, known, folder = sys.path[:], set(sys.modules), tmp_path_factory.getbasetemp()
    yield
    sys.path[:] = paths
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Give each worker file after file, as `--dist loadfile` does, but one of them all that start an orchestrator."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler.loadfile import LoadFileScheduling

    class OneOrchestrator(LoadFileScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return "orchestrators" if nodeid.startswith(ORCHESTRATORS) else super()._split_scope(nodeid)

    return OneOrchestrator(config, log)


def _skips(config: pytest.Config) -> Iterator[tuple[str, str]]:
    """Yield test and reason of each skip; nothing in an xdist worker, which has no terminal to collect them."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        yield report.nodeid, reason


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session with skips, in CI only, with a code of its own: no second try of failed tests mends it."""
    if os.environ.get("CI") and any(_skips(session.config)):
        session.exitstatus = SKIPPED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how many tests were skipped in CI, and why."""
    if not os.environ.get("CI"):
        return
    skips = list(_skips(config))
    terminalreporter.write_line(f"skipped tests: {len(skips)}" + (", and in CI none may be:" if skips else ""))
    for test, reason in skips:
        terminalreporter.write_line(f"  {test}: {reason}")
