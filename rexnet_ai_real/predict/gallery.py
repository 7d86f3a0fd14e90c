"""A page of thumbnails sorted by probability: one HTML file that loads nothing from elsewhere but the originals."""

import base64
import html
import io
import json
import math
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from string import Template
from typing import BinaryIO, Final
from urllib.parse import quote_from_bytes

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rexnet_ai_real.cli.passed_over import MADE_BY
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.images.decode import UnreadableImage, decode_then
from rexnet_ai_real.images.loading import made_ahead
from rexnet_ai_real.labels import ABSTENTIONS, LABELS, TITLES, percent
from rexnet_ai_real.predict.row import Row, caution, readable
from rexnet_ai_real.predict.summary import Summary
from rexnet_ai_real.progress import track
from rexnet_ai_real.provenance import CAVEAT

SIDE: Final = 240
"""Pixels of a thumbnail's longer side; a card is about 180 wide on the page."""
_ERRORS: Final = 1000
"""Listed at most."""


class Gallery:
    """Writes the page from the rows in a file of JSON lines."""

    def __init__(
        self, worth: Worth, detector: str, *, always: bool = False, most: int, workers: int, max_pixels: int
    ) -> None:
        """What the page says besides the rows.

        Args:
            worth: of the detector.
            detector: its name in the rows.
            always: whether the answers at the threshold stand in place of none.
            most: images shown at most.
            workers: threads that make thumbnails.
            max_pixels: as for `decode`.
        """
        self.worth = worth
        self.detector = detector
        self.always = always
        self.most = most
        self.workers = workers
        self.max_pixels = max_pixels

    def __call__(self, records: Path, path: Path) -> None:
        """Write the page at `path`, atomically. Only the offsets of the rows are in memory."""
        index = _Index.of(records)
        failed = np.isnan(index.probabilities)
        order = index.offsets[~failed][np.argsort(-index.probabilities[~failed], kind="stable")][: self.most]
        with records.open("rb") as file, write_atomically(path) as temporary, temporary.open("wb") as page:
            page.write(self._head(index, len(order), path.parent).encode())
            page.write(b'<div class="images">\n')
            shown = made_ahead(self._thumbnail, _rows(file, order), workers=self.workers, ahead=32)
            for row, thumbnail in track(shown, "Drawing the gallery", len(order)):
                page.write(_card(row, thumbnail, path.parent).encode())
            page.write(b"</div>\n")
            if failed.any():
                page.write(_errors(file, index.offsets[failed]).encode())
            page.write(f"{_text('gallery_end.html')}<script>\n{_text('gallery.js')}</script>\n".encode())
            page.write(b"</body>\n</html>\n")

    def _head(self, index: "_Index", shown: int, folder: Path) -> str:
        summary, worth = index.summary, self.worth
        sentence = summary.sentence
        if summary.failed:
            sentence += f" {summary.failed:,} files could not be read; they are listed at the end."
        if shown < summary.answered:
            sentence += f" The {shown:,} most likely AI-generated are shown."
        about = f"Detector {self.detector}{f' ({worth.name})' if worth.name else ''}, {datetime.now():%Y-%m-%d %H:%M}."
        caveat = f" {CAVEAT}" if index.has_provenance else ""
        report = ""
        if worth.report is not None:
            report = f' <a href="{_link(str(worth.report), folder)}">The report on this detector</a>'
        rule = " ".join([worth.rule(always=self.always), *worth.calibration.notes])
        return Template(_text("gallery.html")).substitute(
            made_by=MADE_BY,
            count=f"{summary.answered:,}",
            summary=html.escape(sentence),
            caution=html.escape(" ".join(worth.sentences)) + report,
            rule=html.escape(rule),
            about=html.escape(about + caveat),
            filters=_filters(summary),
        )

    def _thumbnail(self, row: Row) -> str:
        """A data URI; empty if the file is no longer there."""

        def small(image: Image.Image) -> Image.Image:
            image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
            return image

        try:
            image = decode_then(small, Path(row["path"]), max_pixels=self.max_pixels, enough=SIDE)
        except (UnreadableImage, ValueError):
            return ""
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
    summary: Summary
    has_provenance: bool

    @classmethod
    def of(cls, records: Path) -> "_Index":
        offsets, probabilities = array("q"), array("d")
        summary = Summary()
        offset, has_provenance = 0, False
        with records.open("rb") as file:
            for line in file:
                row = json.loads(line)
                offsets.append(offset)
                probabilities.append(math.nan if row["probability"] is None else row["probability"])
                summary.add(row)
                has_provenance |= "provenance" in row
                offset += len(line)
        return cls(np.array(offsets, np.int64), np.array(probabilities), summary, has_provenance)


