"""The grammar of `${...}`."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.config.references import Reference, escape, parse, references
from ematix_core.errors import SecretError

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
LITERALS = st.text(alphabet="ab$ /:{}\\\n€")


@given(LITERALS.filter(lambda text: "${" not in text))
def test_text_without_a_reference_is_itself(text: str) -> None:
    assert "".join(map(str, parse(text))) == text


@given(st.text(alphabet="a${}:-"))
def test_an_escaped_text_is_literal(text: str) -> None:
    assert "".join(map(str, parse(escape(text)))) == text
    assert not references(escape(text))


@given(st.lists(st.tuples(LITERALS, NAMES)), LITERALS)
def test_references_are_found_between_any_literals(parts: list[tuple[str, str]], tail: str) -> None:
    # A literal that ends in "$" would make an escape of the reference behind it.
    text = "".join(escape(before.rstrip("$")) + f"${{{name}}}" for before, name in parts) + escape(tail)
    assert [reference.body for reference in references(text)] == [name for _, name in parts]


@given(st.text(alphabet="a${}:-#/"))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(SecretError):
        parse(text)


def test_the_source_of_a_secret_is_told_from_a_default() -> None:
    assert references("${vault:secret/shop#pw} ${A:-b} ${file:/x y}") == [
        Reference("vault", "secret/shop#pw"),
        Reference("", "A", "b"),
        Reference("file", "/x y"),
    ]


def test_references_in_defaults_are_found_too() -> None:
    assert [r.body for r in references("${A:-${B:-${C}}/x}")] == ["A", "B", "C"]


def test_a_default_is_never_shown() -> None:
    (reference,) = references("${PASSWORD:-hunter2}")
    assert "hunter2" not in f"{reference} {reference!r}"


@pytest.mark.parametrize(
    "text", ["${hunter2", "a ${A:-${hunter2}", "${hunter2 x}", "${}", "${1hunter2}", "${:hunter2}"]
)
def test_a_malformed_reference_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(SecretError) as error:
        parse(text)
    assert "hunter2" not in str(error.value)
