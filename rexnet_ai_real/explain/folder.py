"""The folder of explanations: overlays/*.png, contact_sheet_*.png and explained.csv."""

import csv
import hashlib
import io
import os
import pickle
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from PIL.Image import Image

from rexnet_ai_real.cli.cells import harmless_path, harmless_text
from rexnet_ai_real.cli.lock import lock
from rexnet_ai_real.cli.passed_over import OVERLAYS, SHEET, TABLE
from rexnet_ai_real.detector.explanation import Explanation, Scale
from rexnet_ai_real.detector.verdict import Verdict
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.explain.contact_sheet import PER_PAGE, Tile, page, tile
from rexnet_ai_real.explain.overlay import overlay
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.images.decode import UnreadableImage, decode_then
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.loading import made_ahead
from rexnet_ai_real.images.placement import Seen
from rexnet_ai_real.labels import LABELS

COLUMNS: Final = (
    *("path", "label", "probability", "leaning", "reason", "remark", "logit", "target", "greatest_heat", "scale_top"),
    *("strongest_tenth", "points_somewhere", "overlay", "provenance", "error"),
)
"""`strongest_tenth`: share of all heat in the strongest tenth of the positions; `points_somewhere`: whether it is
painted."""
_LONGEST_STEM: Final = 60
_COMPRESSION: Final = 3
"""Of zlib's 9 levels."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is written for one image."""

    explanation: Explanation
    tile: Tile
    overlay: bytes | None = None
    """A PNG; None when the image failed."""


class ExplanationFolder:
    """A folder that is filled image by image; its table always lists what has been written.

    A page of the contact sheet is written when it is full, the last one at the end of the `with` block, even after
    Ctrl-C.
    """

    def __init__(self, folder: Path, scale: Scale, *, with_sheet: bool = True) -> None:
        """Begin a new table and contact sheet; older ones are removed, older overlays stay.

        Raises:
            UserError: the folder cannot be written, or another process writes it.
        """
        self._folder = folder
        self._scale = scale
        self._with_sheet = with_sheet
        self._pages = 0
        self._tiles: list[Tile] = []
        with _clear_failure(folder):
            (folder / OVERLAYS).mkdir(parents=True, exist_ok=True)
            # Quoted text keeps line breaks in names inside their cell; names that are not UTF-8 keep their bytes.
            self._file = (folder / TABLE).open("a", encoding="utf-8", errors="surrogateescape", newline="")
            try:
                lock(self._file, folder / TABLE)
            except UserError:
                self._file.close()
                raise
            self._file.truncate(0)
            for old in folder.glob(f"{SHEET}*.png"):
                old.unlink()
            self._table = csv.writer(self._file, quoting=csv.QUOTE_NONNUMERIC)
            self._write_row(COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        with _clear_failure(self._folder), self._file:
            self._write_page()

    def add(self, drawn: Drawn) -> None:
        """Write the overlay of an image, then its row.

        Raises:
            UserError: the folder cannot be written.
        """
        explanation, verdict = drawn.explanation, drawn.explanation.verdict
        name = ""
        with _clear_failure(self._folder):
            if drawn.overlay is not None:
                name = f"{OVERLAYS}/{overlay_name(verdict.path)}"
                with write_atomically(self._folder / name) as temporary:
                    temporary.write_bytes(drawn.overlay)
            has_heat = explanation.target is not None
            self._write_row(
                (
                    *(harmless_path(verdict.path), verdict.label, verdict.probability, verdict.leaning),
                    *(verdict.reason, verdict.remark, verdict.logit),
                    LABELS[explanation.target] if explanation.target is not None else None,
                    explanation.greatest if has_heat else None,
                    self._scale.top_of(explanation) if has_heat else None,
                    explanation.strongest_tenth if has_heat else None,
                    ("yes" if explanation.points_somewhere else "no") if has_heat else None,
                    *(name, harmless_text(explanation.provenance), verdict.error),
                )
            )
            if self._with_sheet:
                self._tiles.append(drawn.tile)
            if len(self._tiles) == PER_PAGE:
                self._write_page()

    def _write_row(self, row: Iterable[object]) -> None:
        self._table.writerow(row)
        self._file.flush()

    def _write_page(self) -> None:
        if self._tiles:
            self._pages += 1
            with write_atomically(self._folder / f"{SHEET}{self._pages:03}.png") as temporary:
                page(self._tiles, self._pages, self._scale).save(temporary)
            self._tiles = []


def drawn(
    explanations: Iterable[Explanation], scale: Scale, seen: Seen, *, workers: int = 2, max_pixels: int = MAX_PIXELS
) -> Iterator[Drawn]:
    """Overlays and tiles, in order, made by threads; at most `workers` + 1 are in memory.

    Args:
        explanations: with the paths of their images, which are decoded again, at their full size.
        scale: of the heat.
        seen: of the preprocessing.
        workers: threads.
        max_pixels: as for `decode`.
    """

    def draw(explanation: Explanation) -> Drawn:
        if explanation.verdict.error is not None:
            return Drawn(explanation, Tile(explanation))

        def on(image: Image) -> Drawn:
            stored = io.BytesIO()
            overlay(image, explanation, scale, seen).save(stored, "PNG", compress_level=_COMPRESSION)
            return Drawn(explanation, tile(image, explanation, scale, seen), stored.getvalue())

        try:
            return decode_then(on, Path(explanation.verdict.path), max_pixels=max_pixels)
        except UnreadableImage as error:  # it was readable a moment ago
            failed = Explanation(Verdict.failed(explanation.verdict.path, f"changed while it was explained: {error}"))
            return Drawn(failed, Tile(failed))

    return (made for _, made in made_ahead(draw, explanations, workers=workers, ahead=workers + 1))


def is_output(path: str, folder: Path) -> bool:
    """Whether a file is one of those written here: the output may lie in a folder whose images are explained."""
    parent, name = os.path.split(path)
    try:
        found = _real(parent)
    except ValueError:  # a zero byte, which no file name holds
        return False
    here = _real(os.fspath(folder))
    is_sheet = name.startswith(SHEET) and name.endswith(".png")
    return found == os.path.join(here, OVERLAYS) or (found == here and (name == TABLE or is_sheet))


@lru_cache(maxsize=1024)  # files come folder by folder
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def overlay_name(path: str) -> str:
    """A file name for the overlay of an image, different for every path.

    Made of the letters and digits of the image's name and 64 bits of a hash of its path, so that it is valid and short
    enough on every system.
    """
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(path).stem)[:_LONGEST_STEM].strip("_-")
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return f"{stem or 'image'}-{digest}.png"


@contextmanager
def set_aside(explanations: Iterable[Explanation]) -> Iterator[tuple[float, int, Iterator[Explanation]]]:
    """Keep explanations in a temporary file: their greatest heat, their number, and an iterator that reads them back.

    A scale for all images needs the greatest heat first. A map of 7 x 7 takes 0.2 kB, one of 224 x 224 takes 200 kB.
    """
    with tempfile.TemporaryFile() as spool:
        greatest, count = 0.0, 0
        for explanation in explanations:
            pickle.dump(explanation, spool)
            greatest = max(greatest, explanation.greatest)
            count += 1
        spool.seek(0)
        yield greatest, count, (pickle.load(spool) for _ in range(count))


@contextmanager
def _clear_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UserError(f"{folder} cannot be written: {reason}. The files written so far are complete") from error
