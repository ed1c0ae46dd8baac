"""Formats of messages: bytes to Arrow and back, a batch at a time."""

from __future__ import annotations

from ematix_core.codecs.choosing import decoder, encoder
from ematix_core.codecs.protocols import Decoded, Decoder, Encoder, Format, Undecodable

__all__ = ["Decoded", "Decoder", "Encoder", "Format", "Undecodable", "decoder", "encoder"]
