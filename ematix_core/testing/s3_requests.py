"""What a test sees of the requests to an S3 server, and which of them a rule is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message


@dataclass
class Request:
    """One request, in the order of arrival; `status` and `read` are filled in as the answer goes out.

    `method` is that of HTTP, or LIST for a GET that lists. `key` is the object's key, of LIST the prefix that is asked
    for, and empty for other requests to a bucket (POST with `delete` in the query deletes many objects at once).
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    asked: str | None = None
    """The header Range, such as `bytes=0-99`; None if the whole object is asked for."""
    body: int = 0
    """Bytes that the client sent."""
    status: int | None = None
    """Of the answer that the client got; None if it got none."""
    read: range = field(default=range(0))
    """Bytes of the object that went to the client, as positions in the object; empty if none did."""

    @classmethod
    def parse(cls, method: str, target: str, headers: Message) -> Request:
        """Read the first line of a request for a server that has the bucket in the path."""
        parts = urlsplit(target)
        bucket, _, key = parts.path.lstrip("/").partition("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        key = unquote(key)
        if method == "GET" and not key and ("list-type" in query or "prefix" in query or not query):
            method, key = ("LIST", query.get("prefix", "")) if bucket else ("GET", "")
        return cls(method, unquote(bucket), key, query, headers.get("Range"))


@dataclass(frozen=True)
class Match:
    """Which requests are meant: all conditions that are given have to hold."""

    method: str | None = None
    key: str | None = None
    """A regular expression that is found in the key."""
    query: str | None = None
    """The name of a parameter: `uploads` begins a multipart upload, `partNumber` is a part, `delete` deletes many."""

    def __post_init__(self) -> None:
        if self.key is not None:
            re.compile(self.key)

    def __call__(self, request: Request) -> bool:
        """Return whether the request is one of them."""
        return (
            (self.method is None or self.method == request.method)
            and (self.key is None or re.search(self.key, request.key) is not None)
            and (self.query is None or self.query in request.query)
        )
