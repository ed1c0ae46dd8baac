"""Tables and JSON on stdout."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import pytest

from ematix_core.cli.output import local_time, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_table_aligns_numbers_right_and_text_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("job", "rows", "seconds"), [("orders", 1_200_000, 3.5), ("customers", None, None)])
    assert capsys.readouterr().out == (
        "job             rows  seconds\n"
        "orders     1,200,000     3.50\n"
        "customers          -        -\n"
    )  # fmt: skip


def test_colour_does_not_count_as_width(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("status", "job"), [(click.style("ok", fg="green"), "a"), ("failed", "b")])
    assert [line.split("  ")[-1] for line in click.unstyle(capsys.readouterr().out).splitlines()] == ["job", "a", "b"]


def test_empty_table_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("job",), [])
    assert not capsys.readouterr().out


@pytest.fixture
def _berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_berlin")
def test_times_of_this_machine_that_come_twice_are_told_apart() -> None:
    shown = [local_time(datetime(2026, 10, 25, hour, 30, 9, 5, tzinfo=UTC)) for hour in (0, 1, 2)]
    assert shown == ["2026-10-25 02:30:09+02:00", "2026-10-25 02:30:09+01:00", "2026-10-25 03:30:09"]
    assert local_time(datetime(2026, 3, 29, 1)) == "2026-03-29 03:00:00"  # noqa: DTZ001 - counts as UTC


def test_json_writes_times_as_iso_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "name": "Zürich"})
    assert capsys.readouterr().out == '{\n  "at": "2026-01-02T03:04:00+00:00",\n  "name": "Zürich"\n}\n'
