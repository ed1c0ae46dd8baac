"""Streams of a TOML file are those that the same options in Python declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.errors import DeclarationError, ProjectError
from ematix_core.model.project import Project
from ematix_core.types import BigInt, Numeric, Text

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
[connections.events]
kind = "memory"

[streams.clicks]
source = "events"
source_query = "clicks"
target = "warehouse"
target_table = "crm.clicks"
mode = { name = "merge", keys = ["id"] }
on_error = "dead_letter"
batch_seconds = "2 seconds"

[streams.clicks.schema]
id = "BigInt"
price = "Numeric[12, 2] | None"
who = "Text"

[streams.clicks.lookups.countries]
connection = "events"
query = "SELECT * FROM countries"
refresh = "1 minute"
"""


def written(folder: Path, text: str) -> str:
    path = folder / "streams.toml"
    path.write_text(text)
    return str(path)


def test_a_file_declares_what_python_would(tmp_path: Path) -> None:
    project = Project.load(written(tmp_path, FILE))
    found = project.streams["clicks"]
    events = project.connections["events"]
    assert (found.source, found.targets[0].connection) == (events, "warehouse")
    assert (found.targets[0].mode, found.on_error, found.batching.seconds) == (
        ematix.merge(keys=["id"]), "dead_letter", 2.0,
    )  # fmt: skip
    assert found.schema is not None
    assert [(c.name, c.type, c.nullable) for c in found.schema.columns] == [
        ("id", BigInt, False), ("price", Numeric[12, 2], True), ("who", Text, False),
    ]  # fmt: skip
    assert found.lookups == (
        ematix.lookup("countries", connection=events, query="SELECT * FROM countries", refresh="1 minute"),
    )


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("[streams.clicks]", "[stream.clicks]", r"unknown table \[stream\](.|\n)*Did you mean 'streams'"),
        ('"BigInt"', '"BigIn"', r"'BigIn' is no type(.|\n)*column id(.|\n)*Did you mean 'BigInt'"),
        ("source_query =", "source_qery =", r"no option 'source_qery'(.|\n)*Did you mean 'source_query'"),
        ('kind = "memory"', 'path = "x"', r"a connection needs kind=(.|\n)*connection events"),
        ('name = "merge"', 'name = "merg"', r"merg(.|\n)*Did you mean 'merge'"),
        ('connection = "events"\n', "", r"lookup"),
    ],
)
def test_what_is_wrong_is_said_with_the_near_name(before: str, after: str, says: str, tmp_path: Path) -> None:
    assert before in FILE
    with pytest.raises((DeclarationError, ProjectError), match=says):
        Project.load(written(tmp_path, FILE.replace(before, after)))


def test_a_file_that_cannot_be_read_or_has_no_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no file .*missing\.toml"):
        Project.load(tmp_path / "missing.toml")
    with pytest.raises(ProjectError, match=r"cannot read .*streams\.toml"):
        Project.load(written(tmp_path, "[streams"))
    with pytest.raises(ProjectError, match="declares no stream"):
        Project.load(written(tmp_path, FILE.split("[streams.clicks]", maxsplit=1)[0]))
    (tmp_path / "ematix.toml").write_text("[project]\nmodules = []\n")
    with pytest.raises(ProjectError, match=r"ematix\.toml has settings, and declares no stream"):
        Project.load(tmp_path / "ematix.toml")


def test_what_is_good_of_a_file_and_of_modules_beside_it_is_loaded(tmp_path: Path) -> None:
    text = FILE + '[streams.bad]\nsource = "events"\non_error = "never"\ntarget = "w"\ntarget_table = "b"\n'
    project, messages = Project.load_good(written(tmp_path, text))
    assert list(project.streams) == ["clicks"]
    assert "bad" in messages[0]
    project, messages = Project.load_good(written(tmp_path, "[streams"), "nowhere")
    assert (dict(project.streams), len(messages)) == ({}, 2)


WINDOW = """
[streams.clicks]
source = "events"
source_query = "clicks"
target = "warehouse"
target_table = "per_minute"
mode = "merge"
state = "lake"
window = { name = "tumbling", size = "1 minute", on = "seen", by = ["who"], aggregate = { n = "count" } }
"""


