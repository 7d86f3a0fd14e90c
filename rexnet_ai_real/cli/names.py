"""Names of files on standard input: one a line, in UTF-8 or UTF-16, or ended by zero bytes; all else is refused."""

import codecs
import os
from collections.abc import Iterator
from typing import IO

from rexnet_ai_real.errors import UserError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_names(stream: IO[bytes], null: bool) -> Iterator[str]:
    """The names, as they come.

    Args:
        stream: standard input.
        null: names end with a zero byte rather than a line break.

    Raises:
        UserError: no names, but an image, or zero bytes where none are expected.
    """
    first = _piece(stream)
    refuse_other_content(first, null)
    if not null and first.startswith(_UTF16):
        yield from _utf16_lines(first, stream)
        return
    end, rest, piece = (b"\0" if null else b"\n"), b"", first.removeprefix(b"" if null else codecs.BOM_UTF8)
    while piece:
        if not null:
            _refuse_zero_bytes(piece)
        *names, rest = (rest + piece).split(end)
        yield from (os.fsdecode(name if null else name.removesuffix(b"\r")) for name in names if name.strip(b"\r"))
        piece = _piece(stream)
    if rest:
        yield os.fsdecode(rest if null else rest.removesuffix(b"\r"))


def refuse_other_content(head: bytes, null: bool) -> None:
    """Stop where what standard input begins with is no list of names.

    Raises:
        UserError: says what to type instead.
    """
    from rexnet_ai_real.images.decode import HEAD_BYTES, sniff  # Pillow takes a moment

    if found := sniff(head[:HEAD_BYTES]):
        raise UserError(
            f"- reads the names of images, and standard input holds an image itself ({found}): save it to a file, and "
            "give the name of that file"
        )
    if not null and not head.startswith(_UTF16):
        _refuse_zero_bytes(head)


def _refuse_zero_bytes(piece: bytes) -> None:
    if b"\0" in piece:
        raise UserError(
            "- reads the names of images, a line each, and standard input holds zero bytes: add -0 if the names end "
            "with them (find -print0), or save the list as UTF-8"
        )


def _piece(stream: IO[bytes]) -> bytes:
    piece: bytes = stream.read1(1 << 16)  # type: ignore[attr-defined]  # what is there, without waiting for more
    return piece


def _utf16_lines(first: bytes, stream: IO[bytes]) -> Iterator[str]:
    decoder, rest, piece = codecs.getincrementaldecoder("utf-16")(errors="replace"), "", first
    while piece:
        *lines, rest = (rest + decoder.decode(piece)).split("\n")
        yield from (name for line in lines if (name := line.removesuffix("\r")))
        piece = _piece(stream)
    if name := rest.removesuffix("\r"):
        yield name
