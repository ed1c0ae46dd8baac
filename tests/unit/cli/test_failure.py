"""Errors as users see them."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ematix_core.cli.failure import users_trace
from ematix_core.cli.options import output_options
from ematix_core.cli.root import Root
from ematix_core.errors import (
    CancelledError,
    ConnectError,
    DeclarationError,
    MissingDriverError,
    ProjectError,
    RunError,
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


def _raise_in(module: Path, source: str) -> Exception:
    """Return what the body of a user's module raises."""
    module.write_text(source, encoding="utf-8")
    names: dict[str, object] = {}
    exec(compile(source, str(module), "exec"), names)  # noqa: S102 - a user's module
    body = names["body"]
    assert callable(body)
    try:
        body()
    except ZeroDivisionError as error:
        return error
    raise AssertionError("the body did not raise")


def test_users_own_exception_is_shown_without_our_frames(tmp_path: Path) -> None:
    module = tmp_path / "pipelines.py"
    error = RunError("the job's function raised", where="job orders")
    error.__cause__ = _raise_in(module, "def body():\n    return 1 / 0\n")
    stderr = _fail(error).stderr
    assert f'File "{module}", line 2, in body' in stderr
    assert "ematix_core" not in stderr
    assert stderr.endswith("ZeroDivisionError: division by zero\nerror: the job's function raised (job orders)\n")


def test_drivers_exception_is_no_traceback_of_the_users() -> None:
    error = ConnectError("cannot reach shop")
    try:
        json.loads("{")
    except ValueError as cause:
        cause.__traceback__ = cause.__traceback__ and cause.__traceback__.tb_next
        error.__cause__ = cause
    assert _fail(error).stderr == "error: cannot reach shop\n"


def test_module_that_raises_is_shown_by_its_own_traceback() -> None:
    error = ProjectError("cannot load pipelines: NameError: x", traceback="Traceback ...\nNameError: x")
    assert _fail(error).stderr == "Traceback ...\nNameError: x\nerror: cannot load pipelines: NameError: x\n"


def test_wrong_declaration_is_shown_by_itself_with_its_line() -> None:
    error = ProjectError("cannot load pipelines: DeclarationError: ...", where="pipelines.py, line 3", traceback="T")
    error.__cause__ = DeclarationError("unknown mode 'mrge'", where="job orders", hint="Did you mean 'merge'?")
    expected = "error: unknown mode 'mrge' (pipelines.py, line 3, job orders)\nDid you mean 'merge'?\n"
    assert _fail(error).stderr == expected


def test_the_frames_of_a_compiled_driver_are_not_the_users() -> None:
    error = SqlError("syntax error", statement="SELEC 1")
    try:
        exec(compile("1 / 0", "driver/protocol.pyx", "exec"), {"__file__": "driver"})  # noqa: S102 - makes such a frame
    except ZeroDivisionError as raised:
        raised.__traceback__ = raised.__traceback__ and raised.__traceback__.tb_next
        error.__cause__ = raised
    assert users_trace(error) == ""
