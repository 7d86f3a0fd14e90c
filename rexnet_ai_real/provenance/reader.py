"""From a file to the evidence in its metadata."""

import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from rexnet_ai_real.images.decode import HEAD_BYTES, UnreadableImage, read, sniff
from rexnet_ai_real.provenance.block import Block, Damaged, is_manifest_store, printable
from rexnet_ai_real.provenance.containers import blocks
from rexnet_ai_real.provenance.content_credentials import ContentCredentials, read_credentials
from rexnet_ai_real.provenance.evidence import Evidence, Kind, Provenance
from rexnet_ai_real.provenance.exif import C2PA, IPTC, PHOTOSHOP, XMP, read_directory
from rexnet_ai_real.provenance.generators import aigc_label, named_program, parameters_of, speaks_of_ai
from rexnet_ai_real.provenance.iptc import photoshop_iptc, records, source_type
from rexnet_ai_real.provenance.xmp import properties

T = TypeVar("T")

MAX_BLOCKS: Final = 1000
MAX_TOTAL_BYTES: Final = 64 << 20
MAX_FIELDS: Final = 2000
MAX_EVIDENCE: Final = 50
"""Bounds on the work that a file can cause; real files hold about ten blocks and findings. A field takes 0.5 ms."""

_Field = tuple[str, str, str]
"""Name, text and part of the file."""

SOFTWARE: Final = {
    *("software", "processingsoftware", "tiff:software", "xmp:creatortool", "stevt:softwareagent"),
    *("originating program", "iptc4xmpext:aisystemused"),
}
"""Fields that name a program, where any name is worth showing."""
CREDIT: Final = {
    *("artist", "author", "copyright", "by-line", "credit", "source", "xpauthor"),
    *("photoshop:credit", "photoshop:source", "dc:creator"),
}
"""Fields that name people and sources, where only a generator's name is."""
AI_FIELDS: Final = "iptc4xmpext:ai"
"""Fields that begin so are filled in by generators alone (IPTC Photo Metadata 2025.1): that they are there suffices."""
CANVA: Final = "xr:d:"
"""The beginning of the comment that Canva writes into a PNG."""


def read_provenance(source: Path | bytes, *, trust_anchors: str | None = None) -> Provenance:
    """What an image file's metadata says of its origin. Never raises for damaged files: see `Provenance.problem`.

    Reads generator parameters, EXIF, XMP, IPTC and C2PA of JPEG, PNG, WebP, GIF, TIFF, AVIF, HEIC, JPEG 2000 and
    JPEG XL, from the structure of the file; no pixel is decoded and nothing is fetched from the network. What hides in
    the pixels is therefore not found: watermarks such as SynthID, and "stealth" parameters in the lowest bit of alpha.

    Args:
        source: path, or the whole file's bytes.
        trust_anchors: certificates whose C2PA signatures are to be trusted beside the usual ones, in PEM.
    """
    try:
        data = source if isinstance(source, bytes) else read(source)
    except UnreadableImage as error:
        return Provenance(problem=str(error))
    kind = sniff(data[:HEAD_BYTES])
    if kind is None:
        return Provenance(problem="not an image" if data else "empty file")
    fields: list[_Field] = []
    problems: list[str] = []
    stores: list[str] = []
    for block in _sound(_bounded(_unfolded(blocks(data, kind, problems), problems)), problems):
        if block.kind == "c2pa":
            stores.append(block.where)
        else:
            fields += islice(_sound(_fields(block), problems), MAX_FIELDS + 1 - len(fields))
    if len(fields) > MAX_FIELDS:
        problems.append(f"more than {MAX_FIELDS:,} fields of metadata: the rest is not read")
    evidence = [item for field in fields[:MAX_FIELDS] for item in _findings(*field)]
    credentials = read_credentials(data, kind, stores[0], trust_anchors) if stores else None
    if credentials:
        evidence += _signed(credentials)
    found = tuple(dict.fromkeys(evidence))
    if len(found) > MAX_EVIDENCE:
        problems.append(f"only the first {MAX_EVIDENCE} of {len(found)} findings are kept")
    return Provenance(found[:MAX_EVIDENCE], credentials, printable("; ".join(dict.fromkeys(problems)), 500) or None)


