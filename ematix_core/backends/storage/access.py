"""How an object store is reached: the options of a connection, as obstore and delta-rs take them.

What the options do not say comes from the environment (`AWS_ACCESS_KEY_ID`, ...) and from the machine's own identity:
https://docs.rs/object_store/latest/object_store/aws/struct.AmazonS3Builder.html
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from ematix_core.errors import ConfigError, MissingDriverError, near

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from types import ModuleType

    from obstore.store import AzureStore, GCSStore, S3Store

# Our names of options -> those of the client library, by the scheme of the path. They are the same in obstore and in
# delta-rs, which both hand them to object_store.
_S3 = {
    "endpoint": "aws_endpoint", "region": "aws_region", "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key", "session_token": "aws_session_token",
}  # fmt: skip
_KEYS = {
    "s3": _S3,
    "gs": {"service_account": "google_service_account", "service_account_key": "google_service_account_key"},
    "az": {
        "account_name": "azure_storage_account_name", "account_key": "azure_storage_account_key",
        "sas_token": "azure_storage_sas_key", "endpoint": "azure_storage_endpoint",
    },
}  # fmt: skip
_FURTHER = {"s3": ("profile", "anonymous"), "gs": ("anonymous",), "az": ("anonymous",)}
_RETRIES = "retry_seconds"
RETRY_SECONDS = 30.0
_BACKOFF_SECONDS = 5
_LONGEST = 300
SCHEMES = tuple(_KEYS)


@dataclass(frozen=True)
class Access:
    """One prefix of an object store and how it is reached.

    `bucket` is the container in Azure. `retry_seconds`: how long a request that the store answers with trouble of its
    own (500, 503 SlowDown, a broken connection) is sent again.
    """

    scheme: str
    bucket: str
    prefix: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry_seconds: float = RETRY_SECONDS

    @property
    def url(self) -> str:
        """The prefix as its user writes it."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def store(self) -> S3Store | GCSStore | AzureStore:
        """Return the client for the whole bucket. Raises MissingDriverError, ConfigError."""
        store = driver().store
        kind = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[self.scheme]
        keys, further = self._keys(), {}
        if (provider := self._provider()) is not None:
            further["credential_provider"] = provider
        try:
            return cast("S3Store | GCSStore | AzureStore", kind(
                self.bucket, config=keys, client_options={"allow_http": self._plain}, **further,
                retry_config={
                    "max_retries": 100, "retry_timeout": timedelta(seconds=self.retry_seconds),
                    "backoff": {"max_backoff": timedelta(seconds=_BACKOFF_SECONDS)},
                },
            ))  # fmt: skip
        except driver().exceptions.BaseError as error:
            raise ConfigError(f"{self.url} cannot be reached with these options: {outermost(error)}") from error

    def delta_options(self) -> dict[str, str]:
        """Return the storage options of delta-rs for the same place."""
        options = {name: str(value) for name, value in self._keys().items()}
        options["allow_http"] = str(self._plain).lower()
        options["retry_timeout"] = f"{self.retry_seconds:g}s"
        options["max_retries"] = "100"
        if self.scheme == "s3":
            options["aws_conditional_put"] = "etag"
            if (provider := self._provider()) is not None:
                found = provider()
                options["aws_access_key_id"] = found["access_key_id"]
                options["aws_secret_access_key"] = found["secret_access_key"]
                if found.get("token"):
                    options["aws_session_token"] = found["token"]
        return options

    @property
    def _plain(self) -> bool:
        return self.endpoint.startswith("http://")

    @property
    def endpoint(self) -> str:
        """The URL of the server, where it is not the vendor's own."""
        if self.scheme == "s3":
            return self.options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL", "")
        return self.options.get("endpoint", "")

    def _keys(self) -> dict[str, Any]:
        names = _KEYS[self.scheme]
        keys: dict[str, Any] = {names[name]: value for name, value in self.options.items() if name in names}
        if self.options.get("anonymous"):
            keys[{"s3": "aws_skip_signature", "gs": "google_skip_signature", "az": "azure_skip_signature"}[
                self.scheme
            ]] = True  # fmt: skip
        if self.scheme == "s3":
            if self.endpoint:
                keys.setdefault("aws_endpoint", self.endpoint)
                keys["aws_virtual_hosted_style_request"] = False
            keys.setdefault(
                "aws_region", os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
            )
        return keys

    def _provider(self) -> Any:  # noqa: ANN401 - a callable with attributes, see obstore.auth.boto3
        """Return what gets the keys of a profile of the AWS configuration, again and again as they expire."""
        profile = self.options.get("profile") or ("" if self._has_keys else os.environ.get("AWS_PROFILE", ""))
        if self.scheme != "s3" or not profile:
            return None
        try:
            import boto3
            import botocore.exceptions
            from obstore.auth.boto3 import Boto3CredentialProvider
        except ImportError as error:
            raise MissingDriverError("a profile of AWS", "boto3", "aws") from error
        try:
            return Boto3CredentialProvider(boto3.Session(profile_name=profile))
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise ConfigError(f"the profile {profile!r} of AWS cannot be used: {error}", where=self.url) from error

    @property
    def _has_keys(self) -> bool:
        return bool(self.options.get("access_key_id") or os.environ.get("AWS_ACCESS_KEY_ID"))


