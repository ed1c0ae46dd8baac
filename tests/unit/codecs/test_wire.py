"""What stands before a message is read off, and put before it."""

from __future__ import annotations

import zlib
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ematix_core.codecs import wire

UUIDS = ("0ca60b3b-9cd8-4ecb-9ad1-2b0c8b6d3a5e", "ffffffff-ffff-ffff-ffff-ffffffffffff")
IDS: dict[str, st.SearchStrategy[Any]] = {
    "confluent": st.sampled_from([0, 1, 7, 2**32 - 1]),
    "apicurio": st.integers(0, 2**32 - 1),  # so many that they are read one by one in the end
    "apicurio-global": st.sampled_from([1, 2**40, 2**64 - 1]),
    "glue": st.sampled_from(UUIDS),
    "none": st.none(),
}
KINDS: list[Any] = [pa.binary(), pa.large_binary()]


def _said(values: pa.Array[Any], name: str) -> dict[int, tuple[Any, bytes]]:
    groups, bad = wire.split(values, name)
    assert bad == {}
    found: dict[int, tuple[Any, bytes]] = {}
    for group in groups:
        assert group.rows.equals(group.rows.sort())
        assert group.payloads.type == values.type
        for row, payload in zip(group.rows.to_pylist(), group.payloads.to_pylist(), strict=True):
            found[row or 0] = (group.key, payload or b"")
    return found


@settings(deadline=None)
@given(st.data(), st.sampled_from(sorted(IDS)), st.sampled_from(KINDS))
def test_what_is_put_before_a_message_is_read_off_it(data: Any, name: str, kind: Any) -> None:  # noqa: ANN401 - hypothesis names no type
    messages = data.draw(st.lists(st.tuples(IDS[name], st.binary(max_size=20)), max_size=40))
    values = pa.array([b"before", *(wire.prefix(one, name) + payload for one, payload in messages)], kind)
    assert _said(values[1:], name) == dict(enumerate(messages))


@pytest.mark.parametrize("name", ["confluent", "apicurio-global", "glue"])
def test_bad_heads_are_told_one_by_one(name: str) -> None:
    good = wire.prefix(UUIDS[0] if name == "glue" else 5, name)
    messages = [b"", good + b"a", b"\x09" + good[1:] + b"b", good[:-1], good, good + b"c"]
    groups, bad = wire.split(pa.array(messages, pa.binary()), name)
    assert sorted(bad) == [0, 2, 3]
    assert all("does not begin with" in said for said in bad.values())
    assert [(one.rows.to_pylist(), one.payloads.to_pylist()) for one in groups] == [([1, 4, 5], [b"a", b"", b"c"])]


def test_glues_compression_is_undone_and_its_faults_are_told() -> None:
    plain = wire.prefix(UUIDS[0], "glue")
    packed = bytes([3, 5]) + plain[2:]
    body = zlib.compress(b"x" * 1000)
    messages = [plain + b"y", packed + body, packed + body[:-3], packed + body + b"z", packed + b"no", packed + body]
    huge = zlib.compress(bytes((1 << 27) + 1))
    groups, bad = wire.split(pa.array([*messages, packed + huge], pa.binary()), "glue")
    assert sorted(bad) == [2, 3, 4, 6]
    assert all("its compression cannot be undone" in said for said in bad.values())
    assert [(one.key, one.rows.to_pylist()) for one in groups] == [(UUIDS[0], [0]), (UUIDS[0], [1, 5])]
    assert groups[1].payloads.to_pylist() == [b"x" * 1000] * 2


def test_rows_of_several_groups_are_put_in_the_order_of_their_messages() -> None:
    def rows(*values: int) -> tuple[Any, pa.RecordBatch]:
        return pa.array(values, pa.int64()), pa.record_batch({"n": [10 * one for one in values]})

    empty = pa.record_batch({"n": pa.array([], pa.int64())})
    assert wire.in_order([rows(1, 4), rows(0, 2)], empty).to_pydict() == {"n": [0, 10, 20, 40]}
    assert wire.in_order([], empty) is empty
