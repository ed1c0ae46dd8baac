"""Names that find nothing, and what is said to help."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.backends.objects.settings import settings_of
from ematix_core.errors import ConfigError, MissingSourceError

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any


@pytest.mark.parametrize("name", ["b/in/*.csv", "b/in/c.csv", "b/in/deeper/*.csv"])
def test_files_of_the_nearest_folder_are_told(lake: Lake, name: str) -> None:
    for number in range(600):
        lake.write_text(f"a/{number}.csv", "id\n1\n")
    lake.write_text("b/in/d.jsonl", "{}\n")
    with pytest.raises(MissingSourceError, match=r"b/in/d.jsonl") as raised:
        lake.read(f'SELECT * FROM "{name}"')
    assert "a/1" not in str(raised.value)


@pytest.mark.parametrize("name", ["[[]x/*.csv", "[[&&]x/*.csv", "[[~]x/*.csv"])
def test_marks_in_a_set_stand_for_themselves(lake: Lake, name: str) -> None:
    lake.write_text("[x/a.csv", "id\n1\n")
    lake.write_text("yx/a.csv", "id\n2\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lake.read(f'SELECT * FROM "{name}"').to_pylist() == [{"id": 1}]


def test_tsv_as_a_format_is_told_what_to_write(lake: Lake) -> None:
    with pytest.raises(ConfigError, match=r'format="csv".*delimiter="\\t"'):
        settings_of(lake.connection("tsv"))
