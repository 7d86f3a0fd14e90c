"""A block of metadata as it lies in a file, not yet parsed."""

from dataclasses import dataclass
from typing import Final, Literal

MAX_BLOCK_BYTES: Final = 4 << 20
"""Most bytes of one block, unpacked. ComfyUI's workflows reach some 100 kB, Photoshop's histories 1 MB."""

MAX_PARTS: Final = 1 << 18
"""Most segments, chunks or boxes that are read in one file: a PNG of 1 GiB in the usual chunks of 8 kB has half."""

# ISO 19566-5 (JUMBF) with the type that C2PA 2.1, section 11.1.4 gives its manifest store.
_C2PA_TYPE: Final = bytes.fromhex("63327061 0011 0010 8000 00AA00389B71")


@dataclass(frozen=True, slots=True)
class Block:
    """`kind` says how `data` is to be read: UTF-8 text, a TIFF structure, XML, IPTC-IIM records or a JUMBF box."""

    kind: Literal["text", "exif", "xmp", "iptc", "c2pa"]
    where: str
    data: bytes
    field: str = ""
    """The keyword of a text."""


class Damaged(ValueError):
    """A damaged structure; `str()` says where, in one short line."""


def is_manifest_store(data: bytes) -> bool:
    """Whether a JUMBF box is a C2PA manifest store, by its own description box."""
    return data[4:8] == b"jumb" and data[12:16] == b"jumd" and data[16:32] == _C2PA_TYPE


def printable(text: str, length: int = 200) -> str:
    """Text from a file as one short line without control characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 8 * length]).split())
    return line if len(line) <= length else line[: length - 1] + "…"
