"""Where the spatial positions of a heat map lie in an image, of which the network saw all or a part."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rexnet_ai_real.images.heat import painted
from rexnet_ai_real.images.preprocessing import Box

Seen = Callable[[tuple[int, int]], Box]
"""Width and height of an image -> the part of it that the network saw, as `Preprocessing.seen` says."""

_ROWS: Final = 256
"""Computed at a time: a row of floats takes six times the memory of a row of the image."""


def scaled(box: Box, size: tuple[int, int], shown: tuple[int, int]) -> Box:
    """The same part of an image of this size (width, height) where it is shown at another."""
    across, down = shown[0] / size[0], shown[1] / size[1]
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def spread(
    heat: NDArray[np.float32], size: tuple[int, int], box: Box, rows: slice | None = None
) -> NDArray[np.float32]:
    """A map over the pixels of an image: bilinear between the centres of its positions, constant beyond the outermost.

    Args:
        heat: (h, w), whose positions fill the box evenly.
        size: width and height of the image.
        box: the part of the image that the map is of.
        rows: of the image, all by default.

    Returns:
        (rows, width); NaN outside the box, where there is no heat.
    """
    left, top, right, bottom = box
    downwards = _positions(np.arange(size[1])[rows or slice(None)], top, bottom, heat.shape[0])
    across = _positions(np.arange(size[0]), left, right, heat.shape[1])
    values = _weights(downwards, heat.shape[0]) @ heat.astype(np.float32) @ _weights(across, heat.shape[1]).T
    values[(downwards < 0) | (downwards > heat.shape[0])] = np.nan
    values[:, (across < 0) | (across > heat.shape[1])] = np.nan
    return values


def heat_on_image(image: Image.Image, heat: NDArray[np.float32], box: Box) -> Image.Image:
    """The image in grey under its heat; striped and paler where the network did not see it.

    Args:
        image: RGB, of any size.
        heat: (h, w), from 0 to 1.
        box: the part of it that the network saw.
    """
    grey = image.convert("L")
    result = Image.new("RGB", image.size)
    period = max(
        12, max(image.size) // 120
    )  # of the stripes, wide enough to be seen when the whole image is on one screen
    for top in range(0, image.height, _ROWS):
        bottom = min(top + _ROWS, image.height)
        here = spread(heat, image.size, box, slice(top, bottom))
        unseen = np.isnan(here)
        below = np.asarray(grey.crop((0, top, image.width, bottom)), dtype=np.float32)
        if unseen.any():
            below = np.where(unseen, _striped(below, top, period), below)
        result.paste(Image.fromarray(painted(below, np.where(unseen, 0, here))), (0, top))
    return result


def _positions(pixels: NDArray[np.int64], low: float, high: float, count: int) -> NDArray[np.float64]:
    """Where the centres of pixels lie, in positions of the map from the edge `low`."""
    return np.asarray((pixels + 0.5 - low) * (count / (high - low)), dtype=np.float64)


def _weights(positions: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    """Bilinear weight of each position of the map at each pixel, (pixels, positions)."""
    distance = np.abs(positions.clip(0.5, count - 0.5)[:, None] - (np.arange(count) + 0.5))
    return np.asarray(np.maximum(0, 1 - distance), dtype=np.float32)


def _striped(grey: NDArray[np.float32], top: int, period: int) -> NDArray[np.float32]:
    rows, columns = np.ogrid[top : top + grey.shape[0], : grey.shape[1]]
    pale = np.float32(0.3) * grey + np.float32(0.7 * 235)
    return np.where((rows + columns) % period < period // 6, np.float32(150), pale)
