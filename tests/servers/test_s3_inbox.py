"""A prefix of an object store as a source of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import AccessError
from ematix_core.model.connection import ObjectStoreConnection
from ematix_core.model.message import inbox
from ematix_core.scheduler import remote_inbox
from ematix_core.scheduler.remote_inbox import RemoteInbox

if TYPE_CHECKING:
    from ematix_core.model.message import After
    from ematix_core.scheduler.messages import Message
    from tools.servers.bucket import Bucket


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_inbox, "EVERY", 0.0)


def open_inbox(s3: Bucket, *, path: str = "in/*.json", after: After = "move") -> RemoteInbox:
    connection = ObjectStoreConnection("drops", path=s3.s3_url, options=s3.options)
    return RemoteInbox(inbox("drops_in", connection=connection, path=path, after=after), connection)


def put(s3: Bucket, **files: str) -> None:
    for name, content in files.items():
        s3.store().put(f"in/{name.replace('_', '.')}", content.encode())


def payloads(found: list[Message]) -> list[object]:
    return [message.payload for message in found]


def test_each_object_is_a_message_until_it_is_known(s3: Bucket) -> None:
    put(s3, a_json='{"n": 1}', b_json='{"n": 2}', c_csv="n\n3", _hidden_json="{}", d_json_tmp="{}")
    box = open_inbox(s3)
    box.check()
    found = box.poll(())
    assert payloads(found) == [{"n": 1}, {"n": 2}]
    assert [message.position.partition("@")[0] for message in found] == ["in/a.json", "in/b.json"]
    assert box.poll([message.position for message in found]) == []
    assert len(box.poll((), limit=1)) == 1


@pytest.mark.parametrize(
    ("after", "left"), [("move", ["in/done/a.json"]), ("delete", []), ("keep", ["in/a.json"])]
)  # fmt: skip
def test_what_is_done_is_taken_away_as_declared(s3: Bucket, after: After, left: list[str]) -> None:
    put(s3, a_json="{}")
    box = open_inbox(s3, path="in/**/*.json", after=after)
    (message,) = box.poll(())
    assert box.remaining([message.position]) == ([] if after == "keep" else [message.position])
    for _ in range(2):
        box.done(message.position)
    assert s3.keys() == left
    assert box.remaining([message.position]) == []
    assert box.poll([message.position]) == []


def test_an_object_of_the_same_name_that_is_done_again_keeps_the_first(s3: Bucket) -> None:
    box = open_inbox(s3)
    for text in ('"first"', '"second"'):
        put(s3, a_json=text)
        (message,) = box.poll(())
        box.done(message.position)
    assert len(s3.keys()) == 2
    assert s3.store().get("in/done/a.json").bytes() == b'"first"'


def test_a_bucket_that_is_not_there_is_named(s3: Bucket) -> None:
    connection = ObjectStoreConnection("drops", path="s3://no-such-bucket-here/x", options=s3.options)
    box = RemoteInbox(inbox("drops_in", connection=connection, path="*"), connection)
    with pytest.raises(AccessError, match="no bucket"):
        box.check()
