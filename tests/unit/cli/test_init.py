"""The project that `flow init` makes; tests/e2e runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ematix_core.cli import init as command
from ematix_core.cli.root import flow

FILES = ["ematix.toml", "pipelines.py", "README.md", "data/shop.db", "data/orders/2026-01.csv"]


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
def test_init_writes_a_project_and_says_what_to_type_next() -> None:
    result = CliRunner().invoke(flow, ["init", "shop"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        *(f"wrote shop/{name}" for name in FILES),
        "",
        "Next:",
        "  cd shop",
        "  flow run          # load everything",
        "  flow plan orders  # see what a run does, and why",
    ]
    assert all(Path("shop", name).is_file() for name in FILES)


@pytest.mark.usefixtures("_here")
def test_init_here_needs_no_cd() -> None:
    assert "cd" not in CliRunner().invoke(flow, ["init"]).stdout.split()


@pytest.mark.usefixtures("_here")
def test_init_never_overwrites() -> None:
    Path("pipelines.py").write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(flow, ["init"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: not overwriting pipelines.py\n")
    assert [path.name for path in Path().iterdir()] == ["pipelines.py"]


@pytest.mark.usefixtures("_here")
def test_init_lists_its_files_as_json() -> None:
    result = CliRunner().invoke(flow, ["init", "shop", "--json"])
    assert json.loads(result.stdout) == {"folder": "shop", "files": [f"shop/{name}" for name in FILES]}


def test_missing_driver_is_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert command.next_steps(Path())[0] == 'pip install "ematix[sqlite]"'


@pytest.mark.usefixtures("_here")
def test_two_projects_have_the_same_data() -> None:
    for folder in ("a", "b"):
        CliRunner().invoke(flow, ["init", folder])
    assert Path("a", FILES[4]).read_bytes() == Path("b", FILES[4]).read_bytes()
