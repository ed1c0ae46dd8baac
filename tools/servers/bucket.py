"""A bucket of an S3 server, or a prefix in one, by its URL: `http://KEY:SECRET@HOST:PORT/BUCKET?region=us-east-1`.

`&prefix=PREFIX` at its end says which keys are meant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_REGION = "us-east-1"


@dataclass(frozen=True)
class Bucket:
    """Where the server is, who asks, and what of the bucket is meant: keys that begin with `prefix`, or all.

    The bucket stands in the path of each request, as S3 servers of one's own have it, and not in the host name.
    """

    endpoint: str
    bucket: str
    key: str
    secret: str
    region: str = _REGION
    prefix: str = ""

    @classmethod
    def from_url(cls, url: str) -> Bucket:
        """Return the bucket of a URL; key and secret are percent-encoded in it, the region is us-east-1 by default.

        Raises ValueError if a part is missing.
        """
        parts = urlsplit(url)
        bucket = parts.path.strip("/")
        if parts.scheme not in {"http", "https"} or not (parts.username and parts.password and bucket):
            form = f"http://KEY:SECRET@HOST:PORT/BUCKET?region={_REGION}"
            raise ValueError(f"the URL of an S3 server is {form} (http or https), and this one lacks a part of that")
        host = parts.netloc.rpartition("@")[2]
        query = parse_qs(parts.query)
        region, prefix = (query.get(name, [usual])[0] for name, usual in (("region", _REGION), ("prefix", "")))
        return cls(f"{parts.scheme}://{host}", bucket, unquote(parts.username), unquote(parts.password), region, prefix)

    @property
    def url(self) -> str:
        """The URL that `from_url` reads."""
        scheme, _, host = self.endpoint.partition("://")
        credentials = f"{quote(self.key, safe='')}:{quote(self.secret, safe='')}"
        prefix = f"&prefix={quote(self.prefix)}" if self.prefix else ""
        return f"{scheme}://{credentials}@{host}/{self.bucket}?region={self.region}{prefix}"

    @property
    def s3_url(self) -> str:
        """`s3://BUCKET/PREFIX`, as clients write it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def environ(self) -> dict[str, str]:
        """The variables that say this to boto3, obstore and deltalake; `storage_options` of the latter, too."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": self.region,
            "AWS_ALLOW_HTTP": "true",
        }

    @property
    def options(self) -> dict[str, str]:
        """The options of a connection of ematix to it."""
        return {
            "endpoint": self.endpoint, "region": self.region,
            "access_key_id": self.key, "secret_access_key": self.secret,
        }  # fmt: skip

    def at(self, endpoint: str) -> Bucket:
        """Return the same, reached by another endpoint: that of a proxy, or of nobody."""
        return replace(self, endpoint=endpoint)

    def store(self, *, retries: int = 10, seconds: float = 30) -> S3Store:
        """Return an obstore client whose paths begin after the prefix; an answer may take so many seconds."""
        client: ClientConfig = {"allow_http": True, "timeout": f"{seconds}s"}
        retry: RetryConfig = {"max_retries": retries}
        return S3Store(
            self.bucket, prefix=self.prefix or None, endpoint=self.endpoint, access_key_id=self.key,
            secret_access_key=self.secret, region=self.region, virtual_hosted_style_request=False,
            client_options=client, retry_config=retry,
        )  # fmt: skip

    def keys(self) -> list[str]:
        """Return all keys, without the prefix, in order."""
        return sorted(entry["path"] for page in self.store().list() for entry in page)

    def clear(self) -> None:
        """Delete all keys."""
        if keys := self.keys():
            self.store().delete(keys)
