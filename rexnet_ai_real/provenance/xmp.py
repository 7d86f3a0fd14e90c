"""Properties of XMP packets (ISO 16684-1), read as XML without DTD or entities, of bounded size."""

from collections.abc import Iterator
from typing import Final
from xml.parsers import expat

from rexnet_ai_real.provenance.block import MAX_BLOCK_BYTES, Damaged

_IPTC: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

PROPERTIES: Final = {
    "http://ns.adobe.com/xap/1.0/ CreatorTool": "xmp:CreatorTool",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent# softwareAgent": "stEvt:softwareAgent",
    f"{_IPTC} DigitalSourceType": "Iptc4xmpExt:DigitalSourceType",
    f"{_IPTC} AISystemUsed": "Iptc4xmpExt:AISystemUsed",
    f"{_IPTC} AISystemVersionUsed": "Iptc4xmpExt:AISystemVersionUsed",
    f"{_IPTC} AIPromptInformation": "Iptc4xmpExt:AIPromptInformation",
    f"{_IPTC} AIPromptWriterName": "Iptc4xmpExt:AIPromptWriterName",
    "http://ns.adobe.com/photoshop/1.0/ Credit": "photoshop:Credit",
    "http://ns.adobe.com/photoshop/1.0/ Source": "photoshop:Source",
    "http://ns.adobe.com/tiff/1.0/ Software": "tiff:Software",
    "http://ns.adobe.com/exif/1.0/ UserComment": "exif:UserComment",
    "http://purl.org/dc/elements/1.1/ creator": "dc:creator",
    "http://purl.org/dc/elements/1.1/ description": "dc:description",
    "http://purl.org/dc/elements/1.1/ title": "dc:title",
    "http://purl.org/dc/terms/ provenance": "dcterms:provenance",
    "http://www.tc260.org.cn/ns/AIGC/1.0/ AIGC": "TC260:AIGC",
}
"""Names that are read, with their usual prefix; a file may use any prefix."""
IN_LOWER_CASE: Final = {name.lower(): field for name, field in PROPERTIES.items()}
"""The same by names in lower case: writers differ."""
LABEL: Final = "TC260:AIGC"
"""China's mandatory label, which some write into a namespace of their own."""


def _wanted(name: str) -> str | None:
    """The property that an expanded name stands for, in whatever case; the AIGC label in whatever namespace."""
    return IN_LOWER_CASE.get(name.lower()) or (LABEL if name.endswith(" AIGC") else None)


class _Reader:
    """Collects the wanted properties, written as attributes, as elements, as lists or as references."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._path: list[str | None] = []  # of each open element: the wanted property that it is or lies in
        self._text: list[str] = []
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        self.parse = parser.Parse

    def _refuse(self, *_: object) -> None:
        raise Damaged("XMP declares a document type, which no honest packet does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        own = _wanted(name) or (self._path[-1] if self._path else None)
        self._path.append(own)
        self._text.clear()
        for attribute, value in attributes.items():
            field = _wanted(attribute)
            if field or (own and attribute == f"{_RDF} resource"):
                self.found.append((field or str(own), value))

    def _end(self, _: str) -> None:
        own, text = self._path.pop(), "".join(self._text).strip()
        self._text.clear()
        if own and text:
            self.found.append((own, text))


def properties(packet: bytes) -> Iterator[tuple[str, str]]:
    """Name ("photoshop:Credit") and text of each wanted property, in the packet's order, each once.

    Raises:
        Damaged: too large, no XML, or XML with a document type. Properties that stand before the damage are yielded.
    """
    if len(packet) > MAX_BLOCK_BYTES:
        raise Damaged(f"XMP holds {len(packet):,} bytes, more than the limit of {MAX_BLOCK_BYTES:,}")
    reader, damage = _Reader(), None
    try:
        # Packets are filled up with blanks or zero bytes; in UTF-16, zero bytes are half of the text.
        reader.parse(packet if b"\0" in packet[:4] else packet.strip(b"\0 \r\n\t"), True)
    except expat.ExpatError as error:
        damage = Damaged(f"XMP is no sound XML: {error}")
    except Damaged as error:
        damage = error
    yield from dict.fromkeys(reader.found)
    if damage:
        raise damage
