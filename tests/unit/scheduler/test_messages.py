"""Which connections may be sources of messages, and how payloads are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.engine.environment import Environment
from ematix_core.errors import UnknownConnectionError, UnsupportedError
from ematix_core.model.connection import MemoryConnection, ObjectStoreConnection, SQLiteConnection
from ematix_core.model.message import MessageSource, inbox, queue
from ematix_core.scheduler.messages import MessagePoller, parsed
from ematix_core.scheduler.pollers import open_poller

if TYPE_CHECKING:
    from pathlib import Path


def poller(source: MessageSource) -> MessagePoller:
    return open_poller(source, Environment())


def test_a_connection_that_cannot_be_such_a_source_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    lake = ObjectStoreConnection("lake", path=str(tmp_path))
    with pytest.raises(UnsupportedError, match="connection lake of kind objects has no tables to be a queue"):
        poller(queue("in", connection=lake, table="q"))
    with pytest.raises(UnsupportedError, match="connection m of kind memory is of this process alone"):
        poller(queue("in", connection=MemoryConnection("m"), table="q"))
    with pytest.raises(UnsupportedError, match="connection shop of kind sqlite has no folders"):
        poller(inbox("in", connection=SQLiteConnection("shop", path="shop.db")))
    with pytest.raises(UnknownConnectionError):
        poller(inbox("in", connection="nowhere"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ("plain", "plain"),
        ("", ""),
        ("NaN", "NaN"),
        ('{"a": Infinity}', '{"a": Infinity}'),
        ('"\\ud800"', '"\\ud800"'),
        ("[" * 100_000, "[" * 100_000),
        ("1" * 5000, "1" * 5000),
    ],
    ids=["json", "text", "empty", "nan", "infinity", "surrogate", "deep", "long"],
)
def test_a_text_is_parsed_when_it_is_json_that_every_store_takes(text: str, value: object) -> None:
    assert parsed(text) == value
