"""Streams declared in a TOML file, for those who write no Python.

[streams.clicks]
source = "events"                          # a connection of this file, of the project, of ematix.toml
source_query = "clicks"
target = "warehouse"
target_table = "analytics.clicks"
mode = { name = "merge", keys = ["id"] }
transform_sql = "SELECT id, price FROM source"

[streams.clicks.schema]                    # the messages' columns; "| None": may be NULL
id = "BigInt"
price = "Numeric[12, 2] | None"

[connections.events]
kind = "kafka"
url = "${KAFKA_URL}"

A window is written as `window = { name = "tumbling", size = "1 minute", on = "seen", aggregate = { n = "count" } }`.
In place of `source` there may be a join: `[streams.NAME.join]` with its options, and its sides as the tables `left` and
`right` below it. Functions are named with their modules, which lie beside the file or are installed:
`functions = ["prices:margin"]`, `enrich = "prices:with_country"`.
Messages are written as `target_format = { name = "avro", registry = "schemas" }`, with the options of `Format`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ematix_core import types
from ematix_core.errors import DeclarationError, ProjectError, near
from ematix_core.model.connection import make_connection
from ematix_core.model.format import Format
from ematix_core.model.join import join, side
from ematix_core.model.loading import load_beside
from ematix_core.model.options import listed
from ematix_core.model.stream import Stream, lookup, stream
from ematix_core.model.table import Column, TableDef, TableName
from ematix_core.model.window import WINDOWS
from ematix_core.types import ColumnType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.connection import Connection
    from ematix_core.model.join import Join, Side
    from ematix_core.model.window import Window

_TABLES = ("streams", "connections")
_SETTINGS = "ematix.toml"
_TYPE = re.compile(r"\s*(\w+)\s*(?:\[([\d,\s]+)\])?\s*(\|\s*None\s*)?")


def read_streams(path: str | Path) -> ModuleType:
    """Return the file's streams and connections as what a module declares. Raises ProjectError, DeclarationError."""
    where = str(path)
    if Path(path).name == _SETTINGS:
        raise ProjectError(f"{where} has settings, and declares no stream", hint="Name the file with [streams.NAME].")
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProjectError(f"there is no file {where}", hint="Name a TOML file with [streams.NAME].") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(f"cannot read {where}: {error}") from error
    for name in content:
        if name not in _TABLES:
            raise ProjectError(f"{where}: unknown table [{name}]", hint=near(name, _TABLES))
    connections = {name: _connection(name, settings) for name, settings in content.get("connections", {}).items()}
    folder = Path(path).resolve().parent
    streams = [_stream(name, options, connections, folder) for name, options in content.get("streams", {}).items()]
    if not streams:
        raise ProjectError(
            f"{where} declares no stream", hint="Write [streams.NAME] with source, source_query, target."
        )
    module = ModuleType(Path(path).stem.replace(".", "_"), f"The streams of {where}.")
    module.__file__ = str(Path(path).resolve())
    vars(module).update(connections=connections, streams=streams)
    return module


def _connection(name: str, settings: Mapping[str, Any]) -> Connection:
    rest = {key: value for key, value in settings.items() if key != "kind"}
    kind = settings.get("kind")
    if not isinstance(kind, str):
        raise DeclarationError("a connection needs kind=", where=f"connection {name}")
    return make_connection(name, kind, rest)


def _stream(name: str, options: Mapping[str, Any], connections: Mapping[str, Connection], folder: Path) -> Stream:
    given = dict(options)
    if "join" in given:
        if "source" in given:
            raise DeclarationError(
                "source= is given, and there is a join", where=f"stream {name}", hint="Its sides say what is read."
            )
        given["source"] = _join(name, given.pop("join"), connections)
    for option in ("source", "target", "registry", "state"):
        if option in given:
            given[option] = _known(given[option], connections)
    if "target_format" in given:
        given["target_format"] = _format(name, given["target_format"], connections)
    if "window" in given:
        given["window"] = _window(name, given["window"])
    if "schema" in given:
        given["schema"] = _table(name, given["schema"])
    if "lookups" in given:
        given["lookups"] = [
            lookup(one, **{**settings, "connection": _known(settings.get("connection"), connections)})
            for one, settings in given["lookups"].items()
        ]
    for option in ("functions", "enrich"):
        if option in given:
            given[option] = [_named(f"stream {name}", option, one, folder) for one in listed(given[option])]
    return stream(name, **given)


