"""`ematix.toml`: what it may hold, which file wins, and what is said about a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.config.settings import Settings
from ematix_core.errors import ConfigError
from ematix_core.model.connection import DuckDBConnection

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, text: str | None = None, user: str | None = None, **environ: str) -> Settings:
    """Load settings from texts; the user's folder is `config` below `folder`."""
    if text is not None:
        (folder / "ematix.toml").write_text(text)
    if user is not None:
        (folder / "config" / "ematix").mkdir(parents=True)
        (folder / "config" / "ematix" / "ematix.toml").write_text(user)
    return Settings.load(folder, environ={"XDG_CONFIG_HOME": str(folder / "config"), **environ})


def test_without_files_the_store_is_below_the_directory(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.store == f"sqlite:///{tmp_path}/.ematix/runs.db"
    assert settings.modules == ()
    assert not settings.project_file.exists


def test_a_file_gives_modules_store_and_connections(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [project]
        modules = ["pipelines"]
        [store]
        url = "postgresql://runs"
        [connections.lake]
        kind = "duckdb"
        path = "${LAKE}"
        threads = 4
        """,
    )
    assert settings.modules == ("pipelines",)
    assert settings.store == "postgresql://runs"
    assert settings.project_file.connections == {
        "lake": DuckDBConnection("lake", path="${LAKE}", options={"threads": 4})
    }


def test_the_projects_file_wins_over_the_users(tmp_path: Path) -> None:
    settings = load(tmp_path, '[store]\nurl = "sqlite:////a"', '[store]\nurl = "b"\n[project]\nmodules = ["m"]')
    assert settings.store == "sqlite:////a"
    assert settings.modules == ("m",)


def test_the_environment_wins_over_the_files(tmp_path: Path) -> None:
    assert load(tmp_path, '[store]\nurl = "a"', EMATIX_STORE="sqlite:///b").store == "sqlite:///b"


def test_a_relative_store_counts_from_its_file(tmp_path: Path) -> None:
    assert load(tmp_path, '[store]\nurl = "sqlite:///x/runs.db"').store == f"sqlite:///{tmp_path}/x/runs.db"


def test_the_users_folder_is_below_home_by_default(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, environ={"HOME": "/home/ann"})
    assert str(settings.user_file.path) == "/home/ann/.config/ematix/ematix.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[stroe]", r"unknown table 'stroe' \(.*ematix.toml\)\nDid you mean 'store'"),
        ("[store]\nulr = ''", r"unknown key 'ulr' \(.*ematix.toml, \[store\]\)\nDid you mean 'url'"),
        ("[project]\nmodule = ['a']", "Did you mean 'modules'"),
        ("[project]\nmodules = 'a'", "must be a list"),
        ("store = 1", "store must be a table"),
        ("[store]\nurl = 1", "url must be text"),
        ("[connections]\nshop = 'x'", r"a connection is a table \(.*\[connections.shop\]"),
        ("[connections.shop]\nurl = 'x'", "no kind"),
        ("[connections.shop]\nkind = 'sqlite'\nname = 'x'", "Remove name"),
        ("[project]\n[store", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_file_and_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ematix.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ematix.toml").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)
