"""What turns messages into rows and rows into messages, as structural protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ematix_core.model.format import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from ematix_core.types import ColumnType

    ReadAs = Callable[[str, type[ColumnType]], type[ColumnType]]
    """Tells as which type to read the values of a field in which values of a type were found."""

__all__ = ["Decoded", "Decoder", "Encoder", "Format", "Undecodable"]


@dataclass(frozen=True)
class Undecodable:
    """A message that is not of the format: its number in the array that was decoded, and what is wrong with it."""

    row: int
    error: str


@dataclass(frozen=True)
class Decoded:
    """The rows of the messages that could be read, in their order, and those that could not, in theirs.

    `rows.num_rows + len(bad)` is the number of messages.
    """

    rows: pa.RecordBatch
    bad: tuple[Undecodable, ...] = ()


# A decoder that finds the columns in the messages also has `go_by`, see `InferringJsonDecoder`.
class Decoder(Protocol):
    """Reads messages. For one thread at a time: it may keep what it has learned of earlier messages."""

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        """Return the rows. Called by the consumer's loop for each micro-batch, with no NULL among the messages.

        Calling it again with the same messages gives the same rows. A message that is not of the format is no error of
        the call. May ask a registry, and block on it; raises ConnectError when that does not answer.
        """
        ...


# An encoder that asks a registry also has `require_accepted()`, which raises what it would be refused with.
class Encoder(Protocol):
    """Writes messages. For one thread at a time."""

    def encode(self, rows: pa.RecordBatch) -> pa.BinaryArray | pa.LargeBinaryArray:
        """Return one message a row. The batch has the encoder's columns, in any order.

        Called before the messages are produced; may repeat. The first call may ask a registry. Raises ConversionError
        naming column and row for a value that the format cannot hold.
        """
        ...
