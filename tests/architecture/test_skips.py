"""The rule of tests/conftest.py: in CI a skipped test fails the session, elsewhere it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.architecture.checkout import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SKIPPED = 'import pytest\n\n\ndef test_one():\n    pytest.skip("no server")\n'
PASSED = "def test_one():\n    pass\n"
FAILED = SKIPPED + "\n\ndef test_two():\n    raise AssertionError\n"
A_TEST_WAS_SKIPPED = 6  # unlike pytest.ExitCode.TESTS_FAILED, after which CI tries again what failed


@pytest.mark.parametrize(
    ("continuous", "source", "exit_code", "summary"),
    [
        ("true", SKIPPED, A_TEST_WAS_SKIPPED, "test_it.py::test_one: Skipped: no server"),
        ("true", FAILED, A_TEST_WAS_SKIPPED, "test_it.py::test_one: Skipped: no server"),
        ("true", PASSED, pytest.ExitCode.OK, "skipped tests: 0"),
        ("", SKIPPED, pytest.ExitCode.OK, "1 skipped"),
    ],
)
def test_skip_fails_the_session_in_ci_only(
    continuous: str, source: str, exit_code: int, summary: str, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)]
    environment = os.environ | {"CI": continuous}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code, done.stdout
    assert summary in done.stdout
