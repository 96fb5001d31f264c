"""The lengths of a PNG's chunks against the size of its file: OpenCV takes as much memory as a length says."""

from __future__ import annotations

import struct

SIGNATURE = 8
FRAME = 12
"""Bytes of a chunk beside its data: length, name, checksum."""


def overrun(encoded: bytes) -> str | None:
    """What a chunk of a PNG says of its length that cannot be, for messages; None if all chunks fit the file.

    >>> overrun(bytes(8) + (9).to_bytes(4, "big") + b"IDAT" + bytes(4))
    'its chunk IDAT says it has 9 bytes, of which the file has 0'
    """
    at = SIGNATURE
    while at + FRAME <= len(encoded):
        (length,) = struct.unpack_from(">I", encoded, at)
        name = encoded[at + 4 : at + 8]
        if at + FRAME + length > len(encoded):
            rest = max(0, len(encoded) - at - FRAME)
            return (
                f"its chunk {name.decode('ascii', 'replace')} says it has {length} bytes, of which the file has {rest}"
            )
        if name == b"IEND":
            return None
        at += FRAME + length
    return None
