"""Declarations of windows: what they say, and what is refused, with the way out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError
from ematix_core.model.mode import Merge, Scd2

if TYPE_CHECKING:
    from ematix_core.model.stream import Stream
    from ematix_core.model.window import Window

COUNT = {"n": "count"}


def tumbling(**options: object) -> Window:
    given: dict[str, Any] = {"on": "at", "aggregate": COUNT, **options}
    return ematix.tumbling("1 minute", **given)


def stream(window: object, **options: object) -> Stream:
    given: dict[str, Any] = {"window": window, **options}
    files, store = ematix.ObjectStoreConnection("files", path="in"), ematix.SQLiteConnection("store", path="x.sqlite")
    return ematix.stream("clicks", source=files, source_query="*.json", target=store, target_table="t", **given)


def test_a_window_is_told_in_one_line_with_what_differs_from_the_defaults() -> None:
    window = ematix.hopping(
        timedelta(minutes=5), every="1 minute", on="at", by="user", aggregate={"n": "count", "total": "sum(price)"},
        lateness="10 seconds", late="reopen", reopen_for="1 hour",
    )  # fmt: skip
    assert str(window) == (
        "hopping 300 s on at by user, every 60 s, lateness 10 s, reopen_for 3600 s, late rows: reopen: "
        "n=count, total=sum(price)"
    )
    assert str(ematix.session("5 minutes", on="at", aggregate=COUNT, max_length="1 day")) == (
        "session 300 s on at, max_length 86400 s: n=count"
    )


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"latenes": "1 minute"}, "tumbling has no option 'latenes'", "Did you mean 'lateness'?"),
        ({"late": "dead_letters"}, "unknown late 'dead_letters'", "Did you mean 'dead_letter'?"),
        ({"late": "reopen"}, "late='reopen' and reopen_for= go together", "how long after its end"),
        ({"reopen_for": "1 hour"}, "late='reopen' and reopen_for= go together", "how long after its end"),
        ({"aggregate": ["count"]}, "aggregate= is a dict", "Write aggregate={'n': 'count'}"),
        ({"aggregate": {}}, "a window needs on=", ""),
        ({"by": "n"}, "a window has several columns n", ""),
        ({"by": "window_start"}, "a window has several columns window_start", ""),
        ({"lateness": 5}, "lateness=5 is no length of time", "Write '1 day'"),
        ({"lateness": "5 minits"}, "lateness='5 minits' has an unknown unit", "Did you mean 'minute'?"),
        ({"idle": 0}, "idle=0 is not positive", ""),
        ({"max_groups": 0}, "max_groups=0 is no positive whole number", ""),
        ({"max_groups": "10"}, "max_groups='10' is no positive whole number", ""),
    ],
)
def test_a_contradiction_is_refused_when_it_is_declared(options: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        tumbling(**options)
    assert message in str(caught.value)
    assert hint in str(caught.value)


def test_hops_leave_no_gaps_and_sessions_are_as_long_as_their_gap() -> None:
    with pytest.raises(DeclarationError, match="every= is longer than a window"):
        ematix.hopping("1 minute", every="2 minutes", on="at", aggregate=COUNT)
    with pytest.raises(DeclarationError, match="max_length= is shorter than the gap"):
        ematix.session("1 minute", on="at", aggregate=COUNT, max_length="5 seconds")


@pytest.mark.parametrize("option", [{"early": "5 seconds"}, {"late": "reopen", "reopen_for": "1 hour"}])
def test_a_session_is_not_told_again(option: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="a session is told once, when it is over"):
        ematix.session("1 minute", on="at", aggregate=COUNT, **option)


@pytest.mark.parametrize("option", [{"early": "5 seconds"}, {"late": "reopen", "reopen_for": "1 hour"}])
def test_results_that_are_told_again_are_not_appended(option: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r"t would have it several times .stream clicks.\s+Use mode=") as caught:
        stream(tumbling(by="user", **option))
    assert "ematix.merge(keys=['user', 'window_start'])" in str(caught.value)


def test_a_merge_and_a_history_get_the_keys_of_the_results() -> None:
    for name, kind in (("merge", Merge), ("scd2", Scd2)):
        mode = stream(tumbling(by="user"), mode=name).targets[0].mode
        assert isinstance(mode, kind)
        assert mode.keys == ("user", "window_start")
    given = stream(tumbling(by="user"), mode=ematix.merge(keys=["user"])).targets[0].mode
    assert isinstance(given, Merge)
    assert given.keys == ("user",)


@pytest.mark.parametrize("given", [{"size": "1 minute"}, "1 minute"])
def test_what_is_no_window_is_refused_with_the_stream_s_name(given: object) -> None:
    with pytest.raises(DeclarationError, match=r"is no window .stream clicks") as caught:
        stream(given)
    assert "Write window=ematix.tumbling('1 minute', on=..., aggregate=...), in Python." in str(caught.value)


def test_late_rows_are_letters_only_where_there_are_letters() -> None:
    with pytest.raises(
        DeclarationError, match=r"late rows are to be dead letters .stream clicks.\n.*on_error='dead_le"
    ):
        stream(tumbling(late="dead_letter"))
    assert stream(tumbling(late="dead_letter"), on_error="dead_letter").window is not None


def test_a_place_for_state_needs_a_window() -> None:
    with pytest.raises(DeclarationError, match="state= is given, and there is no window="):
        stream(None, state="kept")
