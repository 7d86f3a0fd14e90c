"""A contact sheet: images of each class side by side, to see with one's own eyes what a data set holds."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pandas as pd
from PIL import Image, ImageDraw

from rexnet_ai_real.data.manifest import usable
from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.images.lettering import fitted, font, small
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.labels import AI, REAL

THUMBNAIL: Final = 168
GAP: Final = 14
CAPTION: Final = 34
HEADING: Final = 52
AFTER: Final = 26
MARGIN: Final = 28

PAPER: Final = "#ffffff"
INK: Final = "#1a1a1a"
FAINT: Final = "#6b6b6b"
CLASS_COLOURS: Final = {REAL: "#0072b2", AI: "#d55e00"}  # told apart with every colour vision (Okabe and Ito 2008)


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
    """Draw `per_class` images of each class, spread over its sources, whole, with name, size and format below.

    The choice goes by the images' hashes: it is the same on every machine, and no file name or order biases it.
    """
    panels = [_panel(manifest, label, per_class) for label in (AI, REAL)]
    lines = [-(-len(panel.rows) // columns) for panel in panels]
    heights = [HEADING + count * (THUMBNAIL + CAPTION + GAP) + AFTER for count in lines]
    width = 2 * MARGIN + columns * (THUMBNAIL + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + sum(heights) - AFTER), PAPER)
    top = MARGIN
    for panel, height in zip(panels, heights, strict=True):
        _draw_panel(sheet, panel, root, top, columns, max_pixels)
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


def _draw_panel(sheet: Image.Image, panel: Panel, root: Path, top: int, columns: int, max_pixels: int) -> None:
    draw = ImageDraw.Draw(sheet)
    colour = CLASS_COLOURS[panel.label]
    draw.rectangle((MARGIN, top, MARGIN + 7, top + 30), fill=colour)
    title, letters = font(24), font(12)
    heading = {AI: "AI-generated", REAL: "Real"}[panel.label]
    draw.text((MARGIN + 20, top), heading, font=title, fill=INK)
    after = MARGIN + 20 + draw.textlength(heading, font=title) + 14
    draw.text((after, top + 11), f"{len(panel.rows)} of {panel.total:,} images", font=font(14), fill=FAINT)
    for index, (path, source, width, height, kind) in enumerate(panel.rows):
        left = MARGIN + index % columns * (THUMBNAIL + GAP)
        upper = top + HEADING + index // columns * (THUMBNAIL + CAPTION + GAP)
        draw.rectangle((left, upper, left + THUMBNAIL - 1, upper + THUMBNAIL - 1), fill="#f2f2f2")
        image = _thumbnail(root / path, max_pixels)
        if image is not None:
            sheet.paste(image, (left + (THUMBNAIL - image.width) // 2, upper + (THUMBNAIL - image.height) // 2))
        names = [PurePosixPath(path).name, f"{width} x {height}  {kind}  {source}"]
        for line, (text, ink) in enumerate(zip(names, (INK, FAINT), strict=True)):
            draw.text(
                (left, upper + THUMBNAIL + 3 + line * 15), fitted(text, letters, THUMBNAIL), font=letters, fill=ink
            )


def _thumbnail(path: Path, max_pixels: int) -> Image.Image | None:
    try:
        image = decode(path, max_pixels=max_pixels)
    except UnreadableImage:  # gone or changed since the manifest was made: its place stays empty
        return None
    return small(image, THUMBNAIL)
