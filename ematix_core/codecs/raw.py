"""Messages as they are: one column, `value`, of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core.codecs.protocols import Decoded
from ematix_core.errors import ConversionError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.codecs.arrays import Values
    from ematix_core.model.table import Column

VALUE = "value"


class RawDecoder:
    """Gives the messages as the column `value`. None is bad."""

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        return Decoded(pa.RecordBatch.from_arrays([values.cast(pa.binary())], names=[VALUE]))


class RawEncoder:
    """Writes the only column, of bytes or text. Raises UnsupportedError for other columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        if len(columns) != 1 or columns[0].type.kind not in {"bytes", "text", "string", "json"}:
            names = ", ".join(f"{column.name}: {column.type.label()}" for column in columns)
            raise UnsupportedError(
                f"raw messages are made of one column of bytes or text, not of {names or 'none'}",
                hint="Select one column, or write JSON.",
            )
        self._name = columns[0].name

    def encode(self, rows: pa.RecordBatch) -> pa.BinaryArray:
        column: Values = rows.column(self._name)
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise ConversionError(
                f"column {self._name!r}, row {row}: NULL is no message",
                hint="Leave such rows out: WHERE ... IS NOT NULL.",
            )
        plain = column.storage if isinstance(column, pa.ExtensionArray) else column
        messages: pa.BinaryArray = plain.cast(pa.binary())
        return messages
