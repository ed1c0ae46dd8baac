"""Arrow's arrays and functions as `Any`: the stubs have a class for each kind of array, and few of the overloads."""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute

Values: TypeAlias = Any
"""An Arrow array of some type."""
arrow: Any = pa
compute: Any = pyarrow.compute
