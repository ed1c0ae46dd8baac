"""Resolving references in texts and connections."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.config.redact import Redactor
from ematix_core.config.references import escape
from ematix_core.config.secrets import resolve, resolve_connection
from ematix_core.errors import SecretError
from ematix_core.model.connection import MemoryConnection, SQLiteConnection, make_connection

if TYPE_CHECKING:
    from pathlib import Path


@given(st.text(), st.text(alphabet=st.characters(exclude_characters="\0")), st.text())
def test_a_value_lands_between_its_neighbours_unchanged(before: str, value: str, after: str) -> None:
    text = escape(before.rstrip("$")) + "${NAME}" + escape(after)
    assert resolve(text, environ={"NAME": value}) == before.rstrip("$") + value + after


def test_a_value_is_not_searched_for_further_references() -> None:
    assert resolve("${A}", environ={"A": "${B}", "B": "no"}) == "${B}"


@pytest.mark.parametrize(
    ("environ", "expected"), [({}, "d"), ({"A": ""}, "d"), ({"A": "a"}, "a"), ({"B": "b"}, "b"), ({"B": ""}, "d")]
)
def test_a_default_holds_when_the_variable_is_unset_or_empty(environ: dict[str, str], expected: str) -> None:
    assert resolve("${A:-${B:-d}}", environ=environ) == expected


def test_a_variable_without_default_may_be_empty() -> None:
    assert resolve("[${A}]", environ={"A": ""}) == "[]"


def test_an_unset_variable_is_named_with_what_to_do() -> None:
    with pytest.raises(SecretError, match=r"\$\{SHOP_URL\} cannot be resolved.*\n?.*Set SHOP_URL"):
        resolve("x ${SHOP_URL}", environ={})


def test_an_unknown_source_gets_a_near_match() -> None:
    with pytest.raises(SecretError, match="Did you mean 'vault'"):
        resolve("${vualt:a#b}")


def test_a_file_loses_its_trailing_newline_only(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(" s3cret \n\n")
    assert resolve(f"${{file:{tmp_path}/pw}}") == " s3cret \n"


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="No such file"):
        resolve(f"${{file:{tmp_path}/none}}")
    with pytest.raises(SecretError, match="UTF-8"):
        resolve(f"${{file:{tmp_path}/binary}}")


def test_every_text_setting_of_a_connection_is_resolved_nested_ones_too() -> None:
    shop = make_connection(
        "shop",
        "postgres",
        {"url": "${URL}", "port": 5432, "options": {"ssl": {"key": "${KEY}"}, "hosts": ["${A}", "b"], "n": None}},
    )
    resolved = resolve_connection(shop, environ={"URL": "postgresql://h/d", "KEY": "k", "A": "a"})
    assert resolved.settings() == {
        "url": "postgresql://h/d", "port": 5432, "ssl": {"key": "k"}, "hosts": ["a", "b"], "n": None,
    }  # fmt: skip
    assert shop.settings()["url"] == "${URL}"
    assert type(resolved) is type(shop)


def test_a_typed_connection_keeps_its_type_and_a_memory_connection_its_tables() -> None:
    assert resolve_connection(SQLiteConnection("s", path="${D}/x.db"), environ={"D": "/d"}) == SQLiteConnection(
        "s", path="/d/x.db"
    )
    memory = MemoryConnection("m")
    assert resolve_connection(memory).state is memory.state


def test_an_error_names_connection_and_setting() -> None:
    shop = make_connection("shop", "postgres", {"url": "postgresql://u:${SHOP_PW}@h/d"})
    with pytest.raises(SecretError, match="connection shop, setting url") as error:
        resolve_connection(shop, environ={})
    assert error.value.hint.startswith("Set SHOP_PW")


def test_the_redactor_learns_secrets_and_leaves_plain_settings_alone() -> None:
    redactor = Redactor()
    shop = make_connection(
        "shop",
        "postgres",
        {"url": "postgresql://${USER}:p%40ss9@${HOST}/d", "token": "literal-token", "other": "${v:x} ${API_KEY}"},
    )
    environ = {"USER": "reader", "HOST": "db.example", "API_KEY": "k-123456"}
    resolve_connection(shop, redactor=redactor, environ=environ, sources={"v": lambda _: "from-vault"})
    text = "reader db.example p%40ss9 p@ss9 literal-token from-vault k-123456"
    assert redactor.mask(text) == "reader db.example *** *** *** *** ***"


def test_a_source_that_fails_never_shows_a_secret_in_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("hunter2")

    def source(body: str) -> str:
        raise SecretError(f"cannot read {body}")

    with pytest.raises(SecretError) as error:
        resolve("${A:-hunter2} ${s:x}", sources={"s": source}, environ={})
    assert "hunter2" not in "".join(traceback.format_exception_only(error.value))
