"""Errors as users see them."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ematix_core.cli.options import output_options
from ematix_core.cli.root import Root
from ematix_core.errors import (
    CancelledError,
    ConnectError,
    DeclarationError,
    MissingDriverError,
    ProjectError,
    SqlError,
    UnknownConnectionError,
)


class _OneCommand(Root):
    """`flow` with a single command, which raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("flow")
        self._error = error

    def resolve_command(
        self, _ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        @click.command("fail")
        @output_options
        def fail(*, as_json: bool) -> None:
            assert isinstance(as_json, bool)
            raise self._error

        return "fail", fail, args[1:]


def _fail(error: BaseException, *options: str) -> Result:
    return CliRunner().invoke(_OneCommand(error), ["fail", *options])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeclarationError("x"), 2),
        (ProjectError("x"), 2),
        (UnknownConnectionError("x"), 2),
        (MissingDriverError("postgres", "psycopg", "postgres"), 2),
        (ConnectError("x"), 1),
        (SqlError("x", statement="SELECT"), 1),
        (CancelledError("x"), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 1),
    ],
)
def test_exit_code_tells_the_kind_of_failure(error: BaseException, code: int) -> None:
    assert _fail(error).exit_code == code


def test_error_is_what_where_and_hint_without_a_traceback() -> None:
    result = _fail(ConnectError("cannot reach shop", where="job orders", hint="Is it running?"))
    assert result.stderr == "error: cannot reach shop (job orders)\nIs it running?\n"
    assert not result.stdout


def test_debug_shows_the_traceback_too() -> None:
    stderr = _fail(ConnectError("cannot reach shop"), "--debug").stderr
    assert stderr.startswith("Traceback (most recent call last):")
    assert stderr.endswith("error: cannot reach shop\n")


def test_refused_statement_shows_its_faulty_line() -> None:
    error = SqlError("no column x", statement="SELECT x\nFROM t", position=7, hint="Look again.")
    assert _fail(error).stderr == "error: no column x\nline 1: SELECT x\n               ^\nLook again.\n"


def test_passwords_are_masked() -> None:
    error = ConnectError("cannot reach postgres://ann:hunter2@db/shop")
    assert "hunter2" not in _fail(error).output
    assert "hunter2" not in _fail(error, "--debug", "--json").output


def test_json_puts_the_error_on_stdout_as_one_document() -> None:
    result = _fail(ConnectError("cannot reach shop", where="job orders", hint="Is it running?"), "--json")
    assert json.loads(result.stdout) == {
        "error": {
            "type": "ConnectError", "what": "cannot reach shop", "where": "job orders", "hint": "Is it running?",
        }
    }  # fmt: skip


def test_unexpected_error_says_where_the_traceback_is() -> None:
    result = _fail(ZeroDivisionError("division by zero"))
    head, rest = result.stderr.splitlines()
    assert head == "error: unexpected ZeroDivisionError: division by zero"
    file = Path(rest.partition("The traceback is in ")[2].partition(" ")[0])
    assert "ZeroDivisionError: division by zero" in file.read_text(encoding="utf-8")
    file.unlink()


def test_users_own_exception_is_shown_without_our_frames(tmp_path: Path) -> None:
    module = tmp_path / "pipelines.py"
    module.write_text("def body():\n    return 1 / 0\n", encoding="utf-8")
    names: dict[str, object] = {}
    exec(compile(module.read_text(encoding="utf-8"), str(module), "exec"), names)  # noqa: S102 - a user's module
    body = names["body"]
    assert callable(body)
    try:
        body()
    except ZeroDivisionError as cause:
        error = ProjectError("cannot load pipelines")
        error.__cause__ = cause
    stderr = _fail(error).stderr
    assert f'File "{module}", line 2, in body' in stderr
    assert "ematix_core" not in stderr
    assert stderr.endswith("ZeroDivisionError: division by zero\nerror: cannot load pipelines\n")
