"""Errors say where a database is in the user's own words; sessions are compared by what those mean."""

from __future__ import annotations

import pytest

from ematix_core.backends.postgres.address import Address, address
from ematix_core.backends.postgres.failures import translate
from ematix_core.model.connection import PostgresConnection


def at(host: str) -> Address:
    return address(PostgresConnection("p", url=f"postgresql://me@{host}/d"))


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.1", "127.0.0.1:5432"),
        ("localhost:5433", "localhost:5433"),
        ("DB.example.com", "DB.example.com:5432"),
        ("[::1]:5433", "[::1]:5433"),
        ("a:1,b:2", "a:1,b:2"),
        ("", "localhost:5432"),
    ],
)
def test_errors_name_the_host_as_the_url_does(host: str, told: str) -> None:
    error = translate(ConnectionRefusedError(), at(host))
    assert error.what == f"nothing listens at {told}"
    assert f"PostgreSQL database d at {told} as me" in error.where


def test_names_of_this_machine_are_one_session() -> None:
    assert at("127.0.0.1").same_session(at("LOCALHOST:5432"))
    assert at("[::1]").same_session(at(""))
    assert not at("127.0.0.1").same_session(at("127.0.0.1:5433"))
    assert not at("127.0.0.1").same_session(at("db.example.com"))
