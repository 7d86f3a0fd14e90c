"""Entries of a TIFF directory, which TIFF files and EXIF blocks share (TIFF 6.0, section 2; BigTIFF too)."""

import re
import struct
from collections.abc import Iterator
from typing import Final

ORIENTATION: Final = 0x0112

_UNITS: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_POINTERS: Final = (0x8769, 0x8825, 0xA005)
"""Tags that hold the place of a further directory, which Pillow reads as well: EXIF, GPS, interoperability."""
_XMP: Final = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')

_Entry = tuple[int, int, int, int, bytes]
"""Tag, type, number of values, bytes that they take, and the field that holds them or their place."""


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """The EXIF orientation, 1 to 8, of a TIFF structure; else of an XMP packet; 1 where neither holds a usable one."""
    exif = exif.removeprefix(b"Exif\0\0")
    try:
        entries = [entry for entry in _entries(exif, None) if entry[0] == ORIENTATION]
    except struct.error:
        entries = []
    for _, kind, count, _, field in entries:
        if count == 1 and kind in (1, 3, 4):
            found = _number(exif, kind, field)
            return found if 1 <= found <= 8 else 1
    written = _XMP.search(xmp)
    return int(written[1]) if written else 1


def claimed_bytes(tiff: bytes | memoryview) -> int:
    """Bytes that the directories which Pillow reads say their values take.

    Entries may share bytes, so that a small file can claim gigabytes, which Pillow would copy one by one.
    """
    total = 0
    places: list[int | None] = [None]
    try:
        for place in places:
            for tag, kind, _, size, field in _entries(tiff, place):
                total += size
                if tag in _POINTERS and place is None:
                    places.append(_number(tiff, kind, field))
    except struct.error:  # cut off: Pillow says so
        pass
    return total


def _number(tiff: bytes | memoryview, kind: int, field: bytes) -> int:
    return int.from_bytes(field[: _UNITS.get(kind, 0)], "little" if tiff[:2] == b"II" else "big")


def _entries(tiff: bytes | memoryview, place: int | None) -> Iterator[_Entry]:
    """Entries of the directory at `place`, or of the first one, as far as their values lie inside the structure."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(tiff[:2]))
    if order is None:
        return
    big = tiff[2:4] in (b"+\0", b"\0+")
    count_format, entry_format = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    at = place if place is not None else struct.unpack_from(order + ("Q" if big else "I"), tiff, 8 if big else 4)[0]
    if at > len(tiff):
        return
    count = struct.unpack_from(order + count_format, tiff, at)[0]
    at += struct.calcsize(order + count_format)
    step = struct.calcsize(order + entry_format)
    for start in range(at, at + min(count, 1 << 16) * step, step):
        tag, kind, number, field = struct.unpack_from(order + entry_format, tiff, start)
        yield tag, kind, number, min(_UNITS.get(kind, 0) * number, len(tiff)), field
