"""The metadata of JPEG, PNG, WebP and GIF files, in file order.

Each reader follows the lengths that the format declares, and raises `Damaged` where they point outside the file.
"""

import re
import zlib
from collections.abc import Iterator
from typing import Final

from rexnet_ai_real.provenance.block import MAX_BLOCK_BYTES, MAX_PARTS, Block, Damaged, is_manifest_store
from rexnet_ai_real.provenance.boxes import box_file_blocks
from rexnet_ai_real.provenance.iptc import photoshop_iptc

GIF_BYTES: Final = 16 << 20
"""How far into a GIF extensions are looked for: its blocks of 255 bytes take 0.1 s for that much."""
MAX_DAMAGED_TEXTS: Final = 20
"""Each may unpack to MAX_BLOCK_BYTES before it is given up, about 10 ms."""
RAW_PROFILES: Final = {"exif": "exif", "app1": "exif", "xmp": "xmp", "iptc": "iptc", "8bim": "iptc"}
"""ImageMagick's names of profiles, and what they hold."""


def blocks(data: bytes, kind: str, problems: list[str]) -> Iterator[Block]:
    """All metadata of a file of Pillow's format name `kind`; none for formats that hold none.

    Args:
        data: the whole file.
        kind: as `sniff` names it.
        problems: receives a line for each block that was skipped.

    Raises:
        Damaged: the structure ends early or is no structure. What came before was yielded.
    """
    if kind == "JPEG":
        yield from _jpeg(data)
    elif kind == "PNG":
        yield from _png(data, problems)
    elif kind == "WEBP":
        yield from _webp(data)
    elif kind == "GIF":
        yield from _gif(data, problems)
    elif kind == "TIFF":
        yield Block("exif", "TIFF", data)
    elif kind in ("AVIF", "HEIC", "JXL", "JPEG2000"):
        yield from box_file_blocks(data)


