"""Keeps resolved secrets out of everything that is shown or kept: logs, errors, the store."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from ematix_core.model.connection import mask

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)?(?![a-z])|pwd|(?<![a-z])pw(?![a-z])|secret|token|api_?key|credential|private"
)
_SHORT = 6
"""Shorter secrets are masked as whole words only: a password `a` must not turn every text into stars."""


def is_secret_name(name: str) -> bool:
    """Say whether a setting or environment variable of this name holds a secret: `password`, `SHOP_PW`, `api_key`."""
    return _SECRET_NAME.search(name) is not None


class Redactor(logging.Filter):
    """Masks the secrets that it was told of, and passwords in URLs and `password=`-like text.

    One object serves one process run; whoever resolves secrets tells it (`learn`). As a filter it belongs on
    handlers: a logger's own filters do not see the records of its children. Safe to use from several threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def learn(self, secret: str) -> None:
        """Mask this value from now on, also percent-encoded, and each line of one that has several."""
        forms = {secret, quote(secret, safe=""), *secret.splitlines()}
        with self._lock:
            new = {form for form in forms if form.strip()} - self._secrets
            if new:
                self._secrets |= new
                self._pattern = _pattern(self._secrets)

    def learn_setting(self, name: str, value: str) -> None:
        """Learn what is secret about a setting: the whole value if its name says so, else the password of a URL."""
        if is_secret_name(name):
            self.learn(value)
        password = _url_password(value)
        if password:
            self.learn(password)
            self.learn(unquote(password))

    def mask(self, text: str) -> str:
        """Return the text with secrets replaced by `***`."""
        return mask(self._pattern.sub("***", text) if self._pattern else text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask message and traceback of the record in place; lets every record pass."""
        message = record.getMessage()
        masked = self.mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            trace = logging.Formatter().formatException(record.exc_info)
            masked = self.mask(trace)
            if masked != trace:
                # Handlers that render exc_info by themselves would show the secret.
                record.exc_text, record.exc_info = masked, None
        return True


def _pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    """Longest first, so that a secret which contains another is masked whole."""
    ordered = sorted(secrets, key=len, reverse=True)
    return re.compile("|".join(re.escape(s) if len(s) >= _SHORT else rf"(?<!\w){re.escape(s)}(?!\w)" for s in ordered))


def _url_password(text: str) -> str | None:
    try:
        return urlsplit(text).password if "://" in text else None
    except ValueError:  # no URL after all
        return None
