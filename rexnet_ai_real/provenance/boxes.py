"""The metadata of files made of boxes: AVIF and HEIC (ISO 14496-12 and 23008-12), JPEG 2000 and JPEG XL."""

from collections.abc import Iterator
from typing import Final

from rexnet_ai_real.provenance.block import MAX_BLOCK_BYTES, MAX_PARTS, Block, Damaged, is_manifest_store

_C2PA_BOX: Final = bytes.fromhex("D8FEC3D6 1B0E 483C 9297 5828877EC481")  # C2PA 2.1, section A.5.1
_XMP_BOX: Final = bytes.fromhex("BE7ACFCB 97A9 42E8 9C71 999491E3AFAC")  # ISO 16684-1, annex A
_JPEG2000_STREAM: Final = b"\xff\x4f\xff\x51"
_JXL_STREAM: Final = b"\xff\x0a"


def box_file_blocks(data: bytes) -> Iterator[Block]:
    """All metadata of a file of boxes; a bare JPEG 2000 or JPEG XL stream has none.

    Raises:
        Damaged: a box is cut off or points outside the file. What came before was yielded.
    """
    if data.startswith((_JPEG2000_STREAM, _JXL_STREAM)):
        return
    for name, start, end in _boxes(data, 0, len(data)):
        if name == b"meta":
            yield from _item_blocks(data, start + 4, end)
        elif name == b"uuid":
            yield from _uuid_blocks(data[start : start + 16], data[start + 16 : end])
        elif name == b"Exif":
            yield _exif("JPEG XL Exif", data[start:end])
        elif name == b"xml ":
            yield Block("xmp", "xml box", data[start:end])
        elif name == b"jumb" and is_manifest_store(data[start - 8 : start + 24]):
            yield Block("c2pa", "JUMBF box", data[start - 8 : end])


def _uuid_blocks(uuid: bytes, body: bytes) -> Iterator[Block]:
    if uuid == _XMP_BOX:
        yield Block("xmp", "uuid box", body)
    elif uuid == _C2PA_BOX:
        # Version and flags, the box's purpose up to a zero byte, and the place of an auxiliary box.
        store = body[4:].partition(b"\0")[2][8:]
        if is_manifest_store(store):
            yield Block("c2pa", "uuid box", store)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, first and last byte of the content of each box."""
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        size, name, start = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + 8
        if size == 0:  # to the end of what encloses it
            size = end - at
        elif size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16]), at + 16
        if size < start - at or at + size > end:
            raise Damaged(f"box {name.decode('latin-1')!r} at byte {at:,} reaches past the end of the file")
        yield name, start, at + size
        at += size
    raise Damaged(f"more than {MAX_PARTS:,} boxes")


def _item_blocks(data: bytes, start: int, end: int) -> Iterator[Block]:
    """Items of a `meta` box: `iinf` names them, `iloc` says where their bytes are."""
    inner = {name: (first, last) for name, first, last in _boxes(data, start, end)}
    if b"iinf" not in inner or b"iloc" not in inner:
        return
    wanted = dict(_metadata_items(data, *inner[b"iinf"]))
    body = data[inner[b"iloc"][0] : inner[b"iloc"][1]]
    for item, extents in _item_places(body, inner.get(b"idat", (0, 0))[0]):
        if item in wanted:
            if sum(length for _, length in extents) > MAX_BLOCK_BYTES:
                raise Damaged(f"an item of metadata holds more than {MAX_BLOCK_BYTES:,} bytes")
            content = b"".join(data[first : first + length] for first, length in extents)
            yield _exif("EXIF item", content) if wanted[item] == b"Exif" else Block("xmp", "XMP item", content)


def _metadata_items(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Number and type of the items that hold EXIF or XMP."""
    first = start + (6 if data[start] == 0 else 8)
    for name, at, last in _boxes(data, first, end):
        if name != b"infe" or data[at] < 2:  # earlier versions have no item types
            continue
        wide = 4 if data[at] > 2 else 2
        number, kind = int.from_bytes(data[at + 4 : at + 4 + wide]), data[at + 6 + wide : at + 10 + wide]
        content_type = data[at + 10 + wide : last].split(b"\0")[1:2]
        if kind == b"Exif" or (kind == b"mime" and content_type == [b"application/rdf+xml"]):
            yield number, kind


def _item_places(iloc: bytes, idat: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Number and extents (first byte, length) of each item (ISO 14496-12, section 8.11.3)."""
    at = 0

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise Damaged("the table of items is cut off")
        return int.from_bytes(iloc[at - size : at])

    parts = 0
    version, _, sizes = number(1), number(3), number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)  # which file: this one
        base = number(base_size) + (idat if method == 1 else 0)
        extents = []
        for _ in range(number(2)):
            parts += 1
            if parts > MAX_PARTS:  # where no number has any bytes, a table of bytes can claim extents by the billion
                raise Damaged(f"more than {MAX_PARTS:,} extents of items")
            number(index_size if version else 0)
            offset = number(offset_size)
            extents.append((base + offset, number(length_size)))
        if method < 2:  # 2: cut out of another item
            yield item, extents


def _exif(where: str, content: bytes) -> Block:
    """The TIFF structure, which stands behind a four-byte distance."""
    return Block("exif", where, content[4 + int.from_bytes(content[:4]) :])
