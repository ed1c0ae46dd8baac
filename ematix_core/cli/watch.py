"""Where the engine reports its progress to: bars when stderr is a terminal, else lines."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.cli.lines import Lines
from ematix_core.cli.slices import SliceLines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


def draws(stream: TextIO) -> bool:
    """Say whether a stream is a terminal on which lines can be drawn again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def watching(*, verbose: bool) -> Iterator[Lines]:
    """Yield the progress to hand to the engine; bars are on the terminal as long as this is open."""
    if verbose or not draws(sys.stderr):
        yield Lines(verbose=verbose)
        return
    from ematix_core.cli.bars import Bars

    with Bars() as bars:
        yield bars


@contextmanager
def watching_slices(title: str, total: int, *, verbose: bool) -> Iterator[SliceLines]:
    """Yield the progress to hand to a backfill of so many slices; bars are on the terminal as long as this is open."""
    if verbose or not draws(sys.stderr):
        yield SliceLines(total, verbose=verbose)
        return
    from ematix_core.cli.slice_bars import SliceBars

    with SliceBars(title, total) as bars:
        yield bars
