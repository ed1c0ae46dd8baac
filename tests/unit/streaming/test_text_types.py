"""Text files that a stream follows are read by the types of the table that their rows go into."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import BadRowError
from tests.unit.streaming.rows import drop, rows

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection

FIRST = {"csv": "id,price,code,day\n1,2.5,abc,2024-01-02\n"}
FIRST["jsonl"] = '{"id": 1, "price": 2.5, "code": "abc", "day": "2024-01-02"}\n'
LATER = {
    "csv": ["2,3,1.50,\n", "3,,2024-01-02,2024-01-03\n", "4,4,,\n"],
    "jsonl": [
        '{"id": 2, "price": 3, "code": "1.50", "day": null}\n',
        '{"id": 3, "price": null, "code": "2024-01-02", "day": "2024-01-03"}\n',
        '{"id": 4, "price": 4, "code": null, "day": null}\n',
    ],
}
BAD = {
    "csv": "id,price,code,day\n5,x,a,\n6,1,b,\n",
    "jsonl": '{"id": 5, "price": "x", "code": "a", "day": null}\n{"id": 6, "price": 1, "code": "b", "day": null}\n',
}


@pytest.mark.parametrize("sql", ["", "SELECT id, price, code, source.day FROM source"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_each_file_fits_whatever_its_values_look_like(
    files: Connection, store: Connection, tmp_path: Path, form: str, sql: str
) -> None:
    stream = ematix.stream(
        "clicks", source=files, source_query="*.*", target=store, target_table="clicks", transform_sql=sql
    )
    drop(tmp_path, f"0.{form}", FIRST[form], age=90)
    stream.consume(until_idle=True)
    head = FIRST["csv"].partition("\n")[0] + "\n" if form == "csv" else ""
    for number, text in enumerate(LATER[form], 1):
        drop(tmp_path, f"{number}.{form}", head + text, age=90 - number)
    assert stream.consume(until_idle=True).targets[0].inserted == 3
    assert [tuple(row[name] for name in ("id", "price", "code", "day")) for row in rows(store)] == [
        (1, 2.5, "abc", date(2024, 1, 2)), (2, 3.0, "1.50", None), (3, None, "2024-01-02", date(2024, 1, 3)),
        (4, 4.0, None, None),
    ]  # fmt: skip
    drop(tmp_path, f"5.{form}", BAD[form], age=50)
    with pytest.raises(BadRowError, match=f"(?s)'price'.*5.{form}, line {2 if form == 'csv' else 1}"):
        stream.consume(until_idle=True)
    kept = ematix.stream(
        "clicks", source=files, source_query="*.*", target=store, target_table="clicks", transform_sql=sql,
        on_error="dead_letter",
    )  # fmt: skip
    done = kept.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead) == (1, 1)
