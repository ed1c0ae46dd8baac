"""Raw messages: the bytes as they are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ematix_core import types
from ematix_core.codecs import Format, decoder, encoder
from ematix_core.errors import ConversionError, UnsupportedError
from ematix_core.model.table import Column


def test_bytes_go_through_unchanged_both_ways() -> None:
    messages = pa.array([b"\x00\xff", b""], pa.binary())
    decoded = decoder(Format("raw"), topic="t").decode(messages)
    assert decoded.rows.to_pydict() == {"value": [b"\x00\xff", b""]}
    assert encoder(Format("raw"), (Column("value", types.Bytes),), topic="t").encode(decoded.rows).to_pylist() == [
        b"\x00\xff",
        b"",
    ]


def test_more_columns_than_one_cannot_be_raw() -> None:
    with pytest.raises(UnsupportedError, match="not of a: BigInt"):
        encoder(Format("raw"), (Column("a", types.BigInt),), topic="t")
    with pytest.raises(UnsupportedError, match="one column of bytes or text"):
        encoder(Format("raw"), (Column("a", types.Text), Column("b", types.Text)), topic="t")


def test_null_is_no_message() -> None:
    writer = encoder(Format("raw"), (Column("t", types.Text),), topic="t")
    with pytest.raises(ConversionError, match="column 't', row 1: NULL is no message"):
        writer.encode(pa.record_batch([pa.array(["a", None])], names=["t"]))
