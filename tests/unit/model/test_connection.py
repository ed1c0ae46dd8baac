"""Connections: settings by name, and no secret ever shown."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core.errors import DeclarationError, MissingSourceError
from ematix_core.model.connection import make_connection, mask, named_connection

if TYPE_CHECKING:
    from collections.abc import Callable

# Long enough, and of letters that occur nowhere else in a URL, so that a leak cannot be a coincidence.
SECRET = st.text("QZ@:/'\\ %é=;&", min_size=1, max_size=8).map(lambda odd: f"QQ{odd}ZZ")
URL_SECRET = SECRET.map(lambda secret: re.sub(r"\s", "", secret))


def leaks(shown: str) -> bool:
    return "QQ" in shown or "ZZ" in shown


@given(URL_SECRET)
def test_a_password_in_a_url_is_never_shown(secret: str) -> None:
    text = f"cannot reach postgresql://bob:{secret}@db.example.com:5432/shop?sslmode=require, giving up"
    assert not leaks(mask(text))
    assert mask(text).startswith("cannot reach postgresql://bob:***@")


@given(st.sampled_from(["password", "PGPASSWORD", "api_key", "aws.secret_access_key", "Pwd"]), SECRET)
def test_a_quoted_password_parameter_is_never_shown(name: str, secret: str) -> None:
    quoted = secret.replace("\\", "\\\\").replace("'", "\\'")
    assert mask(f"host=db {name} = '{quoted}' dbname=shop") == f"host=db {name} = *** dbname=shop"


@given(
    st.sampled_from(["password", "client_secret", "token", "sslkey_passphrase", "credentials", "private_key"]), SECRET
)
def test_a_secret_setting_is_never_shown_however_deep(name: str, secret: str) -> None:
    settings = {name: secret, "options": {"auth": {name: secret}, "hosts": [{name: [secret]}]}}
    assert not leaks(repr(make_connection("shop", "postgres", settings)))


def test_what_is_no_secret_stays_readable() -> None:
    shop = make_connection("shop", "postgres", {"url": "postgresql://bob:${PW}@db/shop", "sslmode": "require"})
    assert repr(shop) == "PostgresConnection('shop', url='postgresql://bob:***@db/shop', sslmode='require')"
    assert shop.settings()["url"] == "postgresql://bob:${PW}@db/shop"


def test_the_decorator_names_the_connection_after_the_class() -> None:
    @ematix.connection
    class lake:  # noqa: N801 - connections are named in lower case
        kind = "objects"
        path = "data"
        delimiter = ";"

    assert named_connection(lake, "target_connection") == ematix.ObjectStoreConnection(
        "lake", path="data", options={"delimiter": ";"}
    )


def test_a_connection_without_a_kind_is_refused() -> None:
    with pytest.raises(DeclarationError) as caught:

        @ematix.connection
        class lake:  # noqa: N801 - connections are named in lower case
            path = "data"

    assert str(caught.value) == (
        "connection 'lake' has no kind\n"
        "Set kind = '...'. "
        "Known: delta, duckdb, federated, glue, kafka, memory, mysql, objects, postgres, registry, sqlite."
    )


def test_the_decorator_may_have_empty_parentheses() -> None:
    @ematix.connection()
    class lake:  # noqa: N801 - connections are named in lower case
        kind = "duckdb"
        path = "lake.duckdb"

    assert named_connection(lake, "target_connection") == ematix.DuckDBConnection("lake", path="lake.duckdb")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_connection("wh", "duckdb", {"pth": "w.duckdb"}), (
            "unknown setting 'pth' (connection wh)\nDid you mean 'path'?")),
        (lambda: make_connection("lake", "objects", {"path": "x", "fromat": "csv"}), (
            "unknown setting 'fromat' (connection lake)\nDid you mean 'format'?")),
        (lambda: ematix.DuckDBConnection("wh", pth="w.duckdb"), (  # type: ignore[call-arg]  # the mistake
            "DuckDBConnection has no option 'pth' (connection wh)\n"
            "Did you mean 'path'? Known: name, options, path.")),
        (lambda: ematix.SQLiteConnection(path="shop.db"), (  # type: ignore[call-arg]  # the mistake
            "SQLiteConnection needs name=\nWrite the connection's name first.")),
        (lambda: ematix.connection(kind="duckdb"), (  # type: ignore[call-overload]  # the mistake
            "@ematix.connection has no option 'kind'\n"
            "The settings stand in the class: kind = '...', path = '...'.")),
        (lambda: ematix.connection("lake"), (  # type: ignore[call-overload]  # the mistake
            "@ematix.connection is given 'lake', which is no class\nWrite it over a class with kind = '...'.")),
    ],
)  # fmt: skip
def test_a_misspelled_setting_is_named_where_it_is_declared(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    assert str(caught.value) == message


def test_settings_of_the_driver_are_no_misspellings() -> None:
    made = make_connection("wh", "duckdb", {"path": "w.duckdb", "paths": 1, "threads": 2, "options": {"pth": 3}})
    assert made.options == {"paths": 1, "threads": 2, "pth": 3}


def test_the_tables_of_a_memory_connection_can_be_read() -> None:
    memory = ematix.MemoryConnection("m", tables={"crm.orders": pa.table({"id": [1]})})
    assert memory.table("crm.orders").to_pylist() == [{"id": 1}]
    with pytest.raises(MissingSourceError) as caught:
        memory.table("orders")
    assert str(caught.value) == (
        "there is no table orders (connection m)\nDid you mean 'crm.orders'? Known: crm.orders."
    )


def test_equal_settings_make_equal_connections() -> None:
    first, second = (make_connection("shop", "postgres", {"url": "x", "a": [1]}) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


def test_memory_connections_are_equal_only_to_themselves() -> None:
    first, second = ematix.MemoryConnection("m"), ematix.MemoryConnection("m")
    assert first != second
    assert len({first, second, first}) == 2


def test_an_undecorated_class_is_no_connection() -> None:
    with pytest.raises(DeclarationError, match=r"source_connection=<class .* is no connection"):
        named_connection(dict, "source_connection")


def test_masking_a_long_word_takes_no_longer_than_its_letters() -> None:
    began = time.process_time()
    assert mask("x" * 200_000) == "x" * 200_000
    assert time.process_time() - began < 1.0
