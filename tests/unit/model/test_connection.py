"""Connections: settings by name, and no secret ever shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ematix_core as ematix
from ematix_core.errors import DeclarationError
from ematix_core.model.connection import make_connection, mask, named_connection

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
    assert repr(shop) == "Connection('shop', url='postgresql://bob:***@db/shop', sslmode='require')"
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
        "connection 'lake' has no kind\nSet kind = '...'. Known: duckdb, memory, objects, sqlite."
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
