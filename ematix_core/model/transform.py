"""What happens to the rows around a load: row transforms before it, steps after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

_WHOLE = 100
_LABEL_LENGTH = 40


@dataclass(frozen=True)
class DeduplicateBy:
    """Keep one row a key: the one with the highest `order_by` (NULL is lowest), or the first read without it."""

    keys: tuple[str, ...]
    order_by: str | None = None


@dataclass(frozen=True)
class FilterWhere:
    """Keep the rows for which `condition`, a boolean expression in DuckDB SQL, is true."""

    condition: str


@dataclass(frozen=True)
class Limit:
    """Keep the first `rows` rows."""

    rows: int


@dataclass(frozen=True)
class Sample:
    """Keep about `percent` of the rows, chosen at random, each by itself."""

    percent: float


Transform = DeduplicateBy | FilterWhere | Limit | Sample


def deduplicate_by(*keys: str, order_by: str | None = None) -> DeduplicateBy:
    """Transform: keep one row a key, the one with the highest `order_by`; without it the first that is read."""
    if not keys:
        raise DeclarationError("deduplicate_by names no column")
    return DeduplicateBy(keys, order_by)


def filter_where(condition: str) -> FilterWhere:
    """Transform: keep the rows for which the condition, in DuckDB SQL over the job's columns, is true."""
    if not condition.strip():
        raise DeclarationError("filter_where has no condition")
    return FilterWhere(condition)


def limit(rows: int) -> Limit:
    """Transform: keep the first `rows` rows."""
    if rows < 0:
        raise DeclarationError(f"limit({rows}): the number of rows must not be negative")
    return Limit(rows)


def sample(percent: float) -> Sample:
    """Transform: keep about `percent` (above 0, up to 100) of the rows, chosen at random."""
    if not 0 < percent <= _WHOLE:
        raise DeclarationError(f"sample({percent}): the percentage must be above 0 and at most 100")
    return Sample(percent)


@dataclass(frozen=True)
class PostStep:
    """A step after the load, in its transaction: SQL text in the target's grammar, or a function. Exactly one."""

    name: str
    sql: str = ""
    function: Callable[..., Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check that there is exactly one thing to do."""
        if bool(self.sql.strip()) == (self.function is not None):
            raise DeclarationError(f"step {self.name!r} needs sql= or function=, and not both")


StepLike: TypeAlias = "PostStep | str | Callable[..., Any]"


def as_post_step(value: StepLike) -> PostStep:
    """Return the step for SQL text, a function or a step; the name is the SQL's first line or the function's name."""
    if isinstance(value, PostStep):
        return value
    if isinstance(value, str):
        return PostStep(_first_line(value), sql=value)
    if not callable(value):
        raise DeclarationError(f"after={value!r} is neither SQL text nor a function")
    return PostStep(getattr(value, "__name__", type(value).__name__), function=value)


def transform(function: Callable[..., Any]) -> PostStep:
    """Make the decorated function a named step, for the `after=` of several jobs."""
    return as_post_step(function)


def _first_line(sql: str) -> str:
    line = sql.strip().partition("\n")[0].strip()
    return line if len(line) <= _LABEL_LENGTH else f"{line[: _LABEL_LENGTH - 3]}..."
