from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_folder_is_a_source_whose_files_are_moved_when_done() -> None:
    drops = ematix.ObjectStoreConnection("drops", path="drops", format="json")
    source = ematix.inbox("orders", connection=drops, path="orders/*.json")
    assert (source.after, source.connection_name, str(source)) == ("move", "drops", "orders (orders/*.json)")


def test_a_table_is_a_source_whose_rows_are_deleted_when_done() -> None:
    source = ematix.queue("requests", connection="app", table="app.requests", id_column="nr", after="keep")
    assert (source.id_column, source.payload_column, source.after) == ("nr", "payload", "keep")
    assert str(source) == "requests (app.requests)"
    assert ematix.queue("requests", connection="app", table="t").after == "delete"


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (
            lambda: ematix.inbox("orders", connection="drops", after="mov"),  # type: ignore[arg-type]  # the mistake
            "unknown after 'mov' (message source orders)\nDid you mean 'move'? Known: delete, keep, move.",
        ),
        (
            lambda: ematix.queue("requests", connection="app", table="t", after="move"),
            "a row cannot be moved (queue requests)\nUse after='delete' or 'keep'.",
        ),
        (
            lambda: ematix.queue("requests", connection="app", table=""),
            "a message source needs a name and table= (message source requests)",
        ),
        (
            lambda: ematix.inbox("orders", connection=None),  # type: ignore[arg-type]  # the mistake
            "a message source needs connection= (message source orders)",
        ),
        (
            lambda: ematix.inbox("orders", connection="drops", pth="x"),  # type: ignore[call-arg]  # the mistake
            (
                "an inbox has no option 'pth' (message source orders)\nDid you mean 'path'? "
                "Known: after, connection, name, path."
            ),
        ),
        (
            lambda: ematix.queue("requests", connection="app"),  # type: ignore[call-arg]  # the mistake
            "a queue needs table= (message source requests)",
        ),
    ],
)
def test_a_source_that_contradicts_itself_is_refused(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert str(caught.value) == message
