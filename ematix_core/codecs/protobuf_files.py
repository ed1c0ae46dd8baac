"""Schemas of Protobuf as registries and users give them: .proto files, read by protoc, or descriptors of files.

https://protobuf.dev/programming-guides/proto3/
"""

from __future__ import annotations

import base64
import binascii
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ematix_core.errors import DeclarationError, MissingDriverError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAIN = "schema.proto"
_PATIENCE = 60.0
"""Seconds for protoc, which needs a twentieth of one."""


def require_protobuf() -> None:
    """Raise MissingDriverError without the extra `protobuf`."""
    for module, package in (("google.protobuf", "protobuf"), ("grpc_tools", "grpcio-tools"), ("ptars", "ptars")):
        if not _installed(module):
            raise MissingDriverError("protobuf", package, "protobuf")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # `google` itself
        return False


def messages(text: str, imports: Sequence[tuple[str, str]], where: str) -> list[Any]:
    """Return the messages of the schema's own file, each followed by those within it. Raises DeclarationError."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    files = _described(text, imports, where)
    pool = descriptor_pool.DescriptorPool()
    try:
        for one in _well_known(files):
            pool.Add(one)
        for one in files:
            pool.Add(one)
        main = pool.FindFileByName(files[-1].name)
    except (TypeError, KeyError) as error:
        raise DeclarationError(f"the Protobuf schema cannot be used: {error}", where=where) from error
    written = descriptor_pb2.FileDescriptorProto()
    main.CopyToProto(written)
    return [
        one for top in written.message_type for one in _nested(pool.FindMessageTypeByName(_name(written.package, top)))
    ]


def _name(package: str, top: Any) -> str:  # noqa: ANN401 - a DescriptorProto
    return f"{package}.{top.name}" if package else str(top.name)


def _nested(found: Any) -> Iterator[Any]:  # noqa: ANN401 - a Descriptor
    yield found
    for inner in found.nested_types:
        yield from _nested(inner)


def _described(text: str, imports: Sequence[tuple[str, str]], where: str) -> list[Any]:
    """Return the descriptors of the files, each after those that it imports."""
    main = _serialized(text)
    if main is None:
        return _compiled(text, imports, where)
    # What confluent-kafka registers, and Apicurio gives back as it is: descriptors instead of texts, imports too.
    known = {one.name: one for _, other in imports if (one := _serialized(other)) is not None}
    ordered: dict[str, Any] = {}
    _put(main, known, ordered)
    return list(ordered.values())


def _put(one: Any, known: dict[str, Any], ordered: dict[str, Any]) -> None:  # noqa: ANN401 - a FileDescriptorProto
    for name in one.dependency:
        if name in known and name not in ordered:
            _put(known.pop(name), known, ordered)
    ordered[one.name] = one


def _serialized(text: str) -> Any:  # noqa: ANN401 - a FileDescriptorProto, or None for what is a text
    from google.protobuf import descriptor_pb2
    from google.protobuf.message import DecodeError

    try:
        found = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None
    return found if found.name else None


def _well_known(files: list[Any]) -> list[Any]:
    """Return the descriptors of Google's types that the files import and do not bring."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    there = {one.name for one in files}
    wanted = {name for one in files for name in one.dependency if name.startswith("google/protobuf/")} - there
    found = []
    for name in sorted(wanted):
        importlib.import_module("google.protobuf." + PurePosixPath(name).stem + "_pb2")
        one = descriptor_pb2.FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(one)
        found.append(one)
    return found


def _compiled(text: str, imports: Sequence[tuple[str, str]], where: str) -> list[Any]:
    """Return what protoc makes of the files. It runs beside us: a text that it breaks on breaks nothing here."""
    from google.protobuf import descriptor_pb2

    with tempfile.TemporaryDirectory(prefix="ematix-protoc-") as name:
        folder = Path(name).resolve()
        main = _free(_MAIN, imports)
        for path, content in (*imports, (main, text)):
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or not path:
                raise DeclarationError(f"the Protobuf schema imports {path!r}, which is no path", where=where)
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        out = folder / "descriptors"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"-I{_google()}", "--include_imports",
                   f"--descriptor_set_out={out}", main]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603 - our own words
        if done.returncode:
            raise DeclarationError(
                f"the Protobuf schema cannot be read: {done.stderr.strip().replace(f'{folder}/', '')}", where=where,
                hint="The text is that of a .proto file, with the files that it imports as the registry's references.",
            )  # fmt: skip
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def _free(name: str, imports: Sequence[tuple[str, str]]) -> str:
    taken = {path for path, _ in imports}
    while name in taken:
        name = f"_{name}"
    return name


def _google() -> Path:
    """Return the folder of Google's own files, such as google/protobuf/timestamp.proto."""
    found = importlib.util.find_spec("grpc_tools")
    if found is None or found.origin is None:
        raise MissingDriverError("protobuf", "grpcio-tools", "protobuf")
    return Path(found.origin).parent / "_proto"
