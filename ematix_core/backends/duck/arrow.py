"""Arrow into DuckDB and out of it: what DuckDB cannot hold is refused, what reading raises is kept.

`arrow.bool8` becomes the `bool` of all else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.types import LIMITS
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa


def require_held(schema: pa.Schema, where: str, remedy: str = "Cast it in the query of the source") -> None:
    """Raise UnsupportedError for a column with more digits than DuckDB's decimals have.

    `where` says which rows they are, `remedy` where the column can be cast.
    """
    for field in schema:
        if (wide := _wide(field.type)) is not None:
            digits = LIMITS["numeric_precision"]
            raise UnsupportedError(
                f"column {field.name!r} is {wide}, and DuckDB, through which the rows pass, has decimals of at most "
                f"{digits} digits", where=where,
                hint=f"{remedy}, to a decimal of at most {digits} digits, such as "
                f"numeric({digits}, {min(wide.scale, digits)}), or to text.",
            )  # fmt: skip


def _wide(kind: Any) -> Any:  # noqa: ANN401 - an Arrow type; its stubs know no nested kinds
    """Return the decimal of 256 bits that the type is or has within it, or None."""
    import pyarrow as pa

    if pa.types.is_decimal256(kind):
        return kind
    found = (_wide(kind.field(i).type) for i in range(kind.num_fields))
    return next((wide for wide in found if wide is not None), None)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema with plain booleans, nested ones too."""
    import pyarrow as pa

    return pa.schema([field.with_type(_plain(field.type)) for field in schema])


def plain_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the batches with the types of `schema` (of `plain_schema`)."""
    import pyarrow as pa

    for batch in batches:
        if batch.schema.equals(schema):
            yield batch
            continue
        arrays = [
            array if array.type.equals(field.type) else array.cast(field.type)
            for array, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def plain_table(table: pa.Table) -> pa.Table:
    """Return the table with plain booleans."""
    import pyarrow as pa

    schema = plain_schema(table.schema)
    return pa.Table.from_batches(plain_batches(table.to_batches(), schema), schema)


def noting(rows: pa.RecordBatchReader, failures: list[BaseException]) -> pa.RecordBatchReader:
    """Return the same rows, to be read by DuckDB; what their reading raises is noted, as DuckDB would wrap it."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from rows
        except BaseException as error:
            failures.append(error)
            raise

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _plain(kind: Any) -> Any:  # noqa: ANN401 - an Arrow type; its stubs know no nested kinds
    import pyarrow as pa

    if isinstance(kind, pa.Bool8Type):
        return pa.bool_()
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    return kind
