"""Faults before the S3 server: each one as obstore sees it, and what is recorded."""

from __future__ import annotations

import os
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, PermissionDeniedError

from ematix_core.testing.s3_faults import (
    ACCESS_DENIED,
    BAD_REQUEST,
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    SLOW_DOWN,
    Answer,
    CutBody,
    Drop,
    Hang,
    LoseAnswer,
    S3Faults,
)
from tests.servers.own import own_server
from tools.servers.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import S3Store

CONTENT = os.urandom(3 << 20)


@pytest.fixture
def store(s3: Bucket, s3_faults: S3Faults) -> S3Store:
    return s3.at(s3_faults.endpoint).store()


@pytest.fixture
def hasty(s3: Bucket, s3_faults: S3Faults) -> S3Store:
    """Return a client that tries once."""
    return s3.at(s3_faults.endpoint).store(retries=0)


def test_without_rules_all_goes_through_with_its_signature(s3: Bucket, store: S3Store, s3_faults: S3Faults) -> None:
    store.put("a/b=1/ü +%20", CONTENT)
    store.put("big", CONTENT * 5, use_multipart=True, chunk_size=5 << 20)
    assert bytes(store.get("a/b=1/ü +%20").bytes()) == CONTENT
    assert bytes(store.get("big").bytes()) == CONTENT * 5
    assert store.head("big")["size"] == len(CONTENT) * 5
    with pytest.raises(AlreadyExistsError):
        store.put("big", b"", mode="create")
    with pytest.raises(FileNotFoundError):
        store.get("never-was")
    assert [entry["path"] for page in store.list() for entry in page] == ["a/b=1/ü +%20", "big"]
    store.delete(["a/b=1/ü +%20", "big"])
    assert s3.keys() == []
    with pytest.raises(PermissionDeniedError, match="SignatureDoesNotMatch"):
        replace(s3.at(s3_faults.endpoint), secret="wrong").store().get("big")  # noqa: S106 - it is meant to be wrong


def test_requests_say_what_was_asked_and_which_bytes_were_read(s3: Bucket, store: S3Store, s3_faults: S3Faults) -> None:
    store.put("a", CONTENT)
    store.get_range("a", start=100, end=250)
    bytes(store.get("a").bytes())
    bytes(store.get("a", options={"range": {"suffix": 10}}).bytes())
    list(store.list("x"))
    put, some, whole, end, listing = s3_faults.requests
    assert (put.method, put.bucket, put.key, put.status, put.body) == ("PUT", s3.bucket, f"{s3.prefix}/a", 200, 3 << 20)
    assert (some.method, some.asked, some.status, some.read) == ("GET", "bytes=100-249", 206, range(100, 250))
    assert (whole.asked, whole.status, whole.read) == (None, 200, range(3 << 20))
    assert end.read == range((3 << 20) - 10, 3 << 20)
    assert (listing.method, listing.key, len(listing.read)) == ("LIST", f"{s3.prefix}/x/", 0)
    assert s3_faults.seen("GET", "/a$") == [some, whole, end]
    s3_faults.clear()
    assert s3_faults.requests == []


def test_a_multipart_upload_is_seen_as_its_requests(store: S3Store, s3_faults: S3Faults) -> None:
    store.put("big", CONTENT * 4, use_multipart=True, chunk_size=5 << 20)
    assert [len(s3_faults.seen(*which)) for which in (("POST", None, "uploads"), ("PUT", None, "partNumber"))] == [1, 3]
    assert len(s3_faults.seen("POST", query="uploadId")) == 1


@pytest.mark.parametrize("fault", [INTERNAL_ERROR, SLOW_DOWN, Drop()], ids=["500", "503", "drop"])
def test_a_client_gets_over_what_passes(fault: Answer | Drop, s3: Bucket, store: S3Store, s3_faults: S3Faults) -> None:
    rule = s3_faults.add(fault, times=2, method="PUT", key="/a$")
    store.put("b", b"1")
    assert rule.hits == 0
    store.put("a", b"1")
    assert rule.hits == 2
    assert [request.status for request in s3_faults.seen("PUT", "/a$")] == [getattr(fault, "status", None)] * 2 + [200]
    assert s3.keys() == ["a", "b"]