def test_a_window_of_a_file_is_the_one_that_python_makes(tmp_path: Path) -> None:
    found = Project.load(written(tmp_path, WINDOW)).streams["clicks"]
    assert found == ematix.stream(
        "clicks", source="events", source_query="clicks", target="warehouse", target_table="per_minute", mode="merge",
        state="lake", window=ematix.tumbling("1 minute", on="seen", by="who", aggregate={"n": "count"}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('name = "tumbling", ', "", "is no table with a name"),
        ("tumbling", "tumblin", "unknown window 'tumblin'.*tumbling"),
        ("size =", 'latenes = "1 minute", size =', "tumbling has no option 'latenes'.*lateness"),
        ('on = "seen", ', "", "on"),
        ('"1 minute"', '"soon"', "size='soon' is no length of time"),
    ],
)
def test_what_is_wrong_with_a_window_is_said(before: str, after: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=f"(?s){says}.*"):
        Project.load(written(tmp_path, WINDOW.replace(before, after)))


JOIN = """
[connections.events]
kind = "memory"

[streams.paid]
target = "warehouse"
target_table = "paid"

[streams.paid.join]
on = [["id", "order_id"]]
how = "left"
within = "10 minutes"

[streams.paid.join.left]
name = "orders"
source = "events"
source_query = "orders"
on_time = "ordered_at"

[streams.paid.join.left.schema]
id = "BigInt"

[streams.paid.join.right]
name = "payments"
source = "other"
source_query = "payments"
format = "avro"
registry = "schemas"
transform_sql = "SELECT order_id, amount FROM source"
"""


