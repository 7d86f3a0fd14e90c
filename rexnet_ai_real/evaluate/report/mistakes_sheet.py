"""A contact sheet of mistakes: each image with the probability that misled, its source and its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from rexnet_ai_real.images.contact_sheet import (
    FAINT,
    INK,
    LABEL_COLOURS,
    MARGIN,
    PAPER,
    THUMBNAIL,
    Grid,
    paste_thumbnail,
)
from rexnet_ai_real.images.lettering import fitted, font
from rexnet_ai_real.labels import Label, percent

_HEADING: Final = 48
_LINE: Final = 16
_GRID: Final = Grid(columns=6, width=THUMBNAIL, height=THUMBNAIL + 4 + 3 * _LINE, gap=16)


@dataclass(frozen=True, slots=True)
class Tile:
    """One mistake that can be shown."""

    shown: Image.Image
    """Its thumbnail."""
    probability: float
    """P(AI-generated), calibrated."""
    origin: str
    """Collection and source; empty where none is named."""
    name: str
    """Of the file."""


def mistakes_sheet(title: str, about: str, truth: Label, tiles: Sequence[Tile]) -> Image.Image:
    """Draw the tiles in their order, six to a row.

    Args:
        title: what kind of mistake.
        about: beside it: how many are shown of how many.
        truth: the class that all of them have, for the colour.
        tiles: at least one.
    """
    height = 2 * MARGIN + _HEADING + _GRID.rows_height(len(tiles)) - _GRID.gap
    sheet = Image.new("RGB", (_GRID.sheet_width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((MARGIN, MARGIN, MARGIN + 7, MARGIN + 26), fill=LABEL_COLOURS[truth])
    draw.text((MARGIN + 18, MARGIN), title, font=font(21), fill=INK)
    after = MARGIN + 18 + draw.textlength(title, font=font(21)) + 14
    draw.text((after, MARGIN + 8), about, font=font(14), fill=FAINT)
    for index, tile in enumerate(tiles):
        left, top = _GRID.corner(index, MARGIN + _HEADING)
        paste_thumbnail(sheet, tile.shown, (left, top))
        lines = ((percent(tile.probability), 14, INK), (tile.origin, 12, INK), (tile.name, 12, FAINT))
        for number, (text, size, ink) in enumerate(line for line in lines if line[0]):
            corner = (left, top + THUMBNAIL + 4 + number * _LINE)
            draw.text(corner, fitted(text, font(size), THUMBNAIL), font=font(size), fill=ink)
    return sheet
