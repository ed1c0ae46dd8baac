"""From polled messages to rows and letters: what cannot be read is told with a reason that can be kept."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ematix_core.backends.stream_protocols import Polled
from ematix_core.codecs import Format, decoder
from ematix_core.model.table import Column
from ematix_core.streaming.records import Reading
from ematix_core.types import Text


@pytest.mark.parametrize("columns", [(), (Column("u", Text),)])
@pytest.mark.parametrize("message", [b'{"u": "\\ud800"}', b'{"\\ud800": "a"}'])
def test_the_reason_of_a_letter_quotes_half_of_a_surrogate_pair_as_its_escape(
    message: bytes, columns: tuple[Column, ...]
) -> None:
    values = pa.array([b'{"u": "good"}', message], pa.binary())
    keys = pa.array([None, b"\xed\xa0\x80"], pa.binary())
    polled = pa.RecordBatch.from_arrays([values, keys, pa.array([0, 1])], names=["value", "_key", "_offset"])
    records = Reading(decoder(Format(columns=columns), topic="t"), "value").read(Polled(polled, {}))
    assert records.rows.column("u").to_pylist() == ["good"]
    assert records.letters is not None
    (letter,) = records.letters.to_pylist()
    assert "\\ud800" in letter["error"]
    assert "a lone surrogate is no character" in letter["error"]
    assert (letter["record_value"], letter["record_key"], letter["record_offset"]) == (message, b"\xed\xa0\x80", 1)
