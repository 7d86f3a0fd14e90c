"""Images that are no photograph and no picture like one: screenshots, text and flat graphics."""

from typing import Final

import numpy as np
from PIL import Image

SIDE: Final = 768
"""Pixels of the longer side below which an image is not reduced before it is measured."""
EQUAL: Final = 0.85
COLOURS: Final = 16
COVERED: Final = 0.97


def out_of_scope(image: Image.Image) -> str | None:
    """Why an RGB image is none that a detector of AI-generated images can judge; None for all others."""
    factor = max(image.size) // SIDE
    pixels = np.asarray(image.reduce(factor) if factor > 1 else image)
    if pixels.shape[1] < 2:
        return None
    equal = float((pixels[:, 1:] == pixels[:, :-1]).all(axis=-1).mean())
    if equal < EQUAL:
        return None
    steps = (pixels >> 4).astype(np.intp) @ (256, 16, 1)
    covered = np.sort(np.bincount(steps.ravel()))[-COLOURS:].sum() / steps.size
    if covered < COVERED:
        return None
    return f"a screenshot, text or flat graphic: {equal:.0%} of its pixels are exactly like their neighbour"
