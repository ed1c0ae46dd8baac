"""Compiling what is broken: what is told, and what is left as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import EmatixError, ProjectError
from ematix_core.orchestration import compiled
from tests.unit.orchestration.shop import write

if TYPE_CHECKING:
    from pathlib import Path


def test_all_problems_of_a_broken_project_are_told(shop: Path) -> None:
    more = """
    import ematix_core as ematix
    from shop.connections import warehouse
    a = ematix.job(name="a", target="t", target_connection=warehouse, depends_on="b")(lambda: "SELECT 1")
    c = ematix.workflow("c", jobs=a, triggered_by="d")
    """
    write(shop, {"shop/more.py": more})
    with pytest.raises(ProjectError) as caught:
        compiled(["shop"], shop)
    text = str(caught.value)
    assert "the project has 2 problems:" in text
    assert "job a depends on 'b', which is no job" in text
    assert "workflow c waits for 'd'" in text
    assert not (shop / "shop.ematix.json").exists()


def test_a_module_that_raises_is_told_with_the_users_own_traceback(shop: Path) -> None:
    write(shop, {"shop/more.py": "def f():\n    return {}['x']\nf()"})
    with pytest.raises(ProjectError, match=r"cannot load shop\.more: KeyError: 'x'") as caught:
        compiled(["shop"], shop)
    assert f'File "{shop}/shop/more.py", line 2, in f' in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os._exit(7)", "the process that loads the project ended with 7"),
        ("raise SystemExit(3)", "cannot load more: SystemExit: 3"),
    ],
)
def test_what_a_module_does_when_imported_hurts_nobody(tmp_path: Path, code: str, message: str) -> None:
    write(tmp_path, {"more.py": code})
    with pytest.raises(ProjectError, match=message):
        compiled(["more"], tmp_path)


def test_what_a_module_prints_is_no_part_of_the_answer(shop: Path) -> None:
    write(shop, {"shop/more.py": "import sys; print('hello', flush=True); print(sys.stdin.read(), 'there')"})
    assert compiled(["shop"], shop).jobs


def test_there_is_no_project_without_modules_or_folder(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is nothing to compile"):
        compiled([], tmp_path)
    with pytest.raises(ProjectError, match="there is no folder"):
        compiled(["shop"], tmp_path / "missing")
    with pytest.raises(ProjectError, match="there is no module 'shpo'"):
        compiled(["shpo"], tmp_path)


def test_a_folder_that_cannot_be_written_is_no_hindrance(shop: Path) -> None:
    assert compiled(["shop"], shop, shop / "missing" / "shop.json").jobs
    assert not list(shop.glob("*.json"))


def test_messages_with_a_password_in_clear_are_refused(shop: Path) -> None:
    more = """
    import ematix_core as ematix
    from shop.jobs import orders
    lake = ematix.MySQLConnection("lake", url="mysql://ann:swordfish@db/lake")
    w = ematix.workflow("w", jobs=orders, on_message=ematix.queue("q", connection=lake, table="q"))
    """
    write(shop, {"shop/more.py": more})
    with pytest.raises(EmatixError, match="the connection has a secret in clear") as caught:
        compiled(["shop"], shop)
    assert "swordfish" not in str(caught.value)
