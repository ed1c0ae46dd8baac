"""POST of JSON, as the receivers of alerts take it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ematix_core.errors import AlertError, ReceiverError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import PoolManager

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
_SHOWN = 300
_TOO_MANY = 429


def post(
    url: str, document: Mapping[str, Any], *, headers: Mapping[str, str] | None = None, seconds: float = ANSWER_SECONDS
) -> None:
    """Post the document. Redirects are not followed; `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are respected.

    Raises ReceiverError when nobody answers, or with 429 or 5xx; AlertError for any other answer that is no success.
    No error shows the URL, which may be a secret by itself.
    """
    import urllib3

    if not url.startswith(("http://", "https://")):
        raise AlertError("the URL is none of http:// or https://")
    body = json.dumps(document).encode()
    try:
        with _pool(url) as pool:
            answer = pool.request(
                "POST", url, body=body, headers={"Content-Type": "application/json", **(headers or {})}, retries=False,
                redirect=False, timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds), preload_content=False,
            )  # fmt: skip
            with closing(answer):
                said = answer.read(_SHOWN).decode(errors="replace").strip()
    except (urllib3.exceptions.LocationValueError, ValueError):
        raise AlertError("the request cannot be made", hint="Check url and headers.") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ReceiverError(f"no answer: {error}") from None
    _check(answer.status, said)


def _check(status: int, said: str) -> None:
    if status // 100 == 2:  # noqa: PLR2004 - the successes: https://www.rfc-editor.org/rfc/rfc9110#section-15.3
        return
    what = f"the receiver answers {status}{f': {said}' if said else ''}"
    if status == _TOO_MANY or status >= 500:  # noqa: PLR2004 - the server's own failures
        raise ReceiverError(what)
    raise AlertError(what, hint="Check url and keys of the alerter.")


def _pool(url: str) -> PoolManager:
    import ssl
    from urllib.request import getproxies, proxy_bypass

    import urllib3

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    trust = ssl.create_default_context()  # the system's authorities, or those of SSL_CERT_FILE
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, ssl_context=trust)
    return urllib3.PoolManager(ssl_context=trust)
