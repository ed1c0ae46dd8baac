"""The S3 server of `make servers`: what a client that relies on S3 for its commits has to find."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, PreconditionError

from tests.servers.own import own_server
from tests.servers.reach import account, url
from tools.servers import golang
from tools.servers.__main__ import up
from tools.servers.bucket import Bucket
from tools.servers.golang import build
from tools.servers.kinds import make
from tools.servers.s3 import PACKAGE, S3, VERSION
from tools.servers.system import ServerError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

WRITERS = 6


def at_once(works: Sequence[Callable[[], object]]) -> list[object]:
    """Call all functions at the same moment, and return their results or the exceptions that they raised."""
    barrier = threading.Barrier(len(works))

    def call(work: Callable[[], object]) -> object:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        calls = [pool.submit(call, work) for work in works]
    return [done.exception() or done.result() for done in calls]


def test_ranges_lists_and_deletes(s3: Bucket) -> None:
    store = s3.store()
    for key in ("a/x", "a/y", "b/z=1/ü +%20.parquet"):
        store.put(key, b"hello world")
    assert bytes(store.get_range("a/x", start=6, end=11)) == b"world"
    assert [bytes(part) for part in store.get_ranges("a/x", starts=[0, 8], ends=[3, 11])] == [b"hel", b"rld"]
    assert [entry["path"] for page in store.list("a") for entry in page] == ["a/x", "a/y"]
    assert [entry["path"] for page in store.list("a", offset="a/x") for entry in page] == ["a/y"]
    assert list(store.list_with_delimiter()["common_prefixes"]) == ["a", "b"]
    store.delete(["a/x", "a/y", "a/never-was"])
    assert s3.keys() == ["b/z=1/ü +%20.parquet"]


def test_a_list_of_many_keys_comes_in_pages(s3: Bucket) -> None:
    store = s3.store()
    for number in range(1100):
        store.put(f"{number:04}", b"")
    assert s3.keys() == [f"{number:04}" for number in range(1100)]


def test_a_multipart_upload_is_there_as_a_whole(s3: Bucket) -> None:
    content = os.urandom(13 << 20)
    s3.store().put("big", content, use_multipart=True, chunk_size=5 << 20)
    assert bytes(s3.store().get("big").bytes()) == content


def test_of_writers_that_create_one_key_at_once_one_wins(s3: Bucket) -> None:
    store = s3.store()
    for turn in range(10):
        key = f"{turn}.json"
        results = at_once([partial(store.put, key, b"%d" % writer, mode="create") for writer in range(WRITERS)])
        (winner,) = (number for number, result in enumerate(results) if not isinstance(result, Exception))
        assert all(isinstance(result, AlreadyExistsError) for result in results if isinstance(result, Exception))
        assert bytes(store.get(key).bytes()) == b"%d" % winner


def test_an_update_needs_the_version_that_is_there(s3: Bucket) -> None:
    store = s3.store()
    first = store.put("state", b"1")
    assert first["e_tag"] is not None
    store.put("state", b"2", mode={"e_tag": first["e_tag"]})
    with pytest.raises(PreconditionError):
        store.put("state", b"3", mode={"e_tag": first["e_tag"]})


def test_delta_commits_of_racing_writers_all_count(s3: Bucket) -> None:
    table = f"{s3.s3_url}/table"
    # The default of 15 is used up now and then: with five others, one may lose that often in a row.
    patient = CommitProperties(max_commit_retries=1000)

    def append(writer: int) -> None:
        for turn in range(5):
            rows = pa.table({"writer": [writer], "turn": [turn]})
            write_deltalake(table, rows, mode="append", storage_options=s3.environ, commit_properties=patient)

    write_deltalake(table, pa.table({"writer": [-1], "turn": [-1]}), storage_options=s3.environ)
    assert at_once([partial(append, writer) for writer in range(WRITERS)]) == [None] * WRITERS
    found = DeltaTable(table, storage_options=s3.environ)
    assert (found.version(), found.count()) == (WRITERS * 5, WRITERS * 5 + 1)


def test_a_delta_commit_on_what_changed_meanwhile_is_refused(s3: Bucket) -> None:
    table = f"{s3.s3_url}/table"
    write_deltalake(table, pa.table({"i": [1, 2]}), storage_options=s3.environ)
    one, other = (DeltaTable(table, storage_options=s3.environ) for _ in range(2))
    one.delete("i = 1")
    with pytest.raises(CommitFailedError, match="concurrent transaction"):
        other.delete("i = 1")


def test_who_is_not_known_or_not_allowed_gets_403(s3: Bucket) -> None:
    s3.store().put("a", b"1")
    for wrong, code in (("key", "InvalidAccessKeyId"), ("secret", "SignatureDoesNotMatch")):
        with pytest.raises(PermissionDeniedError, match=rf"403 Forbidden[\s\S]*{code}"):
            replace(s3, **{wrong: "wrong"}).store().get("a")
    with pytest.raises(PermissionDeniedError, match=r"403 Forbidden[\s\S]*AccessDenied"):
        replace(Bucket.from_url(account("s3", "unprivileged")), prefix=s3.prefix).store().get("a")
    reader = replace(Bucket.from_url(account("s3", "read_only")), prefix=s3.prefix)
    assert bytes(reader.store().get("a").bytes()) == b"1"
    assert reader.keys() == ["a"]
    with pytest.raises(PermissionDeniedError, match=r"403 Forbidden[\s\S]*AccessDenied"):
        reader.store().put("b", b"1")


def test_another_region_or_bucket_is_refused_by_name(s3: Bucket) -> None:
    with pytest.raises(BaseError, match=r"AuthorizationHeaderMalformed[\s\S]*eu-west-1"):
        replace(s3, region="eu-west-1").store().get("a")
    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        replace(s3, bucket="ematix-never-was").store().put("a", b"1")


def test_a_killed_server_comes_back_with_what_was_put() -> None:
    with own_server("s3") as server:
        bucket, address = Bucket.from_url(server.url), server.url
        bucket.store().put("a", b"7", mode="create")
        server.kill()
        with pytest.raises(BaseError):
            bucket.store(retries=0).get("a")
        server.start()
        assert server.url == address
        assert bytes(bucket.store().get("a").bytes()) == b"7"
        server.stop()
        assert not server.running
    assert not server.folder.exists()


def test_a_port_that_is_taken_is_not_fought_for() -> None:
    with own_server("s3") as server, socket.socket() as other:
        server.stop()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        server.start()
        assert server.port != other.getsockname()[1]
        assert Bucket.from_url(server.url).keys() == []


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(ServerError, match="nonsense"), own_server("s3", options=["--nonsense=1"]):
        pass


def test_a_given_server_gets_the_bucket_that_its_url_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with own_server("s3") as server:
        given = replace(Bucket.from_url(server.url), bucket="of-the-url")
        monkeypatch.setenv("EMATIX_TEST_S3_URL", given.url)
        assert url("s3") == given.url
        never_started = S3(tmp_path, make("s3").tls)
        assert never_started.accounts(given.url) == {}
        assert never_started.accounts(given.url) == {}  # the second time it is there
        assert Bucket.from_url(url("s3")).keys() == []


def test_a_url_says_all_and_a_part_that_lacks_is_named_without_the_secret() -> None:
    bucket = Bucket("https://s3.example.com:9000", "lake", "a/key", "hunter2/@:%+ x", "eu-west-1")
    assert Bucket.from_url(bucket.url) == bucket
    assert Bucket.from_url("http://k:s@h:1/b") == Bucket("http://h:1", "b", "k", "s", "us-east-1")
    for url_that_lacks in ("http://127.0.0.1/bucket", "http://key:hunter2@127.0.0.1/", "s3://key:hunter2@bucket"):
        with pytest.raises(ValueError, match=r"http://KEY:SECRET@HOST:PORT/BUCKET\?region") as caught:
            Bucket.from_url(url_that_lacks)
        assert "hunter2" not in str(caught.value)


def test_without_go_the_message_names_what_else_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(golang, "_USUAL", str(tmp_path))
    monkeypatch.setattr("tools.servers.urls.FILE", tmp_path / "urls.json")
    monkeypatch.delenv("EMATIX_TEST_S3_URL", raising=False)
    absent = S3(tmp_path, make("s3").tls)
    assert up([absent]) == 0
    with pytest.raises(RuntimeError, match=r"no s3 server is known: .* this machine has none.*EMATIX_TEST_S3_URL"):
        url("s3")


def test_a_program_that_is_not_the_one_of_the_checksum_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="is not the module that was checked in") as caught:
        build(PACKAGE, VERSION, checksum="h1:another", into=tmp_path / "programs", instead="nothing")
    assert not isinstance(caught.value, UnavailableError), caught.value
    assert not (tmp_path / "programs").exists()
