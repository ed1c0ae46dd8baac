"""Batches on their way into a target: cast to the declared types, counted, and with their errors kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ematix_core.errors import CancelledError, ConversionError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from ematix_core.model.table import Column

_SHOWN = 60
"""Characters of a text that an error shows."""


class Feed:
    """Wraps the reader that a driver's bulk load pulls from.

    Drivers turn an error of the reader into one of their own, with the text of a traceback; `failure` keeps the
    original, and `rows` counts what was handed over. `encode` gives the batches the target's own form.
    """

    def __init__(
        self,
        kind: str,
        columns: Sequence[Column],
        batches: pa.RecordBatchReader,
        encode: Callable[[pa.Array[Any], Column], pa.Array[Any]] = lambda array, _: array,
    ) -> None:
        self.kind = kind
        self.columns = columns
        self.batches = batches
        self.encode = encode
        self.rows = 0
        self.failure: BaseException | None = None
        self.stopped = False

    def reader(self) -> pa.RecordBatchReader:
        """Return the reader for the driver; read once. Raises ConversionError for a type that cannot be cast."""
        import pyarrow as pa

        schema = pa.schema(
            [
                pa.field(column.name, self.encode(conformed(pa.nulls(0, field.type), column), column).type)
                for column, field in zip(self.columns, self.batches.schema, strict=True)
            ]
        )
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        try:
            for batch in self.batches:
                self._require_running()
                arrays = [
                    self.encode(conformed(array, column), column)
                    for array, column in zip(batch.columns, self.columns, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
                self.rows += batch.num_rows
                failpoint(f"{self.kind}.load.batch")
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise

    def _require_running(self) -> None:
        if self.stopped:
            raise CancelledError("the load was interrupted")


def conformed(array: pa.Array[Any], column: Column) -> pa.Array[Any]:
    """Return the array in the Arrow type of its column; the cast is checked, never lossy.

    Raises ConversionError naming the column.
    """
    import pyarrow as pa

    wanted = column.type.to_arrow()
    if array.type == wanted:
        _require_length(array, column)
        return array
    try:
        plain = array.storage if isinstance(array, pa.ExtensionArray) else array
        if isinstance(wanted, pa.BaseExtensionType):
            return wanted.wrap_array(plain.cast(wanted.storage_type))
        return plain.cast(wanted)
    except pa.ArrowInvalid as error:
        raise ConversionError(
            f"a value of column {column.name!r} does not fit {column.type.label()}: {error}"
        ) from error
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise ConversionError(
            f"column {column.name!r} comes as {array.type} and cannot be turned into {column.type.label()}",
            hint="Cast it in the job's query.",
        ) from error


def _require_length(array: pa.Array[Any], column: Column) -> None:
    """Raise ConversionError for text longer than a `String[length]` column: most systems would cut it or not care."""
    import pyarrow.compute as pc

    most = column.type.parameters.get("length")
    if most is None:
        return
    lengths = pc.utf8_length(cast("pa.StringArray", array))
    longest = pc.max(lengths).as_py() or 0
    if longest > most:
        text = array[lengths.index(longest).as_py()].as_py()
        raise ConversionError(
            f"column {column.name!r} is {column.type.label()} and a value has {longest} characters: "
            f"{text[:_SHOWN]!r}{'...' if longest > _SHOWN else ''}",
            hint="Shorten it in the query or by a normalizer, or give the column a longer type.",
        )