def outermost(error: object) -> str:
    """Return what an error of obstore says, without its inner structure."""
    return str(error).partition("\n\nDebug source:")[0].replace("\n", " ").strip()


def driver() -> ModuleType:
    """Return the module obstore. Raises MissingDriverError when it is not installed."""
    try:
        import fsspec  # noqa: F401 - what DuckDB opens files of an object store through
        import obstore
        import obstore.store
    except ImportError as error:
        raise MissingDriverError("an object store", "obstore", "cloud") from error
    return obstore


def access_of(url: str, values: MutableMapping[str, Any], *, where: str) -> Access | None:
    """Take the options of access out of a connection's settings; None for a local folder, which has none.

    Raises ConfigError for a scheme that is no object store, a URL without bucket, and values that make no sense.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return None
    if scheme not in SCHEMES:
        raise ConfigError(f"{scheme}:// is no object store", where=where, hint=near(scheme, SCHEMES))
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise ConfigError(f"path={url!r} names no bucket", where=where, hint=f'Write path="{scheme}://bucket/prefix".')
    if ".." in prefix.split("/"):
        raise ConfigError(f"path={url!r} has .. in it", where=where)
    options = {name: values.pop(name) for name in (*_KEYS[scheme], *_FURTHER[scheme]) if name in values}
    half = {"access_key_id", "secret_access_key"} & {name for name in options if options[name]}
    if len(half) == 1:
        raise ConfigError(
            f"{half.pop()} is given alone", where=where, hint="Give access_key_id and secret_access_key, or neither."
        )
    endpoint = options.get("endpoint")
    if endpoint and not re.match(r"https?://[^/\s]", str(endpoint)):
        raise ConfigError(
            f"endpoint={endpoint!r} is no URL", where=where, hint="Write https://host or http://host:9000."
        )
    if "anonymous" in options:
        options["anonymous"] = _flag(options["anonymous"], where)
    given = {name: str(value) for name, value in options.items() if value not in {None, "", False}}
    prefix = "/".join(part for part in prefix.split("/") if part)
    return Access(scheme, bucket, prefix, given, _seconds(values.pop(_RETRIES, RETRY_SECONDS), where))


def options_of(url: str) -> tuple[str, ...]:
    """Return the names of the options of access that hold for a path."""
    scheme, separator, _ = url.partition("://")
    return (*_KEYS[scheme], *_FURTHER[scheme], _RETRIES) if separator and scheme in _KEYS else ()


def _flag(value: Any, where: str) -> bool:  # noqa: ANN401 - what the user wrote
    if isinstance(value, bool) or str(value).lower() in {"true", "false"}:
        return str(value).lower() == "true"
    raise ConfigError(f"anonymous={value!r} is neither true nor false", where=where)


def _seconds(value: Any, where: str) -> float:  # noqa: ANN401 - what the user wrote
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ConfigError(
            f"{_RETRIES}={value!r} is no number of seconds from 0 to {_LONGEST}", where=where,
            hint="A request is signed once, and its signature holds for five minutes.",
        )  # fmt: skip
    return seconds
