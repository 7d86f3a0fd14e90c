"""Contact sheets of explained images, each beside its heat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from rexnet_ai_real.detector.explanation import Explanation, Scale
from rexnet_ai_real.explain.caption import answer, draw_bar
from rexnet_ai_real.images.contact_sheet import (
    FAINT,
    GROUND,
    INK,
    LABEL_COLOURS,
    MARGIN,
    PAPER,
    THUMBNAIL,
    Grid,
    paste_thumbnail,
    thumbnail,
)
from rexnet_ai_real.images.lettering import fitted, font, wrapped
from rexnet_ai_real.images.placement import Seen, heat_on_image, scaled
from rexnet_ai_real.labels import IMAGE_OF_CLASS
from rexnet_ai_real.provenance import CAVEAT

PER_PAGE: Final = 24
_LINE: Final = 18
_PAIR: Final = THUMBNAIL + 4
"""Pixels from the image to its heat."""
_GRID: Final = Grid(columns=4, width=_PAIR + THUMBNAIL, height=THUMBNAIL + 6 * _LINE + 8, gap=22)
_HEADING: Final = 152


@dataclass(frozen=True, slots=True)
class Tile:
    """An explanation with its thumbnails."""

    explanation: Explanation
    image: Image.Image | None = None
    """None when the image failed."""
    heated: Image.Image | None = None
    is_cut: bool = False
    """Whether the network saw only a part of the image."""


def tile(image: Image.Image, explanation: Explanation, scale: Scale, seen: Seen) -> Tile:
    """Thumbnails of an image, as it is and under its heat. The arguments are those of `overlay`."""
    shown = thumbnail(image)
    box = seen(image.size)
    heated = heat_on_image(shown, scale.painted(explanation), scaled(box, image.size, shown.size))
    return Tile(explanation, shown, heated, box != (0, 0, *image.size))


def page(tiles: Sequence[Tile], number: int, scale: Scale) -> Image.Image:
    """Draw a page of at most `PER_PAGE` tiles, in their order.

    Args:
        tiles: at least one.
        number: of the page, from 1.
        scale: of the heat.
    """
    height = 2 * MARGIN + _HEADING + _GRID.rows_height(len(tiles))
    sheet = Image.new("RGB", (_GRID.sheet_width, height), PAPER)
    _draw_heading(sheet, number, scale, any(shown.is_cut for shown in tiles))
    for index, shown in enumerate(tiles):
        _draw_tile(sheet, _GRID.corner(index, MARGIN + _HEADING), shown)
    ImageDraw.Draw(sheet).text((MARGIN, sheet.height - MARGIN), CAVEAT, font=font(13), fill=FAINT, anchor="ls")
    return sheet


def _draw_heading(sheet: Image.Image, number: int, scale: Scale, is_cut: bool) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), "What speaks for the detector's answers", font=font(24), fill=INK)
    draw.text((sheet.width - MARGIN, MARGIN + 8), f"page {number}", font=font(14), fill=FAINT, anchor="ra")
    stripes = " Striped: outside of what the network saw." if is_cut else ""
    about = f"Left the image, right its heat: what speaks for the class named below it ({scale.unit}).{stripes}"
    draw.text((MARGIN, MARGIN + 36), about, font=font(14), fill=INK)
    caution = (
        "Heat shows what moved the answer, not which part is fake. Without heat: the evidence is spread too evenly to "
        "point anywhere, or there is none."
    )
    draw.text((MARGIN, MARGIN + 56), caution, font=font(14), fill=FAINT)
    if scale.top != 0:
        draw_bar(sheet, (MARGIN, MARGIN + 86), _GRID.width, 14, scale.top)
    note = scale.note if scale.top is not None else "Each image has its own scale: colours do not compare between them"
    if scale.top == 0:
        note = "There is no heat in any image of this run"
    draw.text((MARGIN + _GRID.width + _GRID.gap, MARGIN + 86), note, font=font(14), fill=INK)


def _draw_tile(sheet: Image.Image, corner: tuple[int, int], shown: Tile) -> None:
    left, top = corner
    explanation, verdict = shown.explanation, shown.explanation.verdict
    draw = ImageDraw.Draw(sheet)
    letters, small = font(15), font(13)
    y = top + THUMBNAIL + 5
    name = fitted(verdict.path.replace("\\", "/").rstrip("/").rpartition("/")[2] or verdict.path, small, _GRID.width)
    if shown.image is None or shown.heated is None:
        draw.rectangle((left, top, left + _GRID.width - 1, top + THUMBNAIL - 1), fill=GROUND)
        draw.text((left + 12, top + 12), "No answer", font=letters, fill=INK)
        for number, line in enumerate(wrapped(verdict.error or "", small, _GRID.width - 24, 6)):
            draw.text((left + 12, top + 38 + number * _LINE), line, font=small, fill=INK)
        draw.text((left, y), name, font=small, fill=FAINT)
        return
    paste_thumbnail(sheet, shown.image, corner)
    paste_thumbnail(sheet, shown.heated, (left + _PAIR, top))
    draw.rectangle((left, y + 2, left + 9, y + 13), fill=LABEL_COLOURS[verdict.label or "unsure"])
    draw.text((left + 16, y), answer(explanation), font=letters, fill=INK)
    about = [fitted(verdict.remark.capitalize(), small, _GRID.width)] if verdict.remark else []
    metadata = wrapped(f"Metadata: {explanation.provenance}", small, _GRID.width, 2)
    lines = [_about_heat(explanation), *about, name, *metadata]
    for number, line in enumerate(lines, start=1):
        draw.text((left, y + 2 + number * _LINE), line, font=small, fill=FAINT)


def _about_heat(explanation: Explanation) -> str:
    assert explanation.target is not None
    heat = "nothing"
    if explanation.greatest > 0:
        heat = f"at most {explanation.greatest:.2g}" if explanation.points_somewhere else "spread too evenly to show"
    return f"For {IMAGE_OF_CLASS[explanation.target]}: {heat}"
