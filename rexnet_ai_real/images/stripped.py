"""An image file without what its pixels do not need, so that neither damage nor masses of metadata reach the decoder.

Pillow refuses a PNG for a damaged or a long text, which browsers pass over, and takes minutes for a JPEG or a GIF of
many comments. What stays is what makes the pixels; orientation and colour profile are handed on beside them.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from rexnet_ai_real.images.bitfields import Bitfields, bitfields_of
from rexnet_ai_real.images.limits import MAX_PARTS, MAX_SCANS, MAX_SLOW_BYTES
from rexnet_ai_real.images.tiff_directory import claimed_bytes

MAX_UNPACKED: Final = 16 << 20
"""Most bytes of a packed profile or text; the largest profiles of printers hold 4 MB."""

_MAX_EXIF: Final = 16
_GARBAGE: Final = bytes((17 * place * place + 91 * place) % 254 + 1 for place in range(512))  # no 0xFF among them
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class Hostile(ValueError):
    """A file that would cost far more time or memory than it is worth. `str()` is the reason, in one short line."""


@dataclass(frozen=True, slots=True)
class Stripped:
    """What the decoder gets, and what was taken out for other purposes."""

    data: bytes
    format: str
    """Pillow's name of the format of `data`, which for an icon is that of its largest image."""
    exif: bytes = b""
    """A TIFF structure."""
    xmp: bytes = b""
    profile: bytes | None = None
    """The ICC profile, if it was taken out."""
    size: tuple[int, int] | None = None
    """Width and height, where Pillow would decode before it tells them."""

    bitfields: Bitfields | None = None
    """The layout of a BMP that Pillow does not read."""

    def with_garbage_at_its_end(self) -> bytes:
        """A JPEG whose last scan holds more bytes; the pixels stay the same if that scan was complete."""
        return self.data[:-2] + _GARBAGE + self.data[-2:]


def strip(data: bytes, format_name: str) -> Stripped:
    """Take out what the pixels do not need. Damage that concerns the pixels is left for the decoder to find.

    Args:
        data: the whole file.
        format_name: as `sniff` names it.

    Raises:
        Hostile: more parts, scans or claimed bytes than any honest file has.
    """
    if format_name == "JPEG":
        return _jpeg(data)
    if format_name == "PNG":
        return _png(data)
    if format_name == "GIF":
        return Stripped(_gif(data), format_name)
    if format_name in ("ICO", "CUR"):
        return _icon(data)
    if format_name == "TIFF":
        _check_claims(data, [0])
    elif format_name in ("AVIF", "HEIC"):
        starts = [found.start() for found in islice(re.finditer(rb"II\*\0|MM\0\*", data), _MAX_EXIF + 1)]
        if len(starts) > _MAX_EXIF:
            raise Hostile(f"more than {_MAX_EXIF} blocks of EXIF")
        _check_claims(data, starts)
        # Pillow goes by the main brand alone; a general one such as "miaf" may stand there.
        if format_name == "AVIF" and data[8:12] not in (b"avif", b"avis"):
            data = data[:8] + b"avif" + data[12:]
    elif (format_name == "PPM" and data[1:2] in b"123") or (
        format_name == "BMP" and len(data) > 30 and data[14] >= 40 and data[30] in (1, 2)
    ):
        if len(data) > MAX_SLOW_BYTES:
            raise Hostile(
                f"{len(data):,} bytes, more than the limit of {MAX_SLOW_BYTES:,} for this form of {format_name}"
            )
    elif format_name == "BMP" and (layout := bitfields_of(data)):
        return Stripped(data, format_name, size=(layout.width, layout.height), bitfields=layout)
    return Stripped(data, format_name)


def _check_claims(data: bytes, starts: list[int]) -> None:
    view = memoryview(data)
    for start in starts:
        if claimed_bytes(view[start:]) > 2 * len(data) + (1 << 16):
            raise Hostile("its directory claims more bytes than the file holds")


def _joined(data: bytes, parts: list[memoryview]) -> bytes:
    """The parts; the file itself, without a copy, where they are all of it."""
    return data if sum(map(len, parts)) == len(data) else b"".join(parts)