def _join(name: str, options: Any, connections: Mapping[str, Connection]) -> Join:  # noqa: ANN401 - as the file has it
    where = f"stream {name}, join"
    if not isinstance(options, dict):
        raise DeclarationError("this is no table", where=where, hint=f"Write [streams.{name}.join].")
    sides = {one: _side(where, one, options[one], connections) for one in ("left", "right") if one in options}
    try:
        return join(**{**options, **sides})
    except DeclarationError as error:
        raise error.at(where) from None


def _side(where: str, which: str, options: Any, connections: Mapping[str, Connection]) -> Side:  # noqa: ANN401 - as the file has it
    where = f"{where}, {which}"
    if not isinstance(options, dict):
        raise DeclarationError(
            "this is no table", where=where, hint=f"Write it below the join: [streams.NAME.join.{which}]."
        )
    given = dict(options)
    for option in ("source", "registry"):
        if option in given:
            given[option] = _known(given[option], connections)
    try:
        if "schema" in given:
            given["schema"] = _table(str(given.get("name", which)), given["schema"])
        return side(**given)
    except DeclarationError as error:
        raise error.at(where) from None


def _named(where: str, option: str, written: Any, folder: Path) -> Any:  # noqa: ANN401 - as the file has it, what the module has
    """Return what a text such as `prices:margin` names; what it has to be is asked by who takes it."""
    module, _, name = written.partition(":") if isinstance(written, str) else ("", "", "")
    if not module or not name:
        raise DeclarationError(
            f"{option}={written!r} names no function", where=where, hint=f'Write {option} = ["MODULE:NAME"].'
        )
    try:
        found = vars(load_beside(folder, module))
    except ProjectError as error:
        raise error.at(where) from error.__cause__
    if name not in found:
        functions = [one for one, value in found.items() if callable(value) and not one.startswith("_")]
        raise DeclarationError(f"{option}: module {module} has no {name!r}", where=where, hint=near(name, functions))
    return found[name]


def _window(name: str, options: Any) -> Window:  # noqa: ANN401 - as the file has it
    where = f"stream {name}, window"
    if not isinstance(options, dict) or "name" not in options:
        raise DeclarationError("this is no table with a name", where=where, hint='Write { name = "tumbling", ... }.')
    made = WINDOWS.get(options["name"])
    if made is None:
        raise DeclarationError(f"unknown window {options['name']!r}", where=where, hint=near(options["name"], WINDOWS))
    try:
        return made(**{option: value for option, value in options.items() if option != "name"})
    except DeclarationError as error:
        raise error.at(where) from None


def _format(name: str, options: Any, connections: Mapping[str, Connection]) -> Format:  # noqa: ANN401 - as the file has it
    where, known = f"stream {name}, target_format", [field.name for field in fields(Format)]
    if not isinstance(options, dict):
        raise DeclarationError("this is no table", where=where, hint='Write { name = "avro", registry = "..." }.')
    for option in options:
        if option not in known:
            raise DeclarationError(f"unknown option {option!r}", where=where, hint=near(option, known))
    return Format(**{**options, "registry": _known(options.get("registry"), connections)})


def _known(name: Any, connections: Mapping[str, Connection]) -> Any:  # noqa: ANN401 - as the file has it, None without
    return connections.get(name, name)


def _table(name: str, columns: Mapping[str, str]) -> TableDef:
    return TableDef(TableName("", f"{name}_messages"), tuple(_column(*item) for item in columns.items()))


def _column(name: str, written: str) -> Column:
    found = _TYPE.fullmatch(written)
    kind = getattr(types, found[1], None) if found else None
    if found is None or not (isinstance(kind, type) and issubclass(kind, ColumnType)):
        known = [one for one, value in vars(types).items() if isinstance(value, type) and issubclass(value, ColumnType)]
        raise DeclarationError(
            f"{written!r} is no type", where=f"column {name}", hint=near(found[1] if found else written, known)
        )
    if found[2]:
        numbers = tuple(int(number) for number in found[2].split(","))
        kind = kind[numbers]
    return Column(name, kind, nullable=found[3] is not None)
