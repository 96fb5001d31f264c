"""What a PNG file promises, held against what is there, before a decoder makes room for the promise."""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> samples of a pixel."""

MOST_FOLD = 1100
"""Deflate makes at most 1032 bytes of one; some are for what stands around them."""


def png_fault(encoded: bytes) -> str | None:
    """Say why a PNG cannot be sound, by its chunks alone; None if it may be, or is no PNG."""
    if not encoded.startswith(SIGNATURE):
        return None
    place, data_bytes, needed = len(SIGNATURE), 0, 0
    while place + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, place)
        there = len(encoded) - place - 12
        if length > there:
            return f"its part {kind.decode('latin-1')!r} claims {length} bytes, of which {max(there, 0)} are there"
        if kind == b"IHDR":
            needed = _decoded_bytes(encoded[place + 8 : place + 8 + length])
        elif kind == b"IDAT":
            data_bytes += length
        elif kind == b"IEND":
            break
        place += 12 + length
    if needed > MOST_FOLD * data_bytes + 1024:
        return f"its {data_bytes} bytes of pixels cannot hold the {needed} that its size needs"
    return None


def _decoded_bytes(header: bytes) -> int:
    if len(header) < 10:
        return 0
    width, height, bits, colour = struct.unpack_from(">IIBB", header)
    return int(height * (1 + -(-width * bits * CHANNELS.get(colour, 1) // 8)))
