"""`flow list`, `validate`, `connections` and `secrets`: what is declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core import engine
from ematix_core.errors import ConnectError

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection
    from tests.unit.cli.conftest import Flow

LISTED = Path(__file__).with_name("list.txt")
pytestmark = pytest.mark.usefixtures("project")


def test_list_shows_jobs_workflows_and_connections(flow: Flow) -> None:
    assert flow("list").stdout == LISTED.read_text(encoding="utf-8")


def test_list_of_some_jobs_shows_only_these(flow: Flow) -> None:
    lines = flow("list", "+orders").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["job", "orders"]


def test_list_as_json(flow: Flow) -> None:
    document = json.loads(flow("list", "--json").stdout)
    assert document["jobs"][0] == {
        "job": "customers",
        "source": "shop",
        "targets": [{"table": "crm.customers", "connection": "lake", "mode": "merge"}],
        "watermark": None,
        "depends_on": [],
        "schedule": None,
        "workflows": ["nightly"],
        "module": "pipelines",
        "owner": "",
        "tags": [],
        "doc": "Customers of the shop.",
    }
    assert document["workflows"][0]["jobs"] == ["customers", "revenue"]
    assert document["connections"][0] == {"connection": "shop", "kind": "memory", "settings": {}}


def test_empty_module_declares_nothing(flow: Flow) -> None:
    Path("empty.py").write_text("", encoding="utf-8")
    assert flow("list", "empty.py").stdout == "nothing is declared\n"


def test_validate_counts_what_it_checked(flow: Flow) -> None:
    assert flow("validate").stdout == "ok: 3 jobs, 1 workflow, 2 connections, 0 tables\n"
    expected = {"valid": True, "jobs": 3, "workflows": 1, "streams": 0, "connections": 2, "tables": 0}
    assert json.loads(flow("validate", "--json").stdout) == expected


def test_validate_finds_a_connection_that_nobody_declares(flow: Flow) -> None:
    source = "import ematix_core as ematix\n\n@ematix.job(target='t', target_connection='lkae')\ndef extra(): ...\n"
    Path("other.py").write_text(source, encoding="utf-8")
    result = flow("validate", "other.py")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no connection is named 'lkae' (used by extra)\n")


@pytest.mark.parametrize(("name", "near"), [("custmers", "customers"), ("pipelins", "pipelines"), ("nope", None)])
def test_validate_refuses_a_name_that_nothing_has(name: str, near: str | None, flow: Flow) -> None:
    result = flow("validate", name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: no module, job, workflow or stream is named {name!r}\n")
    assert (f"Did you mean {near!r}?" in result.stderr) is (near is not None)
    assert flow("validate", "customers").exit_code == 0


@pytest.mark.parametrize("command", [["connections"], ["connections", "list"]])
def test_connections_are_listed_with_their_origin(
    command: list[str], flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMATIX_CONNECTION_CRM", "postgresql://bob:hunter2@db/crm")
    listed = json.loads(flow(*command, "--json").stdout)["connections"]
    assert [(one["connection"], one["kind"], one["from"]) for one in listed] == [
        ("crm", "postgres", "EMATIX_CONNECTION_CRM"),
        ("lake", "postgres", "the project"),
        ("shop", "memory", "the project"),
    ]
    text = flow(*command).stdout
    assert "bob:***@db" in text
    assert "hunter2" not in text


def test_connections_need_no_modules(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ematix.toml").unlink()
    assert flow("connections").stdout == "no connection is declared\n"
    monkeypatch.setenv("EMATIX_CONNECTION_CRM", "memory:")
    assert flow("connections", "list", "crm").stdout.splitlines()[1].split()[:2] == ["crm", "memory"]


def test_unknown_connection_suggests_the_nearest(flow: Flow) -> None:
    result = flow("connections", "check", "lakes")
    assert result.exit_code == 2
    assert "no connection is named 'lakes'\nDid you mean 'lake'?" in result.stderr


def _check(connection: Connection) -> str:
    if connection.name == "lake":
        raise ConnectError("cannot reach db", hint="Is it running?")
    return "memory, DuckDB 2"


def test_check_says_what_answers_and_fails_when_one_does_not(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "check_connection", _check)
    result = flow("connections", "check")
    assert result.exit_code == 1
    assert [line.split()[:3] for line in result.stdout.splitlines()[1:]] == [
        ["lake", "postgres", "failed"],
        ["shop", "memory", "ok"],
    ]
    assert result.stderr == "error: cannot reach db (connection lake)\nIs it running?\n"
    assert flow("connections", "check", "shop").exit_code == 0
    document = json.loads(flow("connections", "check", "--json").stdout)
    assert [one["status"] for one in document["connections"]] == ["failed", "ok"]


def test_fault_of_one_backend_does_not_hide_the_others(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(connection: Connection) -> str:
        return str(1 / 0) if connection.name == "lake" else "memory"

    monkeypatch.setattr(engine, "check_connection", check)
    result = flow("connections", "check")
    assert result.stdout.splitlines()[2].split()[:3] == ["shop", "memory", "ok"]
    assert result.stderr == "error: unexpected ZeroDivisionError: division by zero (connection lake)\n"


FILES = """
import ematix_core as ematix

made = ematix.{kind}("made", path="made.db")
read = ematix.{kind}("read", path="read.db")
lost = ematix.{kind}("lost", path="no/such/folder/lost.db")

@ematix.job(source_connection=read, targets=[ematix.target("a", connection=made), ematix.target("a", connection=lost)])
def load():
    return "SELECT 1 AS id"
"""


@pytest.mark.parametrize("kind", ["DuckDBConnection", "SQLiteConnection"])
def test_file_that_the_first_run_makes_is_no_failure(kind: str, flow: Flow) -> None:
    Path("files.py").write_text(FILES.format(kind=kind), encoding="utf-8")
    result = flow("connections", "check", "-m", "files")
    assert result.exit_code == 1
    statuses = {line.split()[0]: line.split()[2] for line in result.stdout.splitlines()[1:]}
    assert statuses == {"lost": "failed", "made": "ok", "read": "failed"}
    assert "not there yet: the first run creates it" in result.stdout
    assert "A source is never created" in result.stderr
    assert flow("connections", "check", "-m", "files", "made").exit_code == 0
    assert not Path("made.db").exists()


def test_secrets_are_resolved_and_never_shown(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PASSWORD", "hunter2")
    result = flow("secrets", "test")
    assert result.exit_code == 0
    assert [line.split()[:4] for line in result.stdout.splitlines()[1:]] == [
        ["lake", "url", "${LAKE_PASSWORD}", "ok"],
        ["lake", "url", "${LAKE_HOST}", "default"],
    ]
    assert "hunter2" not in result.output


def test_secret_that_cannot_be_resolved_fails(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_PASSWORD", raising=False)
    result = flow("secrets", "test", "lake", "--json")
    assert result.exit_code == 1
    statuses = [(one["reference"], one["status"]) for one in json.loads(result.stdout)["references"]]
    assert statuses == [("${LAKE_PASSWORD}", "failed"), ("${LAKE_HOST}", "default")]
    assert flow("secrets", "test", "shop").stdout == "no connection holds a ${...} reference\n"
