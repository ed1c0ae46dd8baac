"""The columns of a batch as an encoder wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core.codecs.arrays import Values, arrow
from ematix_core.errors import ConversionError

if TYPE_CHECKING:
    from ematix_core.model.table import Column


def fit(rows: pa.RecordBatch, column: Column) -> Values:
    """Return the column of the batch in its declared type.

    Raises ConversionError naming the column when it is missing, and the row when a value does not fit or is NULL where
    the column takes none.
    """
    index = rows.schema.get_field_index(column.name)
    if index < 0:
        raise ConversionError(f"the rows have no column {column.name!r}", hint=f"They have: {rows.schema.names}.")
    return fitted(rows.column(index), column)


def fitted(values: Values, column: Column) -> Values:
    """Return the values in the column's declared type. Raises as `fit`."""
    kind = column.type.to_arrow()
    if values.null_count and not column.nullable:
        row = values.is_null().to_pylist().index(True)
        raise ConversionError(f"column {column.name!r}, row {row}: NULL, and the column is not nullable")
    if values.type.equals(kind):
        return values
    try:
        return _cast(values, kind)
    except pa.ArrowException as error:
        for row in range(len(values)):
            try:
                _cast(values[row : row + 1], kind)
            except pa.ArrowException as first:
                raise ConversionError(f"column {column.name!r}, row {row}: {first}") from error
        raise ConversionError(f"column {column.name!r}: {error}") from error


def _cast(values: Values, kind: pa.DataType) -> Values:
    if isinstance(kind, pa.BaseExtensionType):
        plain = values.storage if isinstance(values, pa.ExtensionArray) else values
        return arrow.ExtensionArray.from_storage(kind, plain.cast(kind.storage_type))
    plain = values.storage if isinstance(values, pa.ExtensionArray) else values
    return plain.cast(kind)
