"""One bucket of an object store: requests, what is known of its objects, and the client's errors as ours."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from uuid import uuid4

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from ematix_core.backends.storage.access import driver, outermost
from ematix_core.backends.storage.known import Entry, Tails
from ematix_core.errors import AccessError, ConnectError, EmatixError, MissingSourceError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ematix_core.backends.storage.access import Access

_LISTED = 1000
_DELETED_AT_ONCE = 1000
_KNOWN = 1_000_000
"""Objects that a client remembers at most."""
_PART = 5 << 20
"""Bytes of a part of an upload: the least that S3 takes, since a partitioned load has many files open at once."""
_PARTS_AT_ONCE = 4
_REFUSALS = re.compile(
    r"\b403\b|AccessDenied|ExpiredToken|InvalidToken|InvalidAccessKeyId|SignatureDoesNotMatch|PermanentRedirect"
    r"|AuthorizationHeaderMalformed|TokenRefreshRequired|AuthenticationFailed"
)
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")
_TRIES = re.compile(r" in ([\d.]+)(m?s)[^,]*, after (\d+) retries.*? - (.*)", re.DOTALL)
_CODE = re.compile(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)


class Client:
    """Requests to one bucket, by keys. An object that was looked at stays known as it was then."""

    def __init__(self, access: Access) -> None:
        self.bucket = f"{access.scheme}://{access.bucket}"
        self._access = access
        self._store = access.store()
        self.protocol = f"{access.scheme}+{uuid4().hex[:12]}"
        """Of the locations that DuckDB opens; of this client alone, which knows objects as it first saw them."""
        self._entries: dict[str, Entry] = {}
        self._tails = Tails()
        self.writing: dict[str, BinaryIO] = {}
        """Objects that are being written."""
        self.filling: set[str] = set()
        """Prefixes below which new objects get names that nobody has used: what is not known there is not there."""
        self.finished: list[str] = []
        """Keys of the objects that were written."""

    def location(self, key: str) -> str:
        """Return what DuckDB opens an object by."""
        return f"{self.protocol}://{key}"

    def key(self, location: str) -> str:
        """Return the key of a location."""
        return location.removeprefix(f"{self.protocol}://")

    def listed(self, prefix: str) -> Iterator[Entry]:
        """Yield the objects below a prefix, a thousand a request."""
        with self.told("list", prefix):
            for chunk in driver().list(self._store, prefix or None, chunk_size=_LISTED):
                for one in chunk:
                    yield self._known(one)

    def children(self, prefix: str) -> list[str]:
        """Return the keys and prefixes right below a prefix."""
        with self.told("list", prefix):
            found = driver().list_with_delimiter(self._store, prefix or None)
        return [*found["common_prefixes"], *(one["path"] for one in found["objects"])]

    def entry(self, key: str) -> Entry:
        """Return what is known of an object. Raises MissingSourceError."""
        if key not in self._entries:
            with self.told("look at", key):
                self._known(driver().head(self._store, key))
        return self._entries[key]

    def is_new(self, key: str) -> bool:
        """Say whether nobody needs to ask for the object: it is to be written, or is the prefix that it goes below."""
        return key not in self._entries and any(f"{key}/".startswith(f"{one}/") for one in self.filling)

    def note(self, key: str, size: int) -> None:
        """Take an object that never changes as known, so that nobody has to look at it."""
        if key not in self._entries:
            self._remember(Entry(key, size, datetime.now(UTC), None))

    def get(self, key: str) -> bytes:
        """Return a small object as it is now. Raises MissingSourceError."""
        return self._again(lambda: cast("bytes", driver().get(self._store, key).bytes().to_bytes()), key)

    def get_range(self, entry: Entry, start: int, length: int) -> bytes:
        """Return bytes of an object. Raises SourceError when it has changed since it was listed."""
        if (known := self._tails.find(entry, start, length)) is not None:
            return known
        options: dict[str, Any] = {"range": (start, start + length)}
        if entry.etag:
            options["if_match"] = entry.etag

        def get() -> bytes:
            found: bytes = driver().get(self._store, entry.key, options=options).bytes().to_bytes()
            if len(found) != length:
                raise ConnectError(f"{entry.key} broke off after {len(found)} of {length} bytes")
            return found

        content = self._again(get, entry.key)
        if start + length == entry.size:
            self._tails.keep(entry, content)
        return content

    def put(self, key: str, content: bytes, *, new: bool = False) -> None:
        """Write a small object in one step; with `new` only where there is none."""
        with self.told("write", key):
            driver().put(self._store, key, content, mode="create" if new else "overwrite")

    def copy(self, key: str, to: str) -> None:
        """Copy an object."""
        with self.told("copy", key):
            driver().copy(self._store, key, to)
        self._entries.pop(to, None)

    def upload(self, key: str) -> Any:  # noqa: ANN401 - obstore's writer
        """Open an upload in parts."""
        with self.told("write", key):
            return driver().open_writer(self._store, key, buffer_size=_PART, max_concurrency=_PARTS_AT_ONCE)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones are no error."""
        every = list(keys)
        for start in range(0, len(every), _DELETED_AT_ONCE):
            some = every[start : start + _DELETED_AT_ONCE]
            try:
                with self.told("remove", some[0]):
                    driver().delete(self._store, some)
            except MissingSourceError:  # only some stores say so
                pass

    @contextmanager
    def told(self, action: str, key: str) -> Iterator[None]:
        """Raise the errors of obstore as ours."""
        exceptions = driver().exceptions
        try:
            yield
        except (FileNotFoundError, exceptions.NotFoundError) as error:
            raise self._missing(key, error) from error
        except (exceptions.BaseError, OSError) as error:
            raise self._error(action, key, error) from error
        except BaseException as error:
            # A panic of the Rust code is no Exception: https://pyo3.rs/main/doc/pyo3/panic/struct.panicexception
            if type(error).__name__ == "PanicException":
                raise ConnectError(f"cannot {action} {key}: the client gave up: {error}", where=self.bucket) from error
            raise

    def _again(self, call: Callable[[], bytes], key: str) -> bytes:
        """Call until it succeeds or the time is over: obstore does not ask again for a body that breaks off."""
        tries = Retrying(
            retry=retry_if_exception_type(ConnectError), stop=stop_after_delay(self._access.retry_seconds),
            wait=wait_exponential_jitter(multiplier=0.1, max=5.0), reraise=True,
        )  # fmt: skip

        def told() -> bytes:
            with self.told("read", key):
                return call()

        return tries(told)

    def _known(self, meta: Any) -> Entry:  # noqa: ANN401 - obstore's ObjectMeta
        return self._remember(Entry(meta["path"], meta["size"], meta["last_modified"].astimezone(UTC), meta["e_tag"]))

    def _remember(self, entry: Entry) -> Entry:
        if len(self._entries) >= _KNOWN:
            self._entries.clear()
        self._entries[entry.key] = entry
        return entry

    def _missing(self, key: str, error: BaseException) -> EmatixError:
        if _NO_BUCKET.search(str(error)):
            noun = "container" if self._access.scheme == "az" else "bucket"
            at = f" at {self._access.endpoint}" if self._access.endpoint else ""
            return AccessError(  # not transient: asking again makes no bucket
                f"there is no {noun} {self._access.bucket!r}{at}", where=self._access.url,
                hint=f"Make the {noun}, or check path= and endpoint= of the connection.",
            )  # fmt: skip
        return MissingSourceError(f"there is no file {key}", where=self.bucket)

    def _error(self, action: str, key: str, error: BaseException) -> EmatixError:
        exceptions, text = driver().exceptions, str(error)
        if _NO_BUCKET.search(text):
            return self._missing(key, error)
        if isinstance(error, exceptions.AlreadyExistsError):
            return SourceError(f"{key} is there already", where=self.bucket)
        if isinstance(error, exceptions.PreconditionError):
            return SourceError(
                f"{key} has changed while it was read", where=self.bucket, hint="Run the job again when it is complete."
            )
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError) or _REFUSALS.search(
            text
        ):
            return AccessError(
                f"the object store refuses to {action} {key or 'the bucket'}: {_reason(text)}", where=self._access.url,
                hint="Check the connection's keys, region and rights; without keys it takes those of the environment.",
            )  # fmt: skip
        server = f"the server at {self._access.endpoint}" if self._access.endpoint else "the network, and region="
        return ConnectError(
            f"cannot {action} {key or 'the bucket'}: {_reason(text)}", where=self._access.url,
            hint=f"Check {server}. Requests were sent again for retry_seconds ({self._access.retry_seconds:g}).",
        )  # fmt: skip


def _reason(text: str) -> str:
    """Return what an error of obstore says, for people."""
    if found := _CODE.search(text):
        return f"{found[1]}: {found[2].partition(chr(10))[0]}"  # Azure adds the request's number and time
    plain = outermost(text)
    if found := _TRIES.search(plain):
        return f"{found[4]} (tried {int(found[3]) + 1} times in {float(found[1]):.1f} {found[2]})"
    return plain
