"""Compiling: what is read of declarations without running anything, and when a compiled file is made anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest

from ematix_core.errors import ConfigError, ProjectError
from ematix_core.orchestration import CompiledJob, CompiledProject, compiled
from tests.unit.orchestration.shop import JOBS, write

GOLDEN = Path(__file__).with_name("shop.ematix.json")


def _one_job(folder: Path, body: str) -> CompiledJob:
    """Return the job of a module that ends with `body`, as compiled."""
    head = """
    import ematix_core as ematix
    from ematix_core import SQLiteConnection
    TABLE, NUMBER = "crm.orders", 3
    lake = SQLiteConnection("lake", path="lake.db")
    job = ematix.job(name="load", target="copy", target_connection=lake)
    """
    (folder / "one.py").write_text(dedent(head) + dedent(body), encoding="utf-8")
    return compiled(["one"], folder).job("load")


def test_the_compiled_shop_is_as_it_was(shop: Path) -> None:
    compiled(["shop"], shop, shop / "again.json")
    compiled(["shop"], shop)
    text = (shop / "shop.ematix.json").read_text(encoding="utf-8")
    assert (shop / "again.json").read_text(encoding="utf-8") == text
    again = f"if that is meant, write it into {GOLDEN.name}"
    assert text.replace(f'"{version("ematix")}"', '"VERSION"') == GOLDEN.read_text(encoding="utf-8"), again


def test_a_stream_is_compiled_with_its_targets_and_place(shop: Path) -> None:
    project = compiled(["shop"], shop)
    visits = project.stream("visits")
    assert (visits.source, visits.kind, visits.query) == ("drops", "objects", "visits")
    assert [(one.connection, one.name, one.kind, one.mode, one.keys) for one in visits.targets] == [
        ("warehouse", "analytics.customers", "duckdb", "merge", ("customer_id",)),
        ("crm", "analytics.visits", "postgres", "append", ()),
    ]
    assert (visits.tags, visits.owner, visits.description) == (("live",), "ann", "Who has come.")
    line = (shop / visits.file).read_text(encoding="utf-8").splitlines()[visits.line - 1]
    assert line.startswith("@ematix.streaming_pipeline(source=drops")
    assert "- **bad records:** dead_letter, `bad_visits`" in visits.doc
    assert "x:y" not in visits.doc


def test_what_is_declared_is_found_without_calling_a_body(shop: Path) -> None:
    project = compiled(["shop"], shop)
    customers, orders, report, export = (project.job(n) for n in ("customers", "orders", "report", "export"))
    assert customers.tables == ("crm.customers", "old")
    assert customers.lineage == {
        "customer_id": (("crm.customers", "customer_id"),),
        "email": (("crm.customers", "email"), ("old", "email")),
        "updated_at": (("crm.customers", "updated_at"),),
    }
    assert [name for name, _ in customers.targets[0].columns] == [
        "customer_id", "email", "updated_at", "valid_from", "valid_to", "is_current", "row_hash",
    ]  # fmt: skip
    assert (customers.source, customers.timeout, customers.retry.retries) == ("crm", 3600, 3)
    assert customers.targets[0].checks == (("not_null(email)", "warn"),)
    lines = JOBS.splitlines()
    assert (customers.file, lines[customers.line - 1][:26]) == ("shop/jobs.py", "@ematix.job(target=Custome")
    assert orders.lineage["label"] == (("crm.orders", "customer_id"), ("crm.orders", "order_id"))
    assert orders.targets[0].keys == ("order_id",)
    assert report.lineage["valid_from"] == (("analytics.customers", "valid_from"),)
    assert (export.source, export.tables, export.lineage) == ("elsewhere", (), {})
    assert (export.targets[0].kind, export.targets[0].columns) == ("objects", ())
    assert [one.name for one in project.workflows] == ["export", "incoming", "nightly"]
    assert project.workflow("nightly").jobs == (customers, orders, report)


@pytest.mark.parametrize(
    ("body", "tables"),
    [
        ('@job\ndef load():\n    return "SELECT 1 FROM a"', ("a",)),
        ('@job\ndef load():\n    """Says what."""\n    return "SELECT 1 FROM a"', ("a",)),
        ('@job\ndef load(watermark, run):\n    return "SELECT 1 " "FROM a"', ("a",)),
        ('load = job(lambda: "SELECT 1 FROM " + TABLE)', ("crm.orders",)),
        ('@job\ndef load():\n    return f"SELECT 1 FROM {TABLE}"', ("crm.orders",)),
        ('def made(name):\n    return job(lambda: "SELECT 1 FROM " + name)\nload = made("b")', ("b",)),
        ('@job\ndef load():\n    return f"SELECT {NUMBER} FROM a"', ()),
        ('@job\ndef load():\n    return f"SELECT 1 FROM {TABLE!r}"', ()),
        ('@job\ndef load():\n    text = "SELECT 1 FROM a"\n    return text', ()),
        ('@job\ndef load(run):\n    return "SELECT 1 FROM a" if run else ""', ()),
        ('@job\ndef load():\n    return open("a.sql").read()', ()),
        ("@job\ndef load():\n    return", ()),
        ("@job\ndef load():\n    return missing", ()),
        ('exec("def load(): return \'SELECT 1 FROM a\'")\nload = job(load)', ()),
        ('import functools\nload = job(functools.partial(lambda text: text, "SELECT 1 FROM a"))', ()),
        ('import functools\n@job\n@functools.wraps(lambda: 1)\ndef load():\n    return "SELECT 1 FROM a"', ()),
        ('@job\ndef load():\n    return "no SQL at all ("', ()),
    ],
)  # fmt: skip
def test_sql_is_read_where_the_function_only_returns_a_known_text(
    tmp_path: Path, body: str, tables: tuple[str, ...]
) -> None:
    assert _one_job(tmp_path, body).tables == tables


def test_the_words_about_a_job_say_when_only_a_run_can_tell_its_sql(tmp_path: Path) -> None:
    known = _one_job(tmp_path, "@job\ndef load():\n    return \"SELECT 1 FROM a WHERE password = 'swordfish'\"")
    assert known.doc == (
        "- **source:** `lake`\n- **target:** `copy` in `lake` (sqlite)\n    - **mode:** append\n\n"
        "```sql\nSELECT 1 FROM a WHERE password = ***\n```"
    )
    unknown = _one_job(tmp_path, "@job\ndef load(conn):\n    return conn.query('SELECT 1')")
    assert unknown.doc.endswith("\n\nThe job's own function says when it runs what is read.")


def test_a_file_that_is_true_is_not_made_anew(shop: Path) -> None:
    first = compiled(["shop"], shop)
    written = (shop / "shop.ematix.json").stat().st_mtime_ns
    for path in (shop / "shop").glob("*.py"):
        os.utime(path, (1, 1))  # as after a checkout: the content decides
    assert compiled(["shop"], shop) == compiled(["shop"], shop, recompile="never") == first
    assert (shop / "shop.ematix.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: (folder / "shop" / "jobs.py").write_text(JOBS + "#"), "- shop/jobs.py has changed"),
        (lambda folder: (folder / "shop" / "more.py").write_text(""), "- shop/ has other modules in it"),
        (lambda folder: write(folder, {"shop/more/__init__.py": ""}), "- shop/ has other modules in it"),
        (lambda folder: (folder / "shop" / "extra.py").unlink(), "- shop/ has other modules in it\n- shop/extra.py is"),
        (lambda folder: (folder / "lib.py").write_text("X = 2"), "- lib.py has changed"),
        (
            lambda folder: _replace(folder / "shop.ematix.json", f'"{version("ematix")}"', '"0.0.1"'),
            f"- it is of ematix 0.0.1, and this is {version('ematix')}",
        ),
        (
            lambda folder: _replace(folder / "shop.ematix.json", '"format": 2', '"format": 1'),
            "- the format is 1, and this ematix reads 2",
        ),
        (
            lambda folder: _replace(folder / "shop.ematix.json", "nightly", "dayly"),
            "- it was changed after it was compiled",
        ),
        (
            lambda folder: _replace(folder / "shop.ematix.json", '["shop"]', '["shop", "b"]'),
            "- it is of shop, b, not of shop",
        ),
        (lambda folder: (folder / "shop.ematix.json").write_text("<<<"), "- it is no compiled project"),
        (lambda folder: (folder / "shop.ematix.json").unlink(), ""),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_an_error_or_made_anew(shop: Path, change: object, reason: str) -> None:
    write(shop, {"lib.py": "X = 1", "shop/extra.py": "import lib"})
    compiled(["shop"], shop)
    file = shop / "shop.ematix.json"
    assert callable(change)
    change(shop)
    with pytest.raises(ProjectError) as caught:
        compiled(["shop"], shop, recompile="never")
    head = f"the compiled project {file} is stale:\n{reason}" if reason else f"there is no compiled project {file}"
    assert str(caught.value).startswith(head)
    assert str(caught.value).endswith(f"\nCompile it anew, in {shop}: flow compile --module shop")
    compiled(["shop"], shop)
    assert compiled(["shop"], shop, recompile="never") == CompiledProject.from_json(file.read_text(encoding="utf-8"))


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_variable_says_what_is_done_with_a_stale_file(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMATIX_COMPILE", "never")
    with pytest.raises(ProjectError, match="there is no compiled project"):
        compiled(["shop"], shop)
    compiled(["shop"], shop, recompile="always")
    assert compiled(["shop"], shop).jobs
    monkeypatch.setenv("EMATIX_COMPILE", "nevr")
    with pytest.raises(ConfigError, match=r"EMATIX_COMPILE='nevr' is no way to compile\nDid you mean 'never'\?"):
        compiled(["shop"], shop)


def test_modules_are_files_folders_and_names(shop: Path) -> None:
    by_name = compiled(["shop.jobs"], shop)
    assert (shop / "jobs.ematix.json").exists()
    by_path = compiled([str(shop / "shop" / "jobs.py")], shop)
    assert (by_name.modules, by_path.modules) == (("shop.jobs",), ("shop/jobs.py",))
    assert by_name.hash == by_path.hash == compiled(["./shop"], shop).hash
    assert compiled(["shop/jobs.py"], shop, recompile="never") == by_path


def test_modules_that_this_process_finds_are_found(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = tmp_path / "plugins"
    write(plugins, {"house_rules.py": "OWNER = 'ann'"})
    write(shop, {"shop/more.py": "import house_rules"})
    elsewhere = shop / "dags"
    elsewhere.mkdir()
    with pytest.raises(ProjectError, match="No module named 'house_rules'"):
        compiled(["shop"], shop)
    monkeypatch.syspath_prepend(str(plugins))
    project = compiled(["shop"], shop)
    assert "plugins/house_rules.py" in project.files
    monkeypatch.syspath_prepend(str(shop))
    assert set(compiled(["shop"], elsewhere).files) >= {"shop/jobs.py", "house_rules.py"}
    assert compiled(["shop"], elsewhere, recompile="never").jobs


def test_two_processes_may_compile_at_once(shop: Path) -> None:
    program = "from ematix_core.orchestration import compiled; print(compiled(['shop'], '.').hash)"

    def run(_: int) -> str:
        done = subprocess.run([sys.executable, "-c", program], cwd=shop, capture_output=True, text=True, check=True)
        return done.stdout

    with ThreadPoolExecutor(2) as pool:
        hashes = set(pool.map(run, range(4)))
    assert hashes == {compiled(["shop"], shop, recompile="never").hash + "\n"}
    assert [path.name for path in shop.glob("*json*")] == ["shop.ematix.json"]


def test_no_secret_and_no_code_is_in_the_file(shop: Path) -> None:
    compiled(["shop"], shop)
    text = (shop / "shop.ematix.json").read_text(encoding="utf-8")
    assert "${DROPS:-drops}" in text
    assert "CRM_PASSWORD" not in text
    assert "def " not in text
    assert json.loads(text)["hash"]


def test_a_true_file_is_read_without_the_modules_and_libraries(shop: Path) -> None:
    compiled(["shop"], shop)
    program = (
        "import sys; from ematix_core.orchestration import compiled; compiled(['shop'], '.', recompile='never')\n"
        "heavy = {'sqlglot', 'sqlalchemy', 'alembic', 'duckdb', 'pyarrow', 'shop', 'ematix_core.model.job'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=shop, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
