"""What contact sheets share: their colours, the grid that thumbnails stand in, and the thumbnails."""

from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

PAPER: Final = "#ffffff"
INK: Final = "#1a1a1a"
FAINT: Final = "#6b6b6b"
GROUND: Final = "#f2f2f2"
"""Behind a thumbnail that does not fill its square."""
LABEL_COLOURS: Final = {"ai": "#d55e00", "real": "#0072b2", "unsure": "#8c8c8c", "out of scope": "#cc79a7"}
"""Distinct with every kind of colour vision (Okabe and Ito 2008)."""

THUMBNAIL: Final = 168
"""Pixels of a thumbnail's longer side."""
MARGIN: Final = 28
"""Pixels around the sheet."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Tiles of one size in rows, with a gap between them. All sizes are in pixels."""

    columns: int
    width: int
    """Of a tile."""
    height: int
    """Of a tile, its captions included."""
    gap: int

    @property
    def sheet_width(self) -> int:
        """Of a sheet with this grid, its margins included."""
        return 2 * MARGIN + self.columns * (self.width + self.gap) - self.gap

    def rows_height(self, count: int) -> int:
        """Of the rows that so many tiles fill, with the gap below the last."""
        return -(-count // self.columns) * (self.height + self.gap)

    def corner(self, index: int, top: int) -> tuple[int, int]:
        """Left and top of a tile, by its number from 0; `top` is that of the first row."""
        row, column = divmod(index, self.columns)
        return MARGIN + column * (self.width + self.gap), top + row * (self.height + self.gap)


def thumbnail(image: Image.Image) -> Image.Image:
    """An image of the same shape whose longer side is `THUMBNAIL` pixels.

    Tiny ones are enlarged without smoothing, so that their pixels can be seen.
    """
    scale = THUMBNAIL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1.5 else Image.Resampling.NEAREST)


def paste_thumbnail(sheet: Image.Image, shown: Image.Image | None, corner: tuple[int, int]) -> None:
    """Put a thumbnail into the middle of its square; None leaves the square empty."""
    left, top = corner
    ImageDraw.Draw(sheet).rectangle((left, top, left + THUMBNAIL - 1, top + THUMBNAIL - 1), fill=GROUND)
    if shown is not None:
        sheet.paste(shown, (left + (THUMBNAIL - shown.width) // 2, top + (THUMBNAIL - shown.height) // 2))
