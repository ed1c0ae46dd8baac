"""What a job's own function raises is told with its place: the message goes where no traceback does, as into alerts."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ematix_core as ematix
from ematix_core.errors import RunError
from tests.unit.engine.shop import job

TARGET: dict[str, Any] = {"target": "t", "target_connection": ematix.MemoryConnection("memory")}


def _parsed(text: str) -> Any:  # noqa: ANN401 - whatever the text says
    return json.loads(text)


def _line(of: str) -> int:
    return 1 + next(i for i, line in enumerate(Path(__file__).read_text().splitlines()) if of in line)


def test_the_place_is_the_last_line_of_the_users_own_file() -> None:
    with pytest.raises(RunError) as caught:
        job(lambda: _parsed("{"), **TARGET).run()
    assert "the job's function raised JSONDecodeError" in caught.value.what
    line = _line("return json.loads(text)")
    assert caught.value.hint == f"Your own code raised it: {Path(__file__).name}, line {line}."


def test_a_function_without_lines_of_its_own_has_no_place() -> None:
    with pytest.raises(RunError) as caught:
        job(partial(divmod, 1, 0), **TARGET).run()
    assert caught.value.hint == ""
