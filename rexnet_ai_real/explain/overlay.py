"""One image under its heat, at its own resolution, with a caption below."""

import math
from typing import Final

from PIL import Image

from rexnet_ai_real.detector.explanation import Explanation, Scale
from rexnet_ai_real.explain.caption import caption
from rexnet_ai_real.images.contact_sheet import GROUND
from rexnet_ai_real.images.placement import Seen, heat_on_image, scaled

LARGEST: Final = 25_000_000
"""Pixels of an overlay; larger images are shown smaller."""
SMALLEST: Final = 256
"""Pixels of an overlay's longer side; smaller images are shown enlarged by a whole number."""
NARROWEST: Final = 440
"""Pixels of a caption's width: narrower images are centred above it."""


def overlay(image: Image.Image, explanation: Explanation, scale: Scale, seen: Seen) -> Image.Image:
    """The image under its heat, over the caption.

    Args:
        image: as decoded, RGB.
        explanation: of this image, which did not fail.
        scale: of the heat.
        seen: of the preprocessing.
    """
    shown, note = _shown(image)
    box = scaled(seen(image.size), image.size, shown.size)
    heated = heat_on_image(shown, scale.painted(explanation), box)
    strip = caption(
        max(shown.width, NARROWEST), _letter(shown.size), explanation, scale, [note, unseen_note(image.size, seen)]
    )
    whole = Image.new("RGB", (strip.width, heated.height + strip.height), GROUND)
    whole.paste(heated, ((whole.width - heated.width) // 2, 0))
    whole.paste(strip, (0, heated.height))
    return whole


def unseen_note(size: tuple[int, int], seen: Seen) -> str:
    """What the stripes mean; empty if there are none."""
    return "" if seen(size) == (0, 0, *size) else "Striped: outside of what the network saw"


def _shown(image: Image.Image) -> tuple[Image.Image, str]:
    """The image at the size at which it is shown, and a note if that is not its own."""
    width, height = image.size
    if width * height > LARGEST:
        share = math.sqrt(LARGEST / (width * height))
        size = (max(1, int(width * share)), max(1, int(height * share)))
        return image.resize(size, Image.Resampling.LANCZOS), f"Shown smaller: the image is {width} x {height} pixels"
    times = SMALLEST // max(width, height)
    if times < 2:
        return image, ""
    # Without smoothing, so that the pixels can be seen.
    larger = image.resize((width * times, height * times), Image.Resampling.NEAREST)
    return larger, f"Shown {times} times as large: the image is {width} x {height} pixels"


def _letter(size: tuple[int, int]) -> int:
    """Height of the letters, legible when the whole overlay is shown on one screen."""
    return round(min(max(min(size[0], 2 * size[1]) / 48, 14), 72))
