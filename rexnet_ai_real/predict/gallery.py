"""A page of thumbnails sorted by probability: one HTML file that loads nothing from elsewhere."""

import base64
import html
import io
import json
import math
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.images.loading import made_ahead
from rexnet_ai_real.labels import SHORT_WORDS, WORDS
from rexnet_ai_real.predict.row import Row, readable
from rexnet_ai_real.progress import track
from rexnet_ai_real.provenance import CAVEAT

SIDE: Final = 240
"""Pixels of a thumbnail's longer side; a card is about 180 wide on the page."""
_ERRORS: Final = 1000
"""Listed at most."""


class Gallery:
    """Writes the page from the rows in a file of JSON lines."""

    def __init__(self, calibration: Calibration, *, most: int, workers: int, max_pixels: int) -> None:
        """`most`: images shown at most; `calibration`: behind the verdicts, explained on the page."""
        self.calibration = calibration
        self.most = most
        self.workers = workers
        self.max_pixels = max_pixels

    def __call__(self, records: Path, path: Path) -> None:
        """Write the page at `path`, atomically. Only the offsets of the rows are in memory."""
        index = _Index.of(records)
        failed = np.isnan(index.probabilities)
        order = index.offsets[~failed][np.argsort(-index.probabilities[~failed], kind="stable")][: self.most]
        with records.open("rb") as file, write_atomically(path) as temporary, temporary.open("wb") as page:
            page.write(self._head(index, len(order)).encode())
            page.write(b'<div class="images">\n')
            shown = made_ahead(self._thumbnail, _rows(file, order), workers=self.workers, ahead=32)
            for row, thumbnail in track(shown, "Drawing the gallery", len(order)):
                page.write(_card(row, thumbnail).encode())
            page.write(b"</div>\n")
            if failed.any():
                page.write(_errors(file, index.offsets[failed]).encode())
            page.write(b"</body>\n</html>\n")

    def _head(self, index: "_Index", shown: int) -> str:
        counts = index.counts
        answered = sum(counts.values()) - counts["failed"]
        parts = [f"{counts[label]:,} {WORDS[label]}" for label in ("ai", "real", "unsure") if counts[label]]
        summary = f"{answered:,} images: {', '.join(parts) or 'none'}."
        if counts["failed"]:
            summary += f" {counts['failed']:,} files could not be read; they are listed at the end."
        if shown < answered:
            summary += f" The {shown:,} most likely AI-generated are shown."
        page = Template(Path(__file__).with_name("gallery.html").read_text(encoding="utf-8"))
        calibration = self.calibration
        rule = f"The answer is AI-generated from {calibration.unsure_high:.0%} on"
        if calibration.unsure_low < calibration.unsure_high:
            rule += f', real below {calibration.unsure_low:.0%}, and "unsure" between'
        rule += ". " + " ".join(calibration.notes)
        return page.substitute(
            count=f"{answered:,}",
            summary=html.escape(summary),
            rule=html.escape(rule),
            metadata=f" {html.escape(CAVEAT)}" if index.has_provenance else "",
        )

    def _thumbnail(self, row: Row) -> str:
        """A data URI; empty if the file is no longer there."""
        try:
            image = decode(Path(row["path"]), max_pixels=self.max_pixels, enough=SIDE)
        except (UnreadableImage, ValueError):
            return ""
        image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=80)
        return f"data:image/jpeg;base64,{base64.b64encode(stored.getvalue()).decode('ascii')}"


@dataclass(frozen=True)
class _Index:
    """What the page needs to know of all rows, without the rows themselves."""

    offsets: NDArray[np.int64]
    """Where each row begins, in bytes."""
    probabilities: NDArray[np.float64]
    """NaN for a row without one."""
    counts: Counter[str]
    """Rows by label, and "failed"."""
    has_provenance: bool

    @classmethod
    def of(cls, records: Path) -> "_Index":
        offsets, probabilities = array("q"), array("d")
        counts: Counter[str] = Counter()
        offset, has_provenance = 0, False
        with records.open("rb") as file:
            for line in file:
                row = json.loads(line)
                offsets.append(offset)
                probabilities.append(math.nan if row["probability"] is None else row["probability"])
                counts[row["label"] or "failed"] += 1
                has_provenance |= "provenance" in row
                offset += len(line)
        return cls(np.array(offsets, np.int64), np.array(probabilities), counts, has_provenance)


def _rows(file: BinaryIO, offsets: NDArray[np.int64]) -> Iterator[Row]:
    for offset in offsets.tolist():
        file.seek(offset)
        row: Row = json.loads(file.readline())
        yield row


def _card(row: Row, thumbnail: str) -> str:
    label, percent = row["label"], 100 * row["probability"]
    shown = f"{percent:.0f} %" if 1 <= percent <= 99 else "over 99 %" if percent > 99 else "under 1 %"
    short = "/".join(Path(row["path"]).parts[-2:])
    metadata = ""
    if row.get("provenance_says"):
        metadata = f'<div class="metadata">Metadata {html.escape(readable(row["provenance"]))}</div>'
    image = '<div class="gone">no longer there</div>'
    if thumbnail:
        image = f'<img loading="lazy" alt="" src="{thumbnail}">'
    return (
        f'<figure class="{label}">{image}<figcaption>'
        f'<div class="verdict"><span>{SHORT_WORDS[label]}</span><span>{shown}</span></div>'
        f'<div class="bar"><i style="width:{percent:.0f}%"></i></div>'
        f'<div class="path" title="{html.escape(readable(row["path"]))}">{html.escape(readable(short))}</div>'
        f"{metadata}</figcaption></figure>\n"
    )


def _errors(file: BinaryIO, offsets: NDArray[np.int64]) -> str:
    lines = [
        f"<tr><td>{html.escape(readable(row['path']))}</td><td>{html.escape(readable(row['error']))}</td></tr>\n"
        for row in _rows(file, offsets[:_ERRORS])
    ]
    more = f"<p>{len(offsets) - _ERRORS:,} more are not listed.</p>" if len(offsets) > _ERRORS else ""
    return f"<h2>Files that could not be read</h2>\n<table>\n{''.join(lines)}</table>\n{more}"
