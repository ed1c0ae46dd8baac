"""The table of commands and what `flow` itself does."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from ematix_core.cli.root import COMMANDS, flow


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_in_the_table_is_the_first_line_of_the_commands_own_help(name: str) -> None:
    command = flow.get_command(click.Context(flow), name)
    assert command is not None
    if name == command.name:
        assert (command.help or "").splitlines()[0].startswith(COMMANDS[name].summary.removesuffix("."))
    else:
        assert COMMANDS[name].summary == f"The same as {command.name}."


def test_help_imports_no_command_and_no_drawing_library() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from ematix_core.cli.root import flow;"
        "assert CliRunner().invoke(flow, ['--help']).exit_code == 0;"
        "print(*sorted(m for m in sys.modules if m.startswith(('ematix_core.', 'rich'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours = ["cli", "cli.exit_codes", "cli.options", "cli.process", "cli.root"]
    assert done.stdout.split() == [f"ematix_core.{name}" for name in ours]


def test_version_is_the_installed_one() -> None:
    assert CliRunner().invoke(flow, ["--version"]).stdout == f"ematix {version('ematix')}\n"


def test_python_m_is_flow() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ematix_core", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"ematix {version('ematix')}\n"


def test_unknown_command_suggests_the_nearest() -> None:
    result = CliRunner().invoke(flow, ["rnu"])
    assert result.exit_code == 2
    assert "There is no command 'rnu'. Did you mean 'run'?" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_calls_back_into_flow(shell: str) -> None:
    result = CliRunner().invoke(flow, ["completion", shell])
    assert result.exit_code == 0
    assert f"_FLOW_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("flow run c", ["customers"]),
        ("flow plan ", ["customers", "orders", "revenue", "nightly"]),
        ("flow ru", ["run", "run-due", "runs"]),
    ],
)
def test_shell_completes_commands_and_jobs(words: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    result = CliRunner().invoke(flow, prog_name="flow", env={"_FLOW_COMPLETE": "bash_complete"})
    assert [line.split(",")[1] for line in result.stdout.splitlines()] == expected


@pytest.mark.usefixtures("folder")
def test_completion_without_a_project_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "flow run c")
    monkeypatch.setenv("COMP_CWORD", "2")
    result = CliRunner().invoke(flow, prog_name="flow", env={"_FLOW_COMPLETE": "bash_complete"})
    assert not result.output.strip()


def test_reader_that_leaves_early_causes_no_noise() -> None:
    program = f"{sys.executable} -m ematix_core completion zsh | true; sleep 0.1"
    done = subprocess.run(["/bin/bash", "-c", program], capture_output=True, text=True, check=False)
    assert not done.stderr
