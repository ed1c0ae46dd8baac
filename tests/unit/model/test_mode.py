from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError
from ematix_core.model.mode import Append, Merge, Scd2, Truncate, parse_mode

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_three_spellings_of_a_mode_are_one() -> None:
    assert parse_mode("merge") == parse_mode(ematix.merge()) == parse_mode({"name": "merge"}) == Merge()
    assert parse_mode({"name": "merge", "keys": "id"}) == ematix.merge(keys=["id"]) == Merge(keys=("id",))
    assert parse_mode("scd1") == Merge()
    assert (
        (parse_mode("append"), parse_mode("truncate")) == (ematix.append(), ematix.truncate()) == (Append(), Truncate())
    )


def test_ttl_may_be_text() -> None:
    assert ematix.scd2(ttl="30 days") == Scd2(ttl=timedelta(days=30))


def test_history_has_last_seen_only_with_a_ttl() -> None:
    assert ematix.scd2(valid_to="until").history_columns() == ("valid_from", "until", "is_current", "row_hash")
    assert ematix.scd2(ttl="1 day").history_columns()[-1] == "last_seen"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: parse_mode("mrege"), ("unknown mode 'mrege'\n"
         "Did you mean 'merge'? Known: append, merge, scd1, scd2, truncate.")),
        (lambda: parse_mode({"keys": ["id"]}), ("mode={'keys': ['id']} is no mode\n"
         "Write 'merge', ematix.merge(...) or {'name': 'merge', ...}.")),
        (lambda: parse_mode({"name": "append", "keys": "id"}), "mode 'append' has no option 'keys'\nNone is declared."),
        (lambda: ematix.merge(deletes="close"), "mode 'merge': deletes='close'\nUse one of: 'ignore', 'delete'."),  # type: ignore[arg-type]  # a wrong value is the subject
        (lambda: ematix.scd2(event_time="at", order_by="at"), ("mode 'scd2': event_time and order_by together\n"
         "With event_time every version becomes history in its order; remove order_by.")),
        (lambda: ematix.scd2(ttl=timedelta(0)), "ttl=datetime.timedelta(0) is not positive"),
        (lambda: ematix.scd2(valid_from="at", valid_to="at"),
         "mode 'scd2': two of its columns have one name: at, at, is_current, row_hash"),
    ],
)  # fmt: skip
def test_a_mode_that_contradicts_itself_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        make()
    assert str(caught.value) == message
