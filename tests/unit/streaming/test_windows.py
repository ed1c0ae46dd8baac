"""Streams with a window: when results come from a folder, and columns and aggregates that do not fit."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.errors import ConversionError, DeclarationError, RunError
from ematix_core.streaming.control import Control
from tests.unit.streaming.windows import click, stream, told, tumbling

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.window import Window
    from tests.unit.streaming.conftest import Arrive


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_partition_of_a_folder_is_not_waited_for(files: Connection, store: Connection, arrive: Arrive) -> None:
    clicks = stream(files, store, tumbling(idle="10 minutes"))
    arrive(click("10:00:05"))
    arrive(click("10:01:05"))
    control = Control()
    thread = threading.Thread(target=clicks.consume, kwargs={"control": control})
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not (found := _so_far(store)) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        control.stop()
        thread.join(30)
    assert found == [("a", "10:00", 1)]


def _so_far(store: Connection) -> list[tuple[Any, ...]]:
    try:
        return told(store)
    except RunError:  # the table is made with the first results
        return []


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (tumbling(on="at"), "the rows have no column 'at', which the window has in on=.*Known: k, t, v\\."),
        (tumbling(by="kk"), "the rows have no column 'kk', which the window has in by=.*Did you mean 'k'"),
        (tumbling(by="lower(k)"), "no column 'lower.k.'.*Expressions have their place in transform_sql"),
        (tumbling(on="k"), "column 'k' is string, and the window goes by a timestamp.*CAST.k AS TIMESTAMPTZ"),
        (tumbling(on="v"), "column 'v' is int64, and the window goes by a timestamp.*to_timestamp.v"),
    ],
)
def test_columns_that_do_not_fit_stop_the_stream_whatever_on_error_says(
    files: Connection, store: Connection, arrive: Arrive, window: Window, message: str
) -> None:
    arrive(click("10:00:05"))
    with pytest.raises(ConversionError, match=f"(?s){message}"):
        stream(files, store, window, on_error="drop").consume(until_idle=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(v) / count(v)", "'sum(v) / count(v)' is no aggregate: it is not one call of a function"),
        ("sum", "'sum' has 0 arguments, and sum takes 1"),
        ("quantile(v)", "'quantile(v)' has 1 arguments, and quantile takes 2"),
        ("approx_quantile(v, 95)", "'approx_quantile(v, 95)': 95 is no number from 0 to 1"),
        ("quantile(v, 95)", "'quantile(v, 95)': 95 is no number from 0 to 1"),
    ],
)
def test_an_aggregate_that_there_is_not_is_named_with_its_column(
    files: Connection, store: Connection, arrive: Arrive, text: str, message: str
) -> None:
    arrive(click("10:00:05"))
    clicks = stream(files, store, tumbling(aggregate={"x": text}))
    with pytest.raises(DeclarationError) as planned:
        clicks.plan()
    with pytest.raises(DeclarationError) as consumed:
        clicks.consume(until_idle=True)
    assert message in str(planned.value)
    assert message in str(consumed.value)


def test_the_sql_may_make_the_time_of_a_text_with_the_same_name(
    files: Connection, store: Connection, arrive: Arrive
) -> None:
    arrive({"t": "at 01.06.2026 10:00", "k": "a", "v": 1}, {"t": "at 01.06.2026 10:01", "k": "a", "v": 1})
    sql = "SELECT upper(k) AS group_, strptime(t, 'at %d.%m.%Y %H:%M') AS t, group_ AS k, v FROM source"
    stream(files, store, tumbling(), transform_sql=sql).consume(until_idle=True)
    assert told(store) == [("A", "10:00", 1)]
