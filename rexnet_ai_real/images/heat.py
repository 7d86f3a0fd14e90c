"""The colours of heat over an image: the brighter and warmer, the more; without heat the image is left as it is.

The image below is grey, so that a colour always means heat.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# The upper three quarters of matplotlib's "inferno" (Smith and van der Walt 2015, CC0): perceptually even and rising in
# lightness, so that it reads with every kind of colour vision. Its lower quarter is near black and would look like
# shade in the image. Linear interpolation between these is within 5 of 255 of the original.
COLOURS: Final = np.array(
    [
        *((87, 16, 110), (106, 23, 110), (127, 30, 108), (147, 38, 103), (168, 46, 95), (188, 55, 84), (204, 66, 72)),
        *((221, 81, 58), (234, 99, 42), (243, 120, 25), (249, 142, 9), (252, 165, 10), (251, 190, 35), (246, 215, 70)),
        *((241, 239, 117), (252, 255, 164)),
    ],
    dtype=np.float32,
)
"""From no heat to the greatest, 0 to 255."""
_OPACITY: Final = 0.8
"""Of the greatest heat: the image still shows through."""
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""
_MIDDLE_GREY: Final = 128


def heat_colours(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heat of any shape, from 0 to 1 -> colours (..., 3), from 0 to 255."""
    steps = np.linspace(0, 1, len(COLOURS), dtype=np.float32)
    return np.stack([np.interp(heat, steps, channel) for channel in COLOURS.T], axis=-1).astype(np.float32)


def painted(grey: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A grey image (H, W), from 0 to 255, under its heat (H, W), from 0 to 1 -> (H, W, 3)."""
    return np.rint(_blended(grey, heat)).astype(np.uint8)


def overlay(image: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image (H, W, 3), from 0 to 1, in grey under its heat (H, W), from 0 to 1 -> (H, W, 3), from 0 to 1."""
    return _blended(255 * (image @ _LUMA), heat) / np.float32(255)


def colour_bar(width: int, height: int) -> NDArray[np.uint8]:
    """The colours from no heat to the greatest, as they look over middle grey, (height, width, 3)."""
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    return painted(np.full_like(ramp, _MIDDLE_GREY), ramp)


def _blended(grey: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.float32]:
    cover = np.float32(_OPACITY) * heat[..., None]
    mixed: NDArray[np.float32] = (1 - cover) * grey[..., None] + cover * heat_colours(heat)
    return mixed