def test_a_join_of_a_file_is_the_one_that_python_makes(tmp_path: Path) -> None:
    project = Project.load(written(tmp_path, JOIN))
    found, events = project.streams["paid"], project.connections["events"]
    assert found.join is not None
    schema = found.join.left.schema
    assert schema is not None
    assert [(column.name, column.type) for column in schema.columns] == [("id", BigInt)]
    assert found == ematix.stream(
        "paid", target="warehouse", target_table="paid", source=ematix.join(
            ematix.side("orders", source=events, source_query="orders", on_time="ordered_at", schema=schema),
            ematix.side(
                "payments", source="other", source_query="payments", format="avro", registry="schemas",
                transform_sql="SELECT order_id, amount FROM source",
            ),
            on=[("id", "order_id")], how="left", within="10 minutes",
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('how = "left"', 'howe = "left"', r"has no option 'howe' \(stream paid, join\).*Did you mean 'how'"),
        ('how = "left"', 'how = "lefd"', r"unknown how 'lefd' \(stream paid, join\).*Did you mean 'left'"),
        ("join.right]", "join.rigth]", r"has no option 'rigth' \(stream paid, join\).*Did you mean 'right'"),
        ('on = [["id", "order_id"]]', "", r"ematix.join needs on= \(stream paid, join\)"),
        ('on = [["id", "order_id"]]', 'on = [["id"]]', r"on= has \['id'\]"),
        ("on_time =", "on_tim =", r"no option 'on_tim' \(stream paid, join, left, side orders\).*mean 'on_time'"),
        ('name = "orders"', "", r"ematix.side needs name= \(stream paid, join, left\)"),
        ('"BigInt"', '"BigIn"', r"'BigIn' is no type \(stream paid, join, left, column id\).*Did you mean 'BigInt'"),
        ('format = "avro"', 'format = "avor"', r"'avor'.*stream paid.*Did you mean 'avro'"),
        ('target = "warehouse"', 'target = "warehouse"\nsource = "events"', "source= is given, and there is a join"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_join_is_said_with_its_place(before: str, after: str, says: str, tmp_path: Path) -> None:
    assert before in JOIN
    with pytest.raises((DeclarationError, ProjectError), match=f"(?s){says}"):
        Project.load(written(tmp_path, JOIN.replace(before, after)))


def test_a_window_goes_behind_the_join_of_a_file(tmp_path: Path) -> None:
    window = 'window = { name = "tumbling", size = "1 minute", on = "ordered_at", aggregate = { n = "count" } }'
    text = JOIN.replace('target_table = "paid"', f'target_table = "paid"\n{window}')
    found = Project.load(written(tmp_path, text)).streams["paid"]
    assert found.window == ematix.tumbling("1 minute", on="ordered_at", aggregate={"n": "count"})
    assert found.join is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('join = "orders"', r"this is no table \(stream paid, join\)"),
        ('join = { left = "orders" }', r"this is no table \(stream paid, join, left\)"),
    ],
)
def test_a_join_and_its_sides_are_tables(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=says):
        Project.load(written(tmp_path, f"[streams.paid]\n{text}\n"))


CALLING = """
[streams.clicks]
source = "events"
source_query = "clicks"
target = "warehouse"
target_table = "clicks"
functions = ["{module}:margin", "{module}:Spread"]
enrich = "{module}:with_country"
"""
MODULE = """
import ematix_core as ematix
from ematix_core.types import Double

other = 1

@ematix.udf
def margin(price: Double) -> Double:
    return price

@ematix.udaf
class Spread:
    most: Double
    def init(self, n): ...
    def update(self, state, groups, price: Double): ...
    def merge(self, state, groups, other): ...
    def finish(self, state) -> Double: ...

def with_country(batch):
    return batch
"""


def functions(folder: Path, module: str, text: str = MODULE) -> str:
    """Write a module with functions below the folder, and return the file that calls them."""
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return written(folder, CALLING.format(module=module))


def test_functions_are_found_beside_the_file(folder_of_its_own: Path) -> None:
    for folder in ("one", "two"):  # in each a module of the same name, which is another one
        (folder_of_its_own / folder).mkdir()
        text = MODULE.replace("other = 1", f"other = {folder!r}")
        found = Project.load(functions(folder_of_its_own / folder, "toml_prices", text)).streams["clicks"]
        assert [one.name for one in found.functions] == ["margin", "spread"]
        assert [one.name for one in found.enrich] == ["with_country"]
        assert found.enrich[0].function.__globals__["other"] == folder


def test_functions_of_a_package_and_of_installed_modules_are_found(folder_of_its_own: Path) -> None:
    path = functions(folder_of_its_own, "toml_lib.prices")
    (folder_of_its_own / "toml_lib" / "__init__.py").write_text("")
    found = Project.load(path).streams["clicks"]
    assert found.enrich[0].function.__module__ == "toml_lib.prices"
    text = CALLING.replace('enrich = "{module}', 'enrich = "copy').replace("with_country", "copy")
    found = Project.load(written(folder_of_its_own, text.format(module="toml_lib.prices"))).streams["clicks"]
    assert found.enrich[0].name == "copy"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("{module}:margin", "toml_price:margin", r"no module 'toml_price' \(stream clicks, .*mean 'toml_prices'"),
        ("{module}:margin", "{module}:margn", r"module toml_prices has no 'margn' \(stream clicks\).*mean 'margin'"),
        ("{module}:margin", "{module}:with_country", r"functions=.* does not belong there \(stream clicks\).*@ematix"),
        ("{module}:margin", "{module}", r"functions='toml_prices' names no function \(stream clicks\).*MODULE:NAME"),
        ("{module}:margin", ":margin", r"functions=':margin' names no function"),
        ("{module}:Spread", "{module}:margin", r"two functions are called 'margin' \(stream clicks\)"),
        ("{module}:with_country", "{module}:margin", r"enrich=.*is no function of whole batches \(stream clicks\)"),
        ("{module}:with_country", "{module}:other", r"enrich=1 is no function of whole batches \(stream clicks\)"),
        ('"{module}:with_country"', "1", r"enrich=1 names no function"),
    ],
)  # fmt: skip
def test_a_function_that_is_none_is_refused(before: str, after: str, says: str, folder_of_its_own: Path) -> None:
    functions(folder_of_its_own, "toml_prices")
    assert before in CALLING
    with pytest.raises((DeclarationError, ProjectError), match=f"(?s){says}"):
        Project.load(written(folder_of_its_own, CALLING.replace(before, after).format(module="toml_prices")))


def test_a_module_that_raises_is_told_with_its_line(folder_of_its_own: Path) -> None:
    with pytest.raises(ProjectError, match=r"(?s)stream clicks.*toml_broken.py.*ZeroDivisionError"):
        Project.load(functions(folder_of_its_own, "toml_broken", "1 / 0"))