def _rows(file: BinaryIO, offsets: NDArray[np.int64]) -> Iterator[Row]:
    for offset in offsets.tolist():
        file.seek(offset)
        row: Row = json.loads(file.readline())
        yield row


def _filters(summary: Summary) -> str:
    counts = {"all": summary.answered} | {label: summary.labels[label] for label in (*reversed(LABELS), *ABSTENTIONS)}
    return "".join(
        f'<button type="button" value="{_css(label)}" aria-pressed="{str(label == "all").lower()}">'
        f"{TITLES.get(label, 'All')} {count:,}</button>"
        for label, count in counts.items()
        if count or label == "all"
    )


def _card(row: Row, thumbnail: str, folder: Path) -> str:
    label, shown = row["label"], percent(row["probability"])
    path, href = readable(row["path"]), _link(row["path"], folder)
    short = "/".join(Path(row["path"]).parts[-2:])
    image = f'<img loading="lazy" alt="" src="{thumbnail}">' if thumbnail else '<div class="gone">no longer there</div>'
    leaning = ""
    if words := caution(row):
        lead, _, why = words.partition(": ")
        leaning = f'<div class="leaning">{html.escape(lead)}<span class="why">: {html.escape(why)}</span></div>'
    remark = ""
    if row["remark"] and row["remark"] != row["reason"]:
        remark = f'<div class="remark">{html.escape(row["remark"].capitalize())}</div>'
    metadata = ""
    if row.get("provenance_says"):
        metadata = f'<div class="metadata">Metadata: {html.escape(readable(row["provenance"]))}</div>'
    return (
        f'<figure class="{_css(label)}"><button type="button" class="thumb" data-p="{row["probability"]}" '
        f'data-path="{html.escape(path)}" data-href="{href}" aria-label="Enlarge {html.escape(readable(short))}">'
        f"{image}</button><figcaption>"
        f'<div class="verdict"><span>{TITLES[label]}</span><span>{html.escape(shown)}</span></div>'
        f'<div class="bar"><i style="width:{100 * row["probability"]:.0f}%"></i></div>{leaning}'
        f'<div class="path" title="{html.escape(path)}"><a href="{href}" target="_blank">'
        f"{html.escape(readable(short))}</a></div>{remark}{metadata}</figcaption></figure>\n"
    )


def _css(label: str) -> str:
    """The answer as the name of a class of CSS, for colours and filters."""
    return label.replace(" ", "-")


def _link(path: str, folder: Path) -> str:
    """A link to a file from a page in `folder`: relative to it for files below it, so that they can move together."""
    target, base = os.path.abspath(path), os.path.abspath(folder)
    if target.startswith(base.rstrip(os.sep) + os.sep):
        return "./" + quote_from_bytes(os.fsencode(os.path.relpath(target, base)))
    return "file://" + quote_from_bytes(os.fsencode(target))


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _errors(file: BinaryIO, offsets: NDArray[np.int64]) -> str:
    lines = [
        f"<tr><td>{html.escape(readable(row['path']))}</td><td>{html.escape(readable(row['error']))}</td></tr>\n"
        for row in _rows(file, offsets[:_ERRORS])
    ]
    more = f"<p>{len(offsets) - _ERRORS:,} more are not listed.</p>" if len(offsets) > _ERRORS else ""
    return f"<h2>Files that could not be read</h2>\n<table>\n{''.join(lines)}</table>\n{more}"
