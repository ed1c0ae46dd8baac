"""Azure Blob Storage by Azurite, Microsoft's own server for tests.

https://github.com/Azure/Azurite. The URL is `http://ACCOUNT:KEY@HOST:PORT/CONTAINER`. For `make azure` alone: 360 MB.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.request
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit

from tools.servers import npm
from tools.servers.server import Server
from tools.servers.system import owned_folder

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "3.37.0"
INTEGRITY = "sha512-dl2AXMkXtVlX9s3U3ttIQFFlKwe64k/ugSIVNT4V3qX488Ncw988rIHAs6apgUtfEzyqwtFN9MZp0Foq60Htag=="
CONTAINER = "ematix"
# The account that everybody's Azurite has: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_INTERFACE = "2021-08-06"
_SECONDS = 10


class Azure(Server):
    """Azurite's server of blobs."""

    name = "azure"
    default_port = 15396
    on_request = True

    def packages(self) -> list[str]:
        return []

    def install(self) -> None:
        owned_folder(self.kind_folder)
        npm.package("azurite", VERSION, integrity=INTEGRITY, into=self.kind_folder / "programs")

    def initialise(self, data: Path) -> None:
        owned_folder(data)

    def command(self) -> list[str]:
        program = self.kind_folder / "programs" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        return [
            npm.node(), str(program), "--blobHost=127.0.0.1", f"--blobPort={self.port}", f"--location={self.data}",
            "--silent", "--disableTelemetry", "--skipApiVersionCheck", *self.options,
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://{_ACCOUNT}:{quote(_KEY, safe='')}@127.0.0.1:{self.port}/{CONTAINER}"

    def ask(self) -> None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=_SECONDS)
        except HTTPError:
            return  # it answers: who asks without a key is refused

    def accounts(self, url: str) -> dict[str, str]:
        """Make the container if it is not there; there are no further users."""
        try:
            _make_container(url)
        except HTTPError as error:
            if "ContainerAlreadyExists" not in error.read().decode():
                raise
        return {}


def _make_container(url: str) -> None:
    # https://learn.microsoft.com/rest/api/storageservices/create-container
    parts = urlsplit(url)
    account, key = unquote(parts.username or ""), unquote(parts.password or "")
    place = f"{parts.netloc.rpartition('@')[2]}/{account}{parts.path}"
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _INTERFACE}
    # https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
    signed = "\n".join([*lines, f"/{account}/{account}{parts.path}", "restype:container"])
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), signed.encode(), hashlib.sha256)).decode()
    headers |= {"Authorization": f"SharedKey {account}:{signature}", "Content-Length": "0"}
    request = urllib.request.Request(f"{parts.scheme}://{place}?restype=container", method="PUT", headers=headers)  # noqa: S310 - http or https, as tests are told
    urllib.request.urlopen(request, timeout=_SECONDS).close()  # noqa: S310 - see above
