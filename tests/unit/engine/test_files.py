"""Files as the watermark: each target takes what it lacks."""

from __future__ import annotations

from pathlib import Path

import ematix_core as ematix
from tests.unit.engine.shop import rows_of


def test_a_target_that_joins_later_gets_the_old_files_and_the_others_only_the_new(warehouse: ematix.Connection) -> None:
    drops = Path("drops")
    drops.mkdir()
    (drops / "a.csv").write_text("id\n1\n", encoding="utf-8")
    source = ematix.ObjectStoreConnection("files", path="drops", format="csv")

    def load(*names: str) -> ematix.RunResult:
        targets = [ematix.target(name, connection=warehouse) for name in names]
        made: ematix.Job = ematix.job(name="load", source_connection=source, targets=targets, watermark="_file")(
            lambda: 'SELECT * FROM "*.csv"'
        )
        return made.run()

    load("first")
    (drops / "b.csv").write_text("id\n2\n", encoding="utf-8")
    result = load("first", "second")

    assert [(target.target, target.inserted) for target in result.targets] == [("first", 1), ("second", 2)]
    assert rows_of("SELECT id FROM first ORDER BY id") == [(1,), (2,)]
    assert [target.inserted for target in load("first", "second").targets] == [0, 0]
