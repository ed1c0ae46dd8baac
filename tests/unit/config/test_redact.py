"""Secrets are not shown, whatever way they come."""

from __future__ import annotations

import io
import logging

import pytest

from ematix_core.config.redact import Redactor, is_secret_name


def test_a_known_secret_is_masked_in_every_spelling() -> None:
    redactor = Redactor()
    redactor.learn("p@ss/word")
    assert redactor.mask("p@ss/word and p%40ss%2Fword") == "*** and ***"


def test_a_secret_that_contains_another_is_masked_whole() -> None:
    redactor = Redactor()
    redactor.learn("secret")
    redactor.learn("secret-and-more")
    assert redactor.mask("<secret-and-more>") == "<***>"


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    redactor = Redactor()
    redactor.learn("pw")
    assert redactor.mask("pw spwan") == "*** spwan"


def test_the_lines_of_a_key_are_masked_one_by_one() -> None:
    redactor = Redactor()
    redactor.learn("-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n")
    assert "MIIEvQIBADAN" not in redactor.mask("line 2: MIIEvQIBADAN")


def test_an_unknown_password_in_a_url_is_masked() -> None:
    assert Redactor().mask("postgresql://u:hunter2@h/d") == "postgresql://u:***@h/d"


def test_an_empty_secret_masks_nothing() -> None:
    redactor = Redactor()
    redactor.learn("")
    redactor.learn(" \n")
    assert redactor.mask("a b") == "a b"


def test_a_log_record_loses_secrets_in_message_arguments_and_traceback() -> None:
    redactor = Redactor()
    redactor.learn("hunter2")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(redactor)
    logger = logging.Logger("test")  # noqa: LOG001 - not attached to the root logger, on purpose
    logger.addHandler(handler)
    try:
        int("no hunter2 here")
    except ValueError:
        logger.exception("with %s and %d", "hunter2", 7)
    logger.info("plain %d", 1)
    assert "hunter2" not in stream.getvalue()
    assert "with *** and 7" in stream.getvalue()
    assert "ValueError: invalid literal for int() with base 10: 'no *** here'" in stream.getvalue()


@pytest.mark.parametrize("name", ["password", "SHOP_PW", "DB_PASS", "PGPASSWORD", "api_key", "AWS_SECRET", "pwd"])
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["url", "path", "SHOP_URL", "passenger", "HOST", "region"])
def test_names_of_other_settings_are_not(name: str) -> None:
    assert not is_secret_name(name)