@pytest.mark.parametrize("fault", [INTERNAL_ERROR, SLOW_DOWN, EXPIRED_TOKEN, ACCESS_DENIED, BAD_REQUEST])
def test_a_client_sees_the_status_and_code_of_what_stays(
    fault: Answer, s3: Bucket, hasty: S3Store, s3_faults: S3Faults
) -> None:
    rule = s3_faults.add(fault, times=None)
    for number in range(3):
        with pytest.raises(BaseError) as caught:
            hasty.put("a", b"1")
        assert str(fault.status) in str(caught.value)
        assert fault.code in str(caught.value)
        assert rule.hits == number + 1
    assert s3.keys() == []


def test_a_dropped_request_did_not_happen(s3: Bucket, hasty: S3Store, s3_faults: S3Faults) -> None:
    s3_faults.add(Drop())
    with pytest.raises(GenericError):
        hasty.put("a", CONTENT)
    assert s3.keys() == []


def test_a_lost_answer_leaves_what_was_asked_for(s3: Bucket, store: S3Store, s3_faults: S3Faults) -> None:
    s3_faults.add(LoseAnswer(), method="PUT")
    with pytest.raises(AlreadyExistsError):  # the client asks again, and meets its own object
        store.put("a", b"mine", mode="create")
    assert bytes(s3.store().get("a").bytes()) == b"mine"
    assert [request.status for request in s3_faults.requests] == [None, 412]


def test_a_cut_body_is_noticed(store: S3Store, hasty: S3Store, s3_faults: S3Faults) -> None:
    store.put("a", CONTENT)
    s3_faults.clear()
    s3_faults.add(CutBody(after=1000), method="GET")
    with pytest.raises(BaseError):
        bytes(hasty.get_range("a", start=5, end=len(CONTENT)))
    (request,) = s3_faults.requests
    assert (request.status, request.read) == (206, range(5, 1005))
    assert bytes(hasty.get("a").bytes()) == CONTENT


def test_a_request_that_hangs_goes_on_afterwards(s3: Bucket, hasty: S3Store, s3_faults: S3Faults) -> None:
    s3_faults.add(Hang(0.5))
    began = time.monotonic()
    hasty.put("a", b"1")
    assert 0.5 <= time.monotonic() - began < 5
    s3_faults.add(Hang(1.5))
    with pytest.raises(GenericError, match="timeout"):
        s3.at(s3_faults.endpoint).store(retries=0, seconds=0.3).put("b", b"1")
    assert s3.keys() == ["a"]
    deadline = time.monotonic() + 20
    while s3.keys() != ["a", "b"]:  # late, and after the client has given up
        assert time.monotonic() < deadline


def test_closing_ends_what_hangs(s3: Bucket) -> None:
    with S3Faults(s3.endpoint) as faults:
        faults.add(Hang(600))
        client = threading.Thread(target=_fails, args=[s3.at(faults.endpoint).store(retries=0, seconds=600)])
        client.start()
        while not faults.requests:
            time.sleep(0.01)
        began = time.monotonic()
    client.join()
    assert time.monotonic() - began < 10
    assert s3.keys() == []
    with pytest.raises(GenericError):
        s3.at(faults.endpoint).store(retries=0).get("a")


def _fails(store: S3Store) -> None:
    with pytest.raises(BaseError):
        store.put("a", b"1")


def test_rules_come_in_order_and_may_let_some_pass(hasty: S3Store, s3_faults: S3Faults) -> None:
    s3_faults.add(SLOW_DOWN, method="PUT", skip=1)
    s3_faults.add(INTERNAL_ERROR, method="PUT", skip=1)
    for number, refused in enumerate((None, "503", "500", None)):
        with pytest.raises(BaseError, match=refused) if refused else nullcontext():
            hasty.put(f"{number}", b"")
    assert [request.status for request in s3_faults.seen("PUT")] == [200, 503, 500, 200]


