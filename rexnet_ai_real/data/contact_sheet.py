"""A contact sheet: images of each class side by side, to see what a data set holds."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pandas as pd
from PIL import Image, ImageDraw

from rexnet_ai_real.data.manifest import usable
from rexnet_ai_real.images.contact_sheet import (
    FAINT,
    INK,
    LABEL_COLOURS,
    MARGIN,
    PAPER,
    THUMBNAIL,
    Grid,
    paste_thumbnail,
    thumbnail,
)
from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.images.lettering import fitted, font
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.labels import AI, LABELS, REAL, TITLES

HEADING: Final = 52
AFTER: Final = 26


@dataclass(frozen=True, slots=True)
class Panel:
    """The images of one class that are shown."""

    label: int
    total: int
    rows: tuple[tuple[str, str, int, int, str], ...]
    """Path, source, width, height, format."""


def contact_sheet(
    root: Path, manifest: pd.DataFrame, *, per_class: int = 24, columns: int = 8, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Draw `per_class` images of each class, spread over its sources, uncropped, with name, size and format below.

    The images are chosen by their hashes: the same ones on every machine, unbiased by file names or order.
    """
    panels = [_panel(manifest, label, per_class) for label in (AI, REAL)]
    grid = Grid(columns, width=THUMBNAIL, height=THUMBNAIL + 34, gap=14)
    heights = [HEADING + grid.rows_height(len(panel.rows)) + AFTER for panel in panels]
    sheet = Image.new("RGB", (grid.sheet_width, 2 * MARGIN + sum(heights) - AFTER), PAPER)
    top = MARGIN
    for panel, height in zip(panels, heights, strict=True):
        _draw_panel(sheet, panel, root, top, grid, max_pixels)
        top += height
    return sheet


def _panel(manifest: pd.DataFrame, label: int, count: int) -> Panel:
    ours = manifest[usable(manifest) & (manifest["label"] == label)]
    order = ours["sha256"].map(lambda digest: hashlib.sha256(f"contact sheet {digest}".encode()).hexdigest())
    ours = ours.assign(order=order).sort_values("order").drop_duplicates("group")
    turn = ours.groupby("source").cumcount()  # the first of every source, then the second of every source, ...
    shown = ours.assign(turn=turn).sort_values(["turn", "source"]).head(count).sort_values(["source", "order"])
    rows = zip(*(shown[column].tolist() for column in ("path", "source", "width", "height", "format")), strict=True)
    return Panel(label, int((usable(manifest) & (manifest["label"] == label)).sum()), tuple(rows))


def _draw_panel(sheet: Image.Image, panel: Panel, root: Path, top: int, grid: Grid, max_pixels: int) -> None:
    draw = ImageDraw.Draw(sheet)
    label = LABELS[panel.label]
    draw.rectangle((MARGIN, top, MARGIN + 7, top + 30), fill=LABEL_COLOURS[label])
    title, letters = font(24), font(12)
    draw.text((MARGIN + 20, top), TITLES[label], font=title, fill=INK)
    after = MARGIN + 20 + draw.textlength(TITLES[label], font=title) + 14
    draw.text((after, top + 11), f"{len(panel.rows)} of {panel.total:,} images", font=font(14), fill=FAINT)
    for index, (path, source, width, height, kind) in enumerate(panel.rows):
        left, upper = grid.corner(index, top + HEADING)
        paste_thumbnail(sheet, _thumbnail(root / path, max_pixels), (left, upper))
        names = [PurePosixPath(path).name, f"{width} x {height}  {kind}  {source}"]
        for line, (text, ink) in enumerate(zip(names, (INK, FAINT), strict=True)):
            draw.text(
                (left, upper + THUMBNAIL + 3 + line * 15), fitted(text, letters, THUMBNAIL), font=letters, fill=ink
            )


def _thumbnail(path: Path, max_pixels: int) -> Image.Image | None:
    try:
        image = decode(path, max_pixels=max_pixels)
    except UnreadableImage:  # gone or changed since the manifest was made: its square stays empty
        return None
    return thumbnail(image)
