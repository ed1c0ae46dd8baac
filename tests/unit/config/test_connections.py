"""Finding connections by name, and connections written as URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.config.connection_url import connection_from_url
from ematix_core.config.connections import all_connections, find_connection, variable
from ematix_core.config.settings import Settings
from ematix_core.errors import ConfigError, UnknownConnectionError
from ematix_core.model.connection import (
    DeltaConnection,
    DuckDBConnection,
    ObjectStoreConnection,
    SQLiteConnection,
    make_connection,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection


def url(text: str) -> Connection:
    """Build a connection named c."""
    return connection_from_url("c", text, where="EMATIX_CONNECTION_C")


def load(folder: Path, **environ: str) -> Settings:
    """Load settings with `lake` and `my-shop` in the project's file, `lake` and `attic` in the user's."""
    (folder / "ematix.toml").write_text(
        '[connections.lake]\nkind = "duckdb"\npath = "project"\n[connections.my-shop]\nkind = "sqlite"\npath = "p"'
    )
    (folder / "ematix").mkdir()
    (folder / "ematix" / "ematix.toml").write_text(
        '[connections.lake]\nkind = "duckdb"\npath = "user"\n[connections.attic]\nkind = "duckdb"\npath = "user"'
    )
    return Settings.load(folder, environ={"XDG_CONFIG_HOME": str(folder), **environ})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:///shop.db", SQLiteConnection("c", path="shop.db")),
        ("sqlite:////data/a%20b.db", SQLiteConnection("c", path="/data/a b.db")),
        ("sqlite:///${DIR}/shop.db", SQLiteConnection("c", path="${DIR}/shop.db")),
        ("duckdb:///w.duckdb?threads=4", DuckDBConnection("c", path="w.duckdb", options={"threads": "4"})),
        ("file:///data/in?format=csv", ObjectStoreConnection("c", path="/data/in", format="csv")),
        ("file://localhost/data", ObjectStoreConnection("c", path="/data")),
        ("delta:lake?partition_by=day", DeltaConnection("c", path="lake", options={"partition_by": "day"})),
        ("file:in", ObjectStoreConnection("c", path="in")),
        ("s3://bucket/x?format=orc", ObjectStoreConnection("c", path="s3://bucket/x", format="orc")),
    ],
)
def test_a_url_of_a_path_gives_kind_path_and_settings(text: str, expected: Connection) -> None:
    assert url(text) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("postgresql://u:${file:/run/pw?#}@h/d?sslmode=require", "postgres"),
        ("postgres://h/d", "postgres"),
        ("postgresql+psycopg://h/d", "postgres"),
        ("mysql://h/d", "mysql"),
        ("mariadb://h/d", "mysql"),
        ("clickhouse://h/d", "clickhouse"),
    ],
)
def test_a_url_of_a_server_goes_to_its_kind_whole(text: str, kind: str) -> None:
    connection = url(text)
    assert (connection.kind, connection.settings()["url"]) == (kind, text)


def test_memory_needs_no_path() -> None:
    assert url("memory:").kind == "memory"


@pytest.mark.parametrize("text", ["hunter2", "sqlite://hunter2", "file://hunter2/x", "${A}", "duckdb:hunter2"])
def test_a_url_that_cannot_be_read_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError, match="EMATIX_CONNECTION_C") as error:
        url(text)
    assert "hunter2" not in str(error.value)


def test_variables_are_upper_case_with_underscores() -> None:
    assert variable("my-shop.eu") == "EMATIX_CONNECTION_MY_SHOP_EU"


def test_the_project_wins_then_the_environment_then_the_files(tmp_path: Path) -> None:
    settings = load(tmp_path, EMATIX_CONNECTION_LAKE="duckdb:///env")
    declared = {"lake": DuckDBConnection("lake", path="declared")}
    assert find_connection("lake", declared, settings) is declared["lake"]
    assert find_connection("lake", {}, settings) == DuckDBConnection("lake", path="env")
    plain = Settings(settings.directory, settings.project_file, settings.user_file, {})
    assert find_connection("lake", {}, plain) == DuckDBConnection("lake", path="project")
    assert find_connection("attic", {}, plain) == DuckDBConnection("attic", path="user")


def test_an_unknown_name_lists_the_places_and_near_matches(tmp_path: Path) -> None:
    with pytest.raises(UnknownConnectionError) as error:
        find_connection("lakes", {"shop": make_connection("shop", "mysql", {})}, load(tmp_path))
    text = str(error.value)
    assert "Looked in: the project, EMATIX_CONNECTION_LAKES (not set)" in text
    assert str(tmp_path / "ematix.toml") in text
    assert "Did you mean 'lake'? Known: attic, lake, my-shop, shop." in text


def test_all_connections_come_with_their_origin(tmp_path: Path) -> None:
    settings = load(
        tmp_path, EMATIX_CONNECTION_MY_SHOP="sqlite:///e", EMATIX_CONNECTION_NEW="sqlite:///n", EMATIX_CONNECTION_X=""
    )
    found = all_connections({"attic": DuckDBConnection("attic", path="declared")}, settings)
    assert [(item.connection.name, item.origin) for item in found] == [
        ("attic", "the project"),
        ("lake", str(tmp_path / "ematix.toml")),
        ("my-shop", "EMATIX_CONNECTION_MY_SHOP"),
        ("new", "EMATIX_CONNECTION_NEW"),
    ]
    for item in found:
        assert find_connection(item.connection.name, {}, settings) is not None
