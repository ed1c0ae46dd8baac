"""`flow compile` in a folder as a user has it: what is written, what is said of it in CI, and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FLOW = str(Path(sys.executable).with_name("flow"))

PIPELINES = """
import ematix_core as ematix

print("imported")

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.job(target="orders", target_connection=warehouse)
def orders():
    return "SELECT 1 AS id"

@ematix.job(target="totals", target_connection=warehouse, depends_on=[orders], schedule="0 6 * * *")
def totals():
    return "SELECT count(*) AS n FROM orders"

nightly = ematix.workflow("nightly", jobs=[orders], schedule="0 2 * * *")
"""


def _flow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EMATIX_", "XDG_"))}
    return subprocess.run(
        [FLOW, *arguments], cwd=folder, env=kept | {"HOME": str(folder)}, capture_output=True, text=True, check=False
    )


def _data(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = _flow(folder, "compile", *arguments, "--json")
    assert done.returncode == code, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a module that the settings name."""
    (tmp_path / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    (tmp_path / "ematix.toml").write_text('[project]\nmodules = ["pipelines"]\n', encoding="utf-8")
    return tmp_path


def test_the_file_is_written_beside_the_modules_and_its_contents_are_told(folder: Path) -> None:
    done = _flow(folder, "compile")
    file = folder / "pipelines.ematix.json"
    digest = json.loads(file.read_text(encoding="utf-8"))["hash"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote pipelines.ematix.json: 1 workflow, 2 jobs, hash {digest[:12]}\n"
    assert not (folder / "warehouse.duckdb").exists()
    assert oct(file.stat().st_mode & 0o666) == oct((folder / "pipelines.py").stat().st_mode & 0o666)


def test_json_names_what_is_in_it(folder: Path) -> None:
    data = _data(folder, "-m", "pipelines.py", "-o", "out.json")
    written = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert data == {
        "file": "out.json", "hash": written["hash"], "modules": ["pipelines.py"], "workflows": ["nightly"],
        "jobs": ["orders", "totals"],
        "streams": [],
    }  # fmt: skip


def test_check_says_what_has_changed_and_writes_nothing(folder: Path) -> None:
    missing = _flow(folder, "compile", "--check")
    assert missing.returncode == 1
    assert missing.stdout == (
        "pipelines.ematix.json is not up to date:\n- it is not there\nRun: flow compile --module pipelines\n"
    )
    _data(folder)
    assert _data(folder, "--check")["up_to_date"] is True
    assert _flow(folder, "compile", "--check").stdout.startswith(
        "pipelines.ematix.json is up to date: 1 workflow, 2 jobs, hash "
    )
    before = (folder / "pipelines.ematix.json").read_bytes()
    (folder / "pipelines.py").write_text(f"{PIPELINES}# more", encoding="utf-8")
    changed = _data(folder, "--check", code=1)
    assert (changed["up_to_date"], changed["changes"]) == (False, ["pipelines.py has changed"])
    assert (folder / "pipelines.ematix.json").read_bytes() == before


def test_a_comment_changes_the_file_and_not_the_hash(folder: Path) -> None:
    before = _data(folder)["hash"]
    (folder / "pipelines.py").write_text(f"{PIPELINES}# more", encoding="utf-8")
    assert _data(folder)["hash"] == before
    (folder / "pipelines.py").write_text(PIPELINES.replace("0 2", "0 3"), encoding="utf-8")
    assert _data(folder)["hash"] != before


def test_the_command_that_is_suggested_is_the_one_that_helps(folder: Path) -> None:
    (folder / "dags").mkdir()
    done = _flow(folder, "compile", "-m", "pipelines.py", "-o", "dags/shop.json", "--check")
    suggested = done.stdout.splitlines()[-1].removeprefix("Run: flow ")
    assert suggested == "compile --module pipelines.py -o dags/shop.json"
    assert _flow(folder, *suggested.split()).returncode == 0
    assert _flow(folder, "compile", "-m", "pipelines.py", "-o", "dags/shop.json", "--check").returncode == 0


def test_a_broken_project_is_an_error_with_all_its_problems(folder: Path) -> None:
    more = 'lost = ematix.workflow("lost", jobs=[orders], triggered_by=["nihgtly", "totlas"])\n'
    (folder / "pipelines.py").write_text(PIPELINES + more, encoding="utf-8")
    done = _flow(folder, "compile")
    assert done.returncode == 2
    assert "error: the project has 2 problems:" in done.stderr
    assert "Did you mean 'nightly'?" in done.stderr
    assert "Did you mean 'totals'?" in done.stderr
    assert not (folder / "pipelines.ematix.json").exists()


def test_a_module_that_raises_shows_the_users_own_lines(folder: Path) -> None:
    (folder / "pipelines.py").write_text(f"{PIPELINES}\nraise KeyError('x')", encoding="utf-8")
    done = _flow(folder, "compile")
    assert done.returncode == 2
    assert "cannot load pipelines: KeyError: 'x'" in done.stderr
    assert "ematix_core/" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "nothing"], "error: there is no module 'nothing'"),
        (["-o", "missing/out.json"], "error: the compiled project cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_read_or_written_is_said(folder: Path, arguments: list[str], message: str) -> None:
    done = _flow(folder, "compile", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_modules_the_settings_are_asked_for(tmp_path: Path) -> None:
    done = _flow(tmp_path, "compile")
    assert done.returncode == 2
    assert "error: no modules are configured" in done.stderr
