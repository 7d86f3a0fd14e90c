"""Images that are no photograph and no picture like one: screenshots, text and flat graphics.

What tells them is what JPEG and resizing leave alone: sixteen shades make up nearly all of the image, neighbours are
exactly alike over much of it, and what stands out from the ground is flat or sharply bounded, while the shading of a
thing on a plain ground, a shoe on white or a face on black, is neither.

Of 649 images from 36 collections (at most 20 of each) 1 is called out of scope, an AI-made sheet of logos, and so is 1
of 20 further images in their original bytes, a real one. Of 60 graphics drawn for this measurement 53 are found as PNG
and 51 as JPEG 75: all 20 screens and all 20 pages of text, but of 20 charts 13 and 11. Pie charts, which have few sharp
bounds for their area, and thin soft lines are missed. Screens with photographs on them were not measured.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from rexnet_ai_real.images.preprocessing import Pixels

SIDE: Final = 768
"""Pixels of the longer side: an image is reduced by a whole factor before it is measured, but not below this."""
SHADES: Final = 16
FEW_SHADES: Final = 0.88
"""Share of the image that is of its `SHADES` most frequent colours, in 16 steps a channel."""
FLAT: Final = 0.55
"""Share of pixels exactly like their left neighbour. Half of all images have less than 0.12."""
SHADED: Final = 0.35
"""Share of what stands out that is softly shaded; of shoes and portraits on a plain ground it is 0.4 to 0.8."""
SHARP: Final = 0.05
"""Share of what stands out that is sharply bounded; of a white mug on white nothing is."""
TEXT_SHADES: Final = 0.6
"""Share of the image that is of its two most frequent colours, where it is text."""
TEXT_SHARP: Final = 0.6
SOFT_EDGE, HARD_EDGE = 3, 40
"""Grey levels between neighbours: up to the first is flat, above the second is an edge."""


@dataclass(frozen=True, slots=True)
class Flatness:
    """Shares of an image, 0 to 1, that tell graphics from pictures."""

    flat: float
    shades: float
    two_shades: float
    shaded: float
    sharp: float

    @classmethod
    def of(cls, image: Image.Image) -> "Flatness":
        """Of an RGB image. About 10 ms."""
        factor = max(image.size) // SIDE
        pixels = np.asarray(image.reduce(factor) if factor > 1 else image)
        if min(pixels.shape[:2]) < 2:
            return cls(*(0.0,) * 5)
        planes = np.moveaxis(pixels, -1, 0).copy()  # a whole channel at a time: pixel by pixel took seven times as long
        here = planes[:, 1:, 1:]
        across = _contrast(here, planes[:, 1:, :-1])
        contrast = np.maximum(across, _contrast(here, planes[:, :-1, 1:]))
        steps = (here >> 4).astype(np.int16)
        counts = np.bincount((256 * steps[0] + 16 * steps[1] + steps[2]).ravel(), minlength=4096)
        most = np.sort(counts)[::-1] / contrast.size
        ground = np.array(np.unravel_index(counts.argmax(), (16, 16, 16)), np.int16).reshape(3, 1, 1)
        standing_out = contrast[np.abs(steps - ground).max(axis=0) > 1]
        total = max(1, standing_out.size)
        return cls(
            flat=float((across == 0).mean()),
            shades=float(most[:SHADES].sum()),
            two_shades=float(most[:2].sum()),
            shaded=float(((standing_out > SOFT_EDGE) & (standing_out <= HARD_EDGE)).sum() / total),
            sharp=float((standing_out > HARD_EDGE).sum() / total),
        )


def out_of_scope(image: Image.Image) -> str | None:
    """Why an RGB image is none that a detector of AI-generated images can judge; None for all others."""
    found = Flatness.of(image)
    if found.shades < FEW_SHADES or found.shaded > SHADED or found.sharp < SHARP:
        return None
    share = f"{found.shades:.0%} of it are of {SHADES} colours"
    if found.two_shades >= TEXT_SHADES and found.sharp >= TEXT_SHARP:
        return f"text or a line drawing: {found.two_shades:.0%} of it are of two colours, with sharp edges between them"
    if found.flat >= FLAT:
        return f"a screenshot or flat graphic: {share}, and {found.flat:.0%} of its pixels are exactly like the next"
    return None


def _contrast(one: Pixels, other: Pixels) -> Pixels:
    """Largest difference over the channels of (3, height, width) and the same, in grey levels."""
    return np.asarray((np.maximum(one, other) - np.minimum(one, other)).max(axis=0))
