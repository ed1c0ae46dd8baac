"""Which decoder and encoder serve a format."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.codecs.protocols import Decoder, Encoder
    from ematix_core.codecs.registry import Registry
    from ematix_core.model.format import Format
    from ematix_core.model.table import Column


def decoder(format: Format, *, topic: str, registry: Registry | None = None) -> Decoder:  # noqa: A002 - the field's own word
    """Return what reads the messages of a topic. `registry` is the open registry of the format's connection.

    Called when a stream is planned: asks no server. Raises UnsupportedError for columns that the format has no form
    for, and DeclarationError for a schema that cannot be read.
    """
    if format.envelope:
        return _of_changes(format, topic=topic, registry=registry)
    if format.name == "json":
        from ematix_core.codecs.json_decoding import InferringJsonDecoder, JsonDecoder

        return JsonDecoder(format.declared) if format.declared else InferringJsonDecoder()
    if format.name == "raw":
        from ematix_core.codecs.raw import RawDecoder

        return RawDecoder()
    if format.name == "avro":
        _require_avro()
        from ematix_core.codecs.avro_decoding import AvroDecoder

        return AvroDecoder(format, topic=topic, registry=registry)
    from ematix_core.codecs.protobuf import ProtobufDecoder

    return ProtobufDecoder(format, topic=topic, registry=registry)


def encoder(format: Format, columns: Sequence[Column], *, topic: str, registry: Registry | None = None) -> Encoder:  # noqa: A002 - the field's own word
    """Return what writes rows with these columns as messages of a topic. Otherwise as `decoder`."""
    if format.name == "json":
        from ematix_core.codecs.json_encoding import JsonEncoder

        return JsonEncoder(columns)
    if format.name == "raw":
        from ematix_core.codecs.raw import RawEncoder

        return RawEncoder(columns)
    if format.name == "avro":
        _require_avro()
        from ematix_core.codecs.avro_encoding import AvroEncoder

        return AvroEncoder(format, columns, topic=topic, registry=registry)
    from ematix_core.codecs.protobuf import ProtobufEncoder

    return ProtobufEncoder(format, columns, topic=topic, registry=registry)


def _of_changes(format: Format, *, topic: str, registry: Registry | None) -> Decoder:  # noqa: A002 - the field's own word
    from ematix_core.codecs.debezium import DebeziumDecoder

    if format.name == "avro":
        _require_avro()
        from ematix_core.codecs.debezium_avro import AvroEnvelopes

        return DebeziumDecoder(AvroEnvelopes(format, topic=topic, registry=registry), format.declared)
    from ematix_core.codecs.debezium_json import JsonEnvelopes

    return DebeziumDecoder(JsonEnvelopes(format), format.declared)


def _require_avro() -> None:
    """Raise MissingDriverError where the codec could not even be imported."""
    from ematix_core.codecs.avro import fastavro

    fastavro()
