"""IPTC metadata: the records of the Information Interchange Model, and the code list of digital source types."""

import re
from collections.abc import Iterator
from typing import Final

from rexnet_ai_real.provenance.block import Damaged
from rexnet_ai_real.provenance.evidence import Says

FIELDS: Final = {
    5: "Title",
    65: "Originating Program",
    80: "By-line",
    110: "Credit",
    115: "Source",
    120: "Caption",
}
"""Datasets of record 2 that can say who or what made an image (IPTC-IIM 4.2, chapter 6)."""

# The list at http://cv.iptc.org/newscodes/digitalsourcetype, release of 2024-10-23, retired codes included; "empty" and
# "trainedAlgorithmicData" are C2PA's own.
SOURCE_TYPES: Final[dict[str, Says]] = {
    "trainedAlgorithmicMedia": "ai",
    "compositeWithTrainedAlgorithmicMedia": "ai",
    "compositeSynthetic": "ai",
    "trainedAlgorithmicData": "ai",
    "digitalCapture": "real",
    "computationalCapture": "real",
    "negativeFilm": "real",
    "positiveFilm": "real",
    "print": "real",
    "compositeCapture": "real",
    "digitalCreation": "real",
    "digitalArt": "real",
    "humanEdits": "edited",
    "minorHumanEdits": "edited",
    "algorithmicallyEnhanced": "edited",
    "composite": "edited",
    "softwareImage": "unknown",
    "dataDrivenMedia": "unknown",
    "algorithmicMedia": "unknown",  # by a formula, without training: neither a model's work nor a photograph
    "screenCapture": "unknown",
    "virtualRecording": "unknown",
    "empty": "unknown",
}


_LABELS: Final = {
    "createdusinggenerativeai": "trainedAlgorithmicMedia",
    "editedusinggenerativeai": "compositeWithTrainedAlgorithmicMedia",
    "digitalcapturesampledfromreallife": "digitalCapture",
    "originaldigitalcapturesampledfromreallife": "digitalCapture",
    "multiframecomputationalcapturesampledfromreallife": "computationalCapture",
    "digitisedfromatransparentnegative": "negativeFilm",
    "digitisedfromanegativeonfilm": "negativeFilm",
    "digitisedfromatransparentpositive": "positiveFilm",
    "digitisedfromapositiveonfilm": "positiveFilm",
    "digitisedfromanontransparentmedium": "print",
    "digitisedfromaprintonnontransparentmedium": "print",
    "originalmediawithminorhumanedits": "minorHumanEdits",
    "humaneditedmedia": "humanEdits",
    "algorithmicallyalteredmedia": "algorithmicallyEnhanced",
    "algorithmicenhancement": "algorithmicallyEnhanced",
}
"""The list's own English labels, of today and of earlier releases, letters alone; most others spell their code."""
BY_LETTERS: Final = {code.lower(): code for code in SOURCE_TYPES} | _LABELS
"""Codes by their own letters in lower case, and by those of their labels."""


def source_type(value: str) -> tuple[str, Says]:
    """The code in an address, a "digsrctype:" short form, a label or alone, and what it says.

    Case, query strings and blanks make no difference. Codes off the list are given as written and say nothing.
    """
    written = re.split(r"[?#]", value.strip())[0].rstrip("/").replace(":", "/").rpartition("/")[2]
    code = BY_LETTERS.get(re.sub(r"[\W_]", "", written).lower(), written)
    return code, SOURCE_TYPES.get(code, "unknown")


def photoshop_iptc(data: bytes) -> Iterator[bytes]:
    """The IPTC records among Photoshop's image resources; other resources are stepped over."""
    at = 0
    while at + 12 <= len(data) and data[at : at + 4] == b"8BIM":
        number = int.from_bytes(data[at + 4 : at + 6])
        at += 6 + (data[at + 6] + 2) // 2 * 2  # a name, filled up to an even length with its length byte
        size = int.from_bytes(data[at : at + 4])
        if at + 4 + size > len(data):
            raise Damaged("the Photoshop resources are cut off")
        if number == 0x0404:
            yield data[at + 4 : at + 4 + size]
        at += 4 + size + size % 2


def records(data: bytes) -> Iterator[tuple[str, str]]:
    """Field and text of the datasets named in FIELDS."""
    utf8, at = False, 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        record, dataset, size = data[at + 1], data[at + 2], int.from_bytes(data[at + 3 : at + 5])
        if size & 0x8000 or at + 5 + size > len(data):  # longer datasets hold previews
            raise Damaged("the IPTC records are cut off")
        value = data[at + 5 : at + 5 + size]
        at += 5 + size
        if (record, dataset) == (1, 90):
            utf8 = value == b"\x1b%G"
        elif record == 2 and dataset in FIELDS:
            yield FIELDS[dataset], value.decode("utf-8" if utf8 else "latin-1", "replace")