def _sound(items: Iterable[T], problems: list[str]) -> Iterator[T]:
    """Items up to the first damage, which is added to `problems`."""
    try:
        yield from items
    except Damaged as error:
        problems.append(str(error))
    except (LookupError, ValueError, struct.error):
        problems.append("metadata is cut off")


def _bounded(found: Iterable[Block]) -> Iterator[Block]:
    total = 0
    for count, block in enumerate(found):
        total += 0 if block.kind == "c2pa" else len(block.data)
        if count >= MAX_BLOCKS or total > MAX_TOTAL_BYTES:
            raise Damaged(
                f"more metadata than {MAX_BLOCKS:,} blocks or {MAX_TOTAL_BYTES >> 20} MiB: the rest is not read"
            )
        yield block


def _unfolded(found: Iterable[Block], problems: list[str]) -> Iterator[Block]:
    """Blocks of text; EXIF and TIFF directories are replaced by what they hold."""
    for block in found:
        if block.kind == "exif":
            yield from _sound(_of_directory(block, problems), problems)
        else:
            yield block


def _of_directory(block: Block, problems: list[str]) -> Iterator[Block]:
    directory = read_directory(block.data)
    problems += directory.problems
    for field, text in directory.texts():
        yield Block("text", "EXIF", text.encode("utf-8", "replace"), field)
    tags = directory.tags
    if XMP in tags:
        yield Block("xmp", block.where, tags[XMP])
    if IPTC in tags:
        yield Block("iptc", block.where, tags[IPTC])
    if PHOTOSHOP in tags:
        yield from (Block("iptc", block.where, data) for data in photoshop_iptc(tags[PHOTOSHOP]))
    if C2PA in tags and is_manifest_store(tags[C2PA]):
        yield Block("c2pa", block.where, tags[C2PA])


def _fields(block: Block) -> Iterator[_Field]:
    if block.kind == "xmp":
        yield from ((field, text, "XMP") for field, text in properties(block.data))
    elif block.kind == "iptc":
        yield from ((field, text, "IPTC") for field, text in records(block.data))
    else:
        yield printable(block.field, 80), block.data.decode("utf-8", "replace"), block.where


def _findings(field: str, text: str, where: str) -> Iterator[Evidence]:
    """What one field says: parameters are recognised by their form first, then the field by its purpose."""
    name, value = field.lower(), printable(text)
    if not value:
        return
    label = aigc_label(field, text)
    generator = parameters_of(field, text)
    program = named_program(text)
    if label:
        yield Evidence("label", field, printable(label[0]), label[1], where, program and program[0])
    elif generator:
        yield Evidence("parameters", field, value, "ai", where, generator)
    elif name.rpartition(":")[2] == "digitalsourcetype":
        code, says = source_type(text)
        yield Evidence("source type", field, printable(code), says, where)
    elif name.startswith(AI_FIELDS):
        kind: Kind = "software" if name in SOFTWARE else "description"
        yield Evidence(kind, field, value, "ai", where, program[0] if program else None)
    elif name in SOFTWARE:
        yield Evidence("software", field, value, program[1] if program else "unknown", where, program and program[0])
    elif name in CREDIT:
        if program and program[1] == "ai":
            yield Evidence("credit", field, value, "ai", where, program[0])
    elif name in ("make", "model") and where == "EXIF":
        yield Evidence("camera", field, value, "real", where)
    elif name == "dcterms:provenance":
        yield Evidence("c2pa", field, value, "unknown", where)
    elif name == "comment" and text.startswith(CANVA):
        yield Evidence("software", field, value, "edited", where, "Canva")
    elif speaks_of_ai(text):
        yield Evidence("description", field, value, "unknown", where)


def _signed(credentials: ContentCredentials) -> Iterator[Evidence]:
    """What the signed history says; one that failed its validation says nothing."""
    holds = credentials.state in ("trusted", "valid")
    for address in credentials.source_types:
        code, says = source_type(address)
        yield Evidence("c2pa", "digitalSourceType", printable(code), says if holds else "unknown", "C2PA")
    for text in credentials.programs:
        program = named_program(text)
        says = program[1] if program and holds else "unknown"
        yield Evidence("c2pa", "program", printable(text), says, "C2PA", program and program[0])