def test_a_rule_that_nothing_met_is_told(s3: Bucket) -> None:
    with S3Faults(s3.endpoint) as faults:
        rule = faults.add(SLOW_DOWN, key="never")
        s3.at(faults.endpoint).store().put("a", b"1")
        assert faults.unused == [rule]


def test_many_requests_at_once_each_get_their_own_answer(store: S3Store, s3_faults: S3Faults) -> None:
    rule = s3_faults.add(SLOW_DOWN, times=20, method="GET")
    names = [f"{number}" for number in range(60)]
    for name in names:
        store.put(name, name.encode() * 5000)
    found: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda name=name: found.update({name: bytes(store.get(name).bytes())}))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: name.encode() * 5000 for name in names}
    assert rule.hits == 20
    assert len(s3_faults.seen("GET")) == 80


def test_a_delta_commit_gets_over_slow_down(s3: Bucket, s3_faults: S3Faults) -> None:
    through = s3.at(s3_faults.endpoint)
    rule = s3_faults.add(SLOW_DOWN, times=3, method="PUT", key=r"_delta_log/.*\.json$")
    write_deltalake(f"{s3.s3_url}/t", pa.table({"i": [1]}), storage_options=through.environ)
    assert rule.hits == 3
    assert DeltaTable(f"{s3.s3_url}/t", storage_options=s3.environ).version() == 0


def test_boto3_goes_through_with_its_expect_header_and_chunks(s3: Bucket, s3_faults: S3Faults) -> None:
    client = boto3.client(
        "s3", endpoint_url=s3_faults.endpoint, region_name=s3.region, aws_access_key_id=s3.key,
        aws_secret_access_key=s3.secret,
    )  # fmt: skip
    client.put_object(Bucket=s3.bucket, Key=f"{s3.prefix}/a", Body=CONTENT)
    assert client.get_object(Bucket=s3.bucket, Key=f"{s3.prefix}/a")["Body"].read() == CONTENT


class _Echo(BaseHTTPRequestHandler):
    """Answers with the chunks that it got."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while size := int(line := self.rfile.readline(), 16):
            self.wfile.write(line + self.rfile.read(size + 2))
        self.wfile.write(line + self.rfile.readline())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server has
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    """Run a server that speaks in chunks, which versitygw does not."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _pieces() -> Iterator[bytes]:
    yield CONTENT[:1000]
    yield CONTENT[1000:]


def test_a_chunked_body_and_answer_pass(echo: str) -> None:
    with S3Faults(echo) as faults:
        parts = urlsplit(faults.endpoint)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        for _ in range(2):  # on one connection
            connection.request(
                "PUT", "/bucket/key", body=_pieces(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
            )
            answer = connection.getresponse()
            assert answer.getheader("Transfer-Encoding") == "chunked"
            assert answer.read() == CONTENT
        connection.close()
        assert [request.body for request in faults.requests] == [len(CONTENT)] * 2


def test_a_server_that_is_killed_is_a_lost_connection_and_no_silence() -> None:
    with own_server("s3") as server, S3Faults(Bucket.from_url(server.url).endpoint) as faults:
        store = Bucket.from_url(server.url).at(faults.endpoint).store(retries=0, seconds=20)
        store.put("a", b"1")
        server.kill()
        began = time.monotonic()
        with pytest.raises(GenericError):
            store.get("a")
        assert time.monotonic() - began < 10
        server.start()
        assert bytes(store.get("a").bytes()) == b"1"


def test_what_is_no_server_is_refused() -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        S3Faults("s3://bucket")
    with pytest.raises(RuntimeError, match="inside `with"):
        _ = S3Faults("http://127.0.0.1:1").endpoint