def _jpeg(data: bytes) -> Iterator[Block]:
    """Marker segments up to the first scan (ITU-T T.81, annex B)."""
    at = 2
    for _ in range(MAX_PARTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            raise Damaged(f"no JPEG segment at byte {at:,}")
        marker = data[at + 1]
        if marker in (0xD9, 0xDA):
            return
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # a fill byte, or a marker without a length
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if end < at + 4 or end > len(data):
            raise Damaged(f"JPEG segment at byte {at:,} reaches past the end of the file")
        body, at = data[at + 4 : end], end
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            yield Block("exif", "JPEG APP1", body[6:])
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            yield Block("xmp", "JPEG APP1", body[29:])
        elif marker == 0xEB and body.startswith(b"JP") and is_manifest_store(body[8:]):
            yield Block("c2pa", "JPEG APP11", body[8:])
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            yield from (Block("iptc", "JPEG APP13", records) for records in photoshop_iptc(body[14:]))
        elif marker == 0xFE:
            yield Block("text", "JPEG comment", _utf8(body.rstrip(b"\0")), "Comment")
    raise Damaged(f"more than {MAX_PARTS:,} JPEG segments")


def _png(data: bytes, problems: list[str]) -> Iterator[Block]:
    """Chunks (PNG, third edition, sections 11.3.3 and 11.3.4), those after the pixels included."""
    at = 8
    for _ in range(MAX_PARTS):
        if at + 12 > len(data):
            raise Damaged(f"no PNG chunk at byte {at:,}")
        end = at + 8 + int.from_bytes(data[at : at + 4])
        name = data[at + 4 : at + 8]
        if name == b"IEND":
            return
        if end + 4 > len(data):
            raise Damaged(f"PNG chunk at byte {at:,} reaches past the end of the file")
        start, at = at + 8, end + 4
        if name in (b"tEXt", b"zTXt", b"iTXt"):
            try:
                yield from _png_text(name.decode(), data[start:end])
            except Damaged as error:
                problems.append(str(error))
                if len(problems) > MAX_DAMAGED_TEXTS:
                    raise Damaged("too many damaged PNG texts: the rest is not read") from None
        elif name == b"eXIf":
            yield Block("exif", "PNG eXIf", data[start:end])
        elif name == b"caBX" and is_manifest_store(data[start : start + 32]):
            yield Block("c2pa", "PNG caBX", data[start:end])
    raise Damaged(f"more than {MAX_PARTS:,} PNG chunks")


def _png_text(chunk: str, body: bytes) -> Iterator[Block]:
    keyword_bytes, _, rest = body.partition(b"\0")
    keyword = keyword_bytes[:80].decode("latin-1")
    packed = chunk == "zTXt"
    if packed:
        rest = rest[1:]  # the compression method, of which there is one
    elif chunk == "iTXt":
        packed, fields = rest[:1] == b"\1", rest[2:].split(b"\0", 2)  # flag, method, language, translated keyword, text
        if len(fields) < 3:
            raise Damaged(f"PNG iTXt chunk {keyword!r} is damaged")
        rest = fields[2]
    text = _unpacked(rest, keyword) if packed else rest
    if len(text) > MAX_BLOCK_BYTES:
        raise Damaged(f"PNG text {keyword!r} holds more than {MAX_BLOCK_BYTES:,} bytes")
    profile = re.fullmatch(r"Raw profile type (\w+)", keyword)
    if profile:
        yield from _raw_profile(profile[1].lower(), text)
    elif keyword == "XML:com.adobe.xmp":
        yield Block("xmp", f"PNG {chunk}", text)
    else:
        yield Block("text", f"PNG {chunk}", text if chunk == "iTXt" else _utf8(text), keyword)


def _unpacked(packed: bytes, keyword: str) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(packed, MAX_BLOCK_BYTES + 1)
    except zlib.error:
        raise Damaged(f"PNG text {keyword!r} cannot be unpacked") from None
    return text


def _raw_profile(name: str, text: bytes) -> Iterator[Block]:
    """How ImageMagick keeps the metadata of other formats in a PNG: name, length and hexadecimal digits on lines."""
    kind = RAW_PROFILES.get(name)
    if kind is None:
        return
    try:
        profile = bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        raise Damaged(f"PNG raw profile {name!r} is not hexadecimal") from None
    where = f"PNG raw profile {name}"
    if profile.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        yield Block("xmp", where, profile[29:])
    elif kind == "exif":
        yield Block("exif", where, profile.removeprefix(b"Exif\0\0"))
    elif kind == "xmp":
        yield Block("xmp", where, profile)
    else:
        yield from (Block("iptc", where, records) for records in photoshop_iptc(profile))


def _webp(data: bytes) -> Iterator[Block]:
    """RIFF chunks (RFC 9649)."""
    at = 12
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            return
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise Damaged(f"WebP chunk at byte {at:,} reaches past the end of the file")
        start, at = at + 8, at + 8 + size + size % 2
        if name == b"EXIF":
            yield Block("exif", "WebP EXIF", data[start : start + size].removeprefix(b"Exif\0\0"))
        elif name == b"XMP ":
            yield Block("xmp", "WebP XMP", data[start : start + size])
        elif name == b"C2PA" and is_manifest_store(data[start : start + 32]):
            yield Block("c2pa", "WebP C2PA", data[start : start + size])
    raise Damaged(f"more than {MAX_PARTS:,} WebP chunks")


def _gif(data: bytes, problems: list[str]) -> Iterator[Block]:
    """Extensions (GIF89a, sections 24 and 26)."""
    if len(data) > GIF_BYTES:
        problems.append(f"GIF metadata was looked for in the first {GIF_BYTES >> 20} MiB")
        data = data[:GIF_BYTES]
    at = 13 + _colour_table(data, 10)
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C:
            at += 11 + _colour_table(data, at + 9)  # the descriptor, its colours and the code size
            at, _ = _sub_blocks(data, at)
        elif data[at] == 0x21 and at + 2 < len(data):
            label, start = data[at + 1], at + 2
            at, parts = _sub_blocks(data, start)
            if label == 0xFE:
                yield Block("text", "GIF comment", _utf8(b"".join(parts)), "Comment")
            elif label == 0xFF and parts[:1] == [b"XMP DataXMP"]:
                # Adobe writes the packet without sub-blocks; 258 bytes after it lead readers of sub-blocks to its end.
                yield Block("xmp", "GIF XMP", data[start + 12 : max(start + 12, at - 258)])
            elif label == 0xFF and parts and parts[0].startswith(b"C2PA_GIF"):
                store = b"".join(parts[1:])
                if is_manifest_store(store):
                    yield Block("c2pa", "GIF C2PA", store)
        else:
            raise Damaged(f"no GIF block at byte {at:,}")


def _sub_blocks(data: bytes, at: int) -> tuple[int, list[bytes]]:
    parts = []
    while at < len(data) and data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return at + 1, parts


def _colour_table(data: bytes, at: int) -> int:
    """Bytes of the table that the flags at `at` announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _utf8(text: bytes) -> bytes:
    """Text that the format declares as Latin-1, to UTF-8: most writers use UTF-8 anyway."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text
