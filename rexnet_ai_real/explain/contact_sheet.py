"""Explained images side by side, each beside its heat: one page of a contact sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from rexnet_ai_real.explain.caption import ANSWER_COLOURS, FAINT, INK, PAPER, answer, draw_bar
from rexnet_ai_real.explain.explanation import CLASSES, Explanation, Scale
from rexnet_ai_real.explain.placement import heat_on_image, seen
from rexnet_ai_real.images.lettering import fitted, font, small, wrapped
from rexnet_ai_real.provenance import CAVEAT

PER_PAGE: Final = 24
_COLUMNS: Final = 4
_SIDE: Final = 168
_WIDTH: Final = 2 * _SIDE + 4
_LINE: Final = 18
_HEIGHT: Final = _SIDE + 5 * _LINE + 8
_GAP: Final = 22
_MARGIN: Final = 28
_HEADING: Final = 132
_PLACE: Final = "#f2f2f2"


@dataclass(frozen=True, slots=True)
class Tile:
    """An explanation with what is shown of it, at most 168 pixels a side."""

    explanation: Explanation
    image: Image.Image | None = None
    """None when the image failed."""
    heated: Image.Image | None = None
    is_cut: bool = False
    """Whether the network did not see the whole of it."""


def tile(image: Image.Image, explanation: Explanation, scale: Scale, resize: str) -> Tile:
    """Small versions of an image, as it is and under its heat. The arguments are those of `overlay`."""
    shown = small(image, _SIDE)
    heated = heat_on_image(shown, scale.positions(explanation), resize)
    return Tile(explanation, shown, heated, seen(image.size, resize) != (0, 0, *image.size))


def page(tiles: Sequence[Tile], number: int, scale: Scale) -> Image.Image:
    """Draw a page of at most `PER_PAGE` tiles, in their order.

    Args:
        tiles: at least one.
        number: of the page, from 1.
        scale: of the heat.
    """
    rows = -(-len(tiles) // _COLUMNS)
    width = 2 * _MARGIN + _COLUMNS * (_WIDTH + _GAP) - _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + _HEADING + rows * (_HEIGHT + _GAP)), PAPER)
    _draw_heading(sheet, number, scale, any(shown.is_cut for shown in tiles))
    for index, shown in enumerate(tiles):
        left = _MARGIN + index % _COLUMNS * (_WIDTH + _GAP)
        _draw_tile(sheet, (left, _MARGIN + _HEADING + index // _COLUMNS * (_HEIGHT + _GAP)), shown, scale)
    ImageDraw.Draw(sheet).text((_MARGIN, sheet.height - _MARGIN), CAVEAT, font=font(13), fill=FAINT, anchor="ls")
    return sheet


def _draw_heading(sheet: Image.Image, number: int, scale: Scale, is_cut: bool) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), "What speaks for the detector's answers", font=font(24), fill=INK)
    draw.text((sheet.width - _MARGIN, _MARGIN + 8), f"page {number}", font=font(14), fill=FAINT, anchor="ra")
    stripes = " Striped: outside of what the network saw." if is_cut else ""
    about = f"Left the image, right its heat: what speaks for the class named below it ({scale.unit}).{stripes}"
    draw.text((_MARGIN, _MARGIN + 36), about, font=font(14), fill=INK)
    draw_bar(sheet, (_MARGIN, _MARGIN + 66), _WIDTH, 14, scale.top)
    note = scale.note if scale.top is not None else "Each image has its own scale: colours do not compare between them"
    draw.text((_MARGIN + _WIDTH + _GAP, _MARGIN + 66), note, font=font(14), fill=INK)


def _draw_tile(sheet: Image.Image, corner: tuple[int, int], shown: Tile, scale: Scale) -> None:
    left, top = corner
    explanation, verdict = shown.explanation, shown.explanation.verdict
    draw = ImageDraw.Draw(sheet)
    letters, small = font(15), font(13)
    y = top + _SIDE + 5
    name = fitted(verdict.path.replace("\\", "/").rstrip("/").rpartition("/")[2] or verdict.path, small, _WIDTH)
    if shown.image is None or shown.heated is None:
        draw.rectangle((left, top, left + _WIDTH - 1, top + _SIDE - 1), fill=_PLACE)
        draw.text((left + 12, top + 12), "No answer", font=letters, fill=INK)
        for number, line in enumerate(wrapped(verdict.error or "", small, _WIDTH - 24, 6)):
            draw.text((left + 12, top + 38 + number * _LINE), line, font=small, fill=INK)
        draw.text((left, y), name, font=small, fill=FAINT)
        return
    for offset, image in ((0, shown.image), (_SIDE + 4, shown.heated)):
        draw.rectangle((left + offset, top, left + offset + _SIDE - 1, top + _SIDE - 1), fill=_PLACE)
        sheet.paste(image, (left + offset + (_SIDE - image.width) // 2, top + (_SIDE - image.height) // 2))
    draw.rectangle((left, y + 2, left + 9, y + 13), fill=ANSWER_COLOURS[verdict.label or "unsure"])
    draw.text((left + 16, y), answer(explanation), font=letters, fill=INK)
    lines = [_about_heat(explanation), name, *wrapped(f"Metadata: {explanation.provenance}", small, _WIDTH, 2)]
    for number, line in enumerate(lines, start=1):
        draw.text((left, y + 2 + number * _LINE), line, font=small, fill=FAINT)


def _about_heat(explanation: Explanation) -> str:
    assert explanation.target is not None
    greatest = f"at most {explanation.greatest:.2g}" if explanation.greatest > 0 else "nothing"
    return f"For {CLASSES[explanation.target]}: {greatest}"
