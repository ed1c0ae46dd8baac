"""The hook: where the store is, by connection, environment or file; and the form's test button."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ematix_provider.hooks import EmatixHook

from ematix_core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def connection(monkeypatch: pytest.MonkeyPatch, name: str = "ematix_default", **fields: Any) -> None:  # noqa: ANN401 - a connection's fields
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "ematix", **fields}))


def test_the_connection_says_where_project_and_store_are(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"store": "sqlite:////runs.db", "directory": "/opt/shop", "modules": "pipelines, other.py"}
    connection(monkeypatch, extra=extra)
    site = EmatixHook(default_directory="/dags").site()
    assert (site.store, site.directory, site.modules) == ("sqlite:////runs.db", "/opt/shop", ("pipelines", "other.py"))


def test_what_a_task_says_holds_over_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, extra={"directory": "/opt/shop", "modules": ["pipelines"]})
    site = EmatixHook(modules=["mine.py"], directory="/mine").site()
    assert (site.directory, site.modules) == ("/mine", ("mine.py",))


def test_host_user_and_password_make_the_url_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, "runs", host="db", login="me", password="p@${x}", schema="ematix", port=5433)  # noqa: S106 - a test's own
    assert EmatixHook("runs").site().store == "postgresql://me:p%40%24%7Bx%7D@db:5433/ematix"
    connection(monkeypatch, "runs", host="db", login="me", schema="ematix", extra={"database": "mysql"})
    assert EmatixHook("runs").site().store == "mysql://me@db/ematix"


def test_without_the_default_connection_environment_and_file_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ematix.toml").write_text('[store]\nurl = "sqlite:///mine.db"\n')
    monkeypatch.delenv("EMATIX_STORE", raising=False)
    site = EmatixHook(default_directory=str(tmp_path)).site()
    assert site.store == ""
    with site.opened() as opened:
        assert opened.settings.store == f"sqlite:///{tmp_path}/mine.db"
    assert (tmp_path / "mine.db").exists()


def test_another_name_that_airflow_does_not_have_is_an_error_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"Airflow has no connection 'prod'.*\nAdd it: airflow connections add prod"):
        EmatixHook("prod").site()


def test_a_connection_of_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://u:p@h/d")
    with pytest.raises(ConfigError, match="'shop' is of type 'postgres', not ematix"):
        EmatixHook("shop").site()


def test_the_test_button_opens_the_store_and_counts_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, extra={"store": f"sqlite:///{tmp_path}/runs.db"})
    ok, told = EmatixHook().test_connection()
    assert ok
    assert told.startswith("ematix 0.")
    assert told.endswith("the store opens, and has 0 runs of jobs")


def test_the_test_button_says_why_the_store_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    connection(monkeypatch, extra={"store": f"sqlite:///{tmp_path}/file/runs.db"})
    ok, told = EmatixHook().test_connection()
    assert not ok
    assert f"{tmp_path}/file/runs.db" in told


def test_the_page_of_a_run_is_known_when_the_connection_says_where_the_pages_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert EmatixHook().run_url("r1") == ""
    connection(monkeypatch, extra={"web_url": "https://flow.example.com/"})
    assert EmatixHook().run_url("r1") == "https://flow.example.com/runs/r1"
