"""Avro messages: `avro_fast` reads a batch at a time, `avro_exact` message by message; `avro_encoding` writes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ematix_core.errors import MissingDriverError

FAULTS = (ValueError, IndexError, OverflowError, EOFError, TypeError, KeyError, ArithmeticError, pa.ArrowException)
"""What fastavro and the conversions meet a malformed message with."""


def fastavro() -> Any:  # noqa: ANN401 - the module
    """Return the library. Raises MissingDriverError without the extra `avro`, of which numpy is a part too."""
    try:
        import fastavro as library
        import numpy as np
    except ImportError as error:
        raise MissingDriverError("avro", "fastavro", "avro") from error
    _ = np
    return library