def _jpeg(data: bytes) -> Stripped:
    """Segments (ITU-T T.81, annex B) but comments, previews and metadata; nothing behind the end of the image."""
    view = memoryview(data)
    kept, exif, xmp = [view[:2]], b"", b""
    at = 2
    for _ in range(MAX_PARTS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            return Stripped(_joined(data, kept), "JPEG", exif, xmp)
        marker = data[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # filling, or a marker without a length
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xDA or marker == 0xD9 or end < at + 4 or end > len(data):
            return Stripped(_joined(data, [*kept, view[at : _end_of_scans(data, at)]]), "JPEG", exif, xmp)
        body = data[at + 4 : end]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body[6:]
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp = body[len(_XMP) :]
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE) or body.startswith((b"JFIF", b"ICC_PROFILE\0", b"Adobe")):
            kept.append(view[at:end])
        at = end
    raise Hostile(f"more than {MAX_PARTS:,} JPEG segments")


def _end_of_scans(data: bytes, at: int) -> int:
    """The first byte behind the end marker that belongs to this image; previews and films may follow."""
    scans = 0
    while found := _MARKER.search(data, at):
        at, marker = found.end(), found[0][1]
        if marker == 0xD9:
            return at
        if marker == 0xDA:
            scans += 1
            if scans > MAX_SCANS:
                raise Hostile(f"more than {MAX_SCANS} scans of a JPEG")
        if marker != 0x01:
            at += int.from_bytes(data[at : at + 2])
    return len(data)


def _png(data: bytes) -> Stripped:
    """Chunks (PNG, third edition, section 11) that make the pixels of the first image; others only if undamaged."""
    kept, exif, raw_exif, xmp, profile = [memoryview(data)[:8]], b"", b"", b"", None
    for name, whole in _chunks(data):
        if name[:1].isupper():  # critical, damaged or not
            kept.append(whole)
        if name not in (b"tRNS", b"eXIf", b"iCCP", b"iTXt", b"tEXt", b"zTXt") or not _sound(whole):
            continue
        body = bytes(whole[8:-4])
        if name == b"tRNS":
            kept.append(whole)
        elif name == b"eXIf":
            exif = exif or body
        elif name == b"iCCP":
            profile = _unpacked(body.partition(b"\0")[2][1:])
        elif body.startswith(b"XML:com.adobe.xmp\0"):
            xmp = _text(name, body)
        elif body.startswith(b"Raw profile type exif\0"):  # ImageMagick's: name, length and hexadecimal digits on lines
            raw_exif = _text(name, body)
    if raw_exif and not exif:
        with suppress(ValueError):
            exif = bytes.fromhex(b"".join(raw_exif.split()[2:]).decode("ascii"))
    return Stripped(_joined(data, kept), "PNG", exif, xmp, profile)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Name, and all bytes of the chunk; a last one may be cut off."""
    at = 8
    for _ in range(MAX_PARTS):
        if at >= len(data):
            return
        end = at + 12 + int.from_bytes(data[at : at + 4])
        name = data[at + 4 : at + 8]
        yield name, memoryview(data)[at:end]
        if name == b"IEND":
            return
        at = end
    raise Hostile(f"more than {MAX_PARTS:,} PNG chunks")


def _sound(chunk: memoryview) -> bool:
    return len(chunk) >= 12 and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def _text(name: bytes, body: bytes) -> bytes:
    rest = body.partition(b"\0")[2]
    if name == b"tEXt":
        return rest
    if name == b"zTXt":
        return _unpacked(rest[1:]) or b""
    text = rest[2:].split(b"\0", 2)[-1]
    return text if rest[:1] != b"\1" else _unpacked(text) or b""


def _unpacked(packed: bytes) -> bytes | None:
    """None for what is damaged or far too large."""
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(packed, MAX_UNPACKED)
    except zlib.error:
        return None
    return unpacked if unpacking.eof else None


def _gif(data: bytes) -> bytes:
    """Without the comments and other extensions before the first image (GIF89a, section 23 to 26)."""
    at = 13 + _colour_table(data, 10)
    kept, parts = [memoryview(data)[:at]], 0
    while at + 2 < len(data) and data[at] == 0x21:
        start, control = at, data[at + 1] == 0xF9
        at += 2
        while at < len(data) and data[at] and parts < MAX_PARTS:
            at, parts = at + 1 + data[at], parts + 1
        at, parts = at + 1, parts + 1
        if parts > MAX_PARTS:
            raise Hostile(f"more than {MAX_PARTS:,} GIF blocks")
        if control:
            kept.append(memoryview(data)[start:at])
    return _joined(data, [*kept, memoryview(data)[at:]])


def _colour_table(data: bytes, at: int) -> int:
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _icon(data: bytes) -> Stripped:
    """The largest image of an icon or cursor alone, by its table; of equal ones the first of the fewest colours.

    A cursor's table holds the place of its tip where an icon's holds the colours.
    """
    cursor = data[2] == 2
    count = int.from_bytes(data[4:6], "little")
    table = [data[at : at + 16] for at in range(6, 6 + 16 * count, 16)]
    table = [entry for entry in table if len(entry) == 16]
    if not table:
        return Stripped(data, "ICO")

    def rank(entry: bytes) -> tuple[int, int]:
        depth = int.from_bytes(entry[6:8], "little") or (max(entry[2], 1) - 1).bit_length() or 256
        return -(entry[0] or 256) * (entry[1] or 256), 0 if cursor else depth

    entry = min(table, key=rank)
    start = int.from_bytes(entry[12:16], "little")
    image = data[start : start + int.from_bytes(entry[8:12], "little")]
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(image)
    depth = image[14:16] if cursor else entry[6:8]
    header = (
        b"\0\0\1\0\1\0" + entry[:4] + b"\1\0" + depth + len(image).to_bytes(4, "little") + (22).to_bytes(4, "little")
    )
    size = int.from_bytes(image[4:8], "little"), int.from_bytes(image[8:12], "little") // 2
    return Stripped(header + image, "ICO", size=size)
