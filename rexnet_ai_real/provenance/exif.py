"""Texts in EXIF and TIFF directories (TIFF 6.0; EXIF 2.32, section 4.6), read without a library that may fail."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rexnet_ai_real.provenance.block import MAX_BLOCK_BYTES, Damaged

TEXTS: Final = {
    0x000B: "ProcessingSoftware",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x8298: "Copyright",
    0x9286: "UserComment",
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9C9D: "XPAuthor",
    0x9C9E: "XPKeywords",
}
XMP, IPTC, PHOTOSHOP, C2PA = 700, 33723, 34377, 0xCD41
"""Tags of a TIFF file that hold other formats of metadata."""

_EXIF_DIRECTORY: Final = 0x8769
_UNITS: Final = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 9: 4, 13: 4, 16: 8}
_WANTED: Final = {*TEXTS, XMP, IPTC, PHOTOSHOP, C2PA, _EXIF_DIRECTORY}


@dataclass(frozen=True, slots=True)
class Directory:
    """The wanted tags of the first directory and of its EXIF directory, as raw bytes, by tag."""

    tags: dict[int, bytes]
    problems: tuple[str, ...]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Field and text of each tag in TEXTS that holds any."""
        for tag, field in TEXTS.items():
            text = _text(tag, self.tags.get(tag, b"")).strip()
            if text:
                yield field, text


def read_directory(data: bytes) -> Directory:
    """The directory of a TIFF structure (BigTIFF included); entries that point outside it are named in `problems`.

    Raises:
        Damaged: not a TIFF structure, or its first directory lies outside it.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8 or struct.unpack_from(order + "H", data, 2)[0] not in (42, 43):
        raise Damaged("EXIF does not begin like a TIFF structure")
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    tags: dict[int, bytes] = {}
    problems: list[str] = []
    try:
        first = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
        tags |= _entries(data, first, order, big, problems)
        if _EXIF_DIRECTORY in tags:
            pointer = tags.pop(_EXIF_DIRECTORY)
            second = int.from_bytes(pointer, "little" if order == "<" else "big")
            tags |= {tag: value for tag, value in _entries(data, second, order, big, problems).items() if tag in TEXTS}
    except struct.error:
        if not tags:
            raise Damaged("an EXIF directory lies outside its block") from None
        problems.append("an EXIF directory lies outside its block")
    return Directory(tags, tuple(problems))


def _entries(data: bytes, at: int, order: str, big: bool, problems: list[str]) -> dict[int, bytes]:
    if at >= len(data):
        raise struct.error  # also keeps 64-bit numbers from functions that take none
    count_format, entry_format = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    count = struct.unpack_from(order + count_format, data, at)[0]
    at += struct.calcsize(order + count_format)
    step = struct.calcsize(order + entry_format)
    found: dict[int, bytes] = {}
    for start in range(at, at + min(count, 4096) * step, step):  # real directories hold below a hundred
        tag, kind, number, inline = struct.unpack_from(order + entry_format, data, start)
        if tag not in _WANTED or tag in found or kind not in _UNITS:
            continue
        size = _UNITS[kind] * number
        if size <= len(inline):
            found[tag] = inline[:size]
            continue
        offset = struct.unpack(order + ("Q" if big else "I"), inline)[0]
        if size > MAX_BLOCK_BYTES and tag != C2PA:
            problems.append(f"EXIF tag {tag:#06x} holds more than {MAX_BLOCK_BYTES:,} bytes")
        elif offset + size > len(data):
            problems.append(f"EXIF tag {tag:#06x} reaches past the end of its block")
        else:
            found[tag] = data[offset : offset + size]
    return found


def _text(tag: int, value: bytes) -> str:
    if 0x9C9B <= tag <= 0x9C9E:  # Windows' own tags
        return value.decode("utf-16-le", "replace").rstrip("\0")
    if tag != 0x9286:
        value = value.split(b"\0")[0]
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    code, text = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        if 0 not in text.rstrip(b"\0") and _is_utf8(text):  # some writers mean UTF-8; UTF-16 of blanks holds zeros
            return text.decode().strip("\0\ufeff")
        # EXIF leaves the byte order open; writers use the structure's, big-endian or a mark. In European text the zero
        # bytes tell, and the wrong order turns other scripts into few zero bytes either way.
        even, odd = text[::2].count(0), text[1::2].count(0)
        return text.decode("utf-16-be" if even > odd else "utf-16-le", "replace").strip("\0\ufeff")
    text = text if code in (b"ASCII\0\0\0", bytes(8), b"JIS\0\0\0\0\0") else value
    return text.decode("utf-8", "replace").strip("\0")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
