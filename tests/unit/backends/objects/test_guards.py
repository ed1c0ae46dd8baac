"""Which texts are bent: DuckDB's answer against exact arithmetic in Python."""

from __future__ import annotations

import re
from itertools import product

import duckdb
import pytest

from ematix_core.backends.objects.guards import INTEGERS, bent, pattern_of

NINES = [text for n in range(1, 19) for text in ("1" + "0" * (n - 1), "9" * n, "6" + "3" * (n - 1))]
FRACTIONS = ["", ".", ".0", ".00000000000000000000000000000000", ".5", ".9", ".01", ".25", ".99999999999999999999"]
EXPONENTS = ["", "e0", "e1", "E2", "e+3", "e12", "e-1", "E-2", "e-18", "e-400"]
SIGNS = ["", "-", "+", " ", "0", "0000000000000000000000000000"]
TEXTS = [
    *("".join(parts) for parts in product(SIGNS, NINES, FRACTIONS, EXPONENTS)),
    "0", "-0", "0.4", "-0.4", "0.5", ".5", "-.5", "0e5", "-9223372036854775808", "-9223372036854775807.6",
    "9223372036854775807", "9223372036854775806.6",
]  # fmt: skip


@pytest.mark.parametrize("kind", INTEGERS)
def test_a_number_is_bent_when_it_is_not_written_as_a_whole_one(kind: str) -> None:
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT text, {bent('text', kind)} FROM (SELECT unnest($texts) AS text)"
            f" WHERE TRY_CAST(text AS {kind}) IS NOT NULL",
            {"texts": TEXTS},
        ).fetchall()
    assert len(found) > 2_000
    wrong = [text for text, said in found if said is bool(re.fullmatch(pattern_of(kind), text))]
    assert wrong == []


def test_a_day_is_bent_when_it_has_a_time() -> None:
    texts = ["2026-01-31", "2026-01-31 ", " 2026-1-3", "2026-01-31 10:00:00", "12026-01-31", None]
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT {bent('text', 'DATE')} FROM (SELECT unnest($texts) AS text)",
            {"texts": texts},
        ).fetchall()
    assert found == [(False,), (False,), (False,), (True,), (False,), (None,)]


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIME"])
@pytest.mark.parametrize(
    "zone", ["", " ", "Z", "z", " Z", "+02", "-2", "+02:00", "-02:30", "+0200", " UTC", " Europe/Berlin"]
)
def test_a_time_is_bent_when_it_has_an_offset(kind: str, zone: str) -> None:
    days = ["2024-01-02 ", "2024-01-02T", "2024/1/2 ", " 2024-01-02 "] if kind == "TIMESTAMP" else ["", " "]
    hours = ["10:00", "10:00:00", "1:02:03", "10:00:00.5", "10:00:00.123456", "10:00:00."]
    texts = [day + hour + zone for day in days for hour in hours]
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT text, {bent('text', kind)} FROM (SELECT unnest($texts) AS text)"
            f" WHERE TRY_CAST(text AS {kind}) IS NOT NULL",
            {"texts": texts},
        ).fetchall()
    assert [text for text, said in found if said is not bool(zone.strip())] == []
    assert found or zone  # those that DuckDB does not take at all are told by the cast


@pytest.mark.parametrize(("kind", "digits"), [("TIMESTAMP_S", 0), ("TIMESTAMP_MS", 3)])
@pytest.mark.parametrize("fraction", ["", ".", ".0", ".000000", ".5", ".123", ".1230", ".1234"])
def test_a_time_is_bent_when_its_fraction_is_too_fine(kind: str, digits: int, fraction: str) -> None:
    texts = [f"2024-12-31{mark}10:00:00{fraction}" for mark in " T"]
    offsets = [f"{text}+02" for text in texts]
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT {bent('text', kind)} FROM (SELECT unnest($texts) AS text)", {"texts": texts + offsets}
        ).fetchall()
    fine = len(fraction.strip(".").rstrip("0")) > digits
    assert found == [(fine,), (fine,), (True,), (True,)]
