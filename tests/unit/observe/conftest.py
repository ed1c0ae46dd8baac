"""Receivers that the tests of this folder send to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.observe.receivers import http_receiver
from tools.servers.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.observe.receivers import Receiver
    from tools.servers.tls import Tls


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach the receivers of the test, whatever proxy the machine has."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Return an authority, and a certificate for localhost that it signed."""
    return certificates(tmp_path_factory.mktemp("tls") / "files")
