"""Apicurio's own interface, for the ids that Confluent's does not know: the global ones.

https://www.apicur.io/registry/docs/apicurio-registry/3.3.x/assets-attachments/registry-rest-api.htm
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import urllib3

from ematix_core.codecs.registered import Registered, refused, unreachable
from ematix_core.errors import ConfigError
from ematix_core.model.connection import mask

PATH = "/apis/registry/v3"
_OK, _RETRIES = 200, 1


class GlobalIds:
    """Schemas by Apicurio's global ids. Errors are those of `Registry`."""

    def __init__(self, url: str, where: str, *, timeout: float, user: str, password: str, ca: str) -> None:
        host, found, _ = url.partition("/apis/")
        self._base, self._where, self._known = f"{host}{PATH}", where, bool(found)
        self._headers = urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}
        self._pool = urllib3.PoolManager(ca_certs=ca or None, timeout=timeout, retries=_RETRIES)

    def schema(self, number: int) -> Registered:
        """Return the schema with the global id. Raises MissingSourceError when there is none."""
        what = f"schema {number} (global id)"
        answer = self._get(f"/ids/globalIds/{number}?returnArtifactType=true", what)
        references = self._get(f"/ids/globalIds/{number}/references", what).json()
        imports: dict[str, str] = {}
        self._add(references, imports, what)
        kind = answer.headers.get("X-Registry-ArtifactType", "AVRO")
        return Registered(number, answer.data.decode(), kind, tuple(imports.items()))

    def _add(self, references: list[dict[str, Any]], imports: dict[str, str], what: str) -> None:
        for one in references:
            if one["name"] not in imports:
                place = _version(one.get("groupId") or "default", one["artifactId"], one["version"])
                imports[one["name"]] = self._get(f"{place}/content", what).data.decode()
                self._add(self._get(f"{place}/references", what).json(), imports, what)

    def of_version(self, subject: str, version: int) -> int:
        """Return the global id of a subject's version."""
        found = self._get(_version("default", subject, version), f"subject {subject}").json()
        return int(found["globalId"])

    def close(self) -> None:
        """Close the connections. May be called again."""
        self._pool.clear()

    def _get(self, path: str, what: str) -> urllib3.BaseHTTPResponse:
        if not self._known:
            raise ConfigError("the registry's url does not say where Apicurio's interfaces are", where=self._where,
                              hint='End it with "/apis/ccompat/v7".')  # fmt: skip
        try:
            answer = self._pool.request("GET", f"{self._base}{path}", headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(error, self._where) from error
        if answer.status == _OK:
            return answer
        raise refused(answer.status, mask(_said(answer)), f"{what}, {self._where}")


def _version(group: str, artifact: str, version: object) -> str:
    parts = (quote(str(part), safe="") for part in (group, artifact, version))
    return "/groups/{}/artifacts/{}/versions/{}".format(*parts)


def _said(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        return str(answer.json()["title"])
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
        return answer.data.decode(errors="replace")[:200]
