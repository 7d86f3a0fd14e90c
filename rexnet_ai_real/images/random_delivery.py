"""What happens to an image between its maker and its viewer: made smaller or larger, and stored again.

A detector that is trained on files as their collections store them learns how these store them; one that is trained on
images which all travelled does not (removing the difference in format and size alone: over 11 points across generators,
arXiv 2403.17608). Never with the nearest neighbour, which leaves traces of its own.
"""

import io
from typing import Final

import numpy as np
from PIL import Image

FACTORS: Final = (0.3, 1.3)
"""By which images are made smaller or larger, drawn on a logarithmic scale."""
FILTERS: Final = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)
QUALITIES: Final = (40, 95)
"""Of JPEG and WebP, both ends included."""
THUMBNAILS: Final = 0.15
"""Share of the images that become thumbnails, whose long side has `THUMBNAIL` pixels."""
THUMBNAIL: Final = (128, 320)
WEBP: Final = 0.3
"""Share of the rounds that are of WebP, not of JPEG."""
LONGEST: Final = 2048
"""Pixels of the long side beyond which images are made smaller first, as services do."""
SHORTEST: Final = 64
"""Pixels of the short side below which none is made smaller."""


def randomly_delivered(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """An RGB image of any size after one or two deliveries: resized once, and stored once or twice.

    Images of equal size change alike where `random` is in the same state.
    """
    image = _rescaled(image, random)
    for _ in range(random.integers(1, 3)):
        image = _stored(image, random)
    return image


def _rescaled(image: Image.Image, random: np.random.Generator) -> Image.Image:
    long, short = max(image.size), min(image.size)
    factor = min(1.0, LONGEST / long)
    if random.random() < THUMBNAILS:
        factor = min(factor, random.integers(THUMBNAIL[0], THUMBNAIL[1] + 1) / long)
    else:
        factor *= float(np.exp(random.uniform(*np.log(FACTORS))))
    factor = max(factor, min(1.0, SHORTEST / short, LONGEST / long))
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, FILTERS[random.integers(len(FILTERS))])


def _stored(image: Image.Image, random: np.random.Generator) -> Image.Image:
    file, quality = io.BytesIO(), int(random.integers(QUALITIES[0], QUALITIES[1] + 1))
    if random.random() < WEBP:
        image.save(file, "WEBP", quality=quality, method=2)
    else:
        # Colours at half the resolution, as nearly all JPEG files hold them, or at the full one.
        image.save(file, "JPEG", quality=quality, subsampling=2 if random.random() < 0.8 else 0)
    return Image.open(file).convert("RGB")
