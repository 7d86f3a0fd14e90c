"""The colour scale of heat: the brighter and warmer, the more; where there is none, the image is left as it is."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# The upper three quarters of matplotlib's "inferno" (Smith and van der Walt 2015, CC0), which the figures of a run use:
# even to the eye and rising in lightness, so that it reads with every colour vision. Its lower quarter is near black
# and would look like shade in the image. Straight lines between these are within 5 of 255 of the original.
_INFERNO: Final = np.array(
    [
        *((87, 16, 110), (106, 23, 110), (127, 30, 108), (147, 38, 103), (168, 46, 95), (188, 55, 84), (204, 66, 72)),
        *((221, 81, 58), (234, 99, 42), (243, 120, 25), (249, 142, 9), (252, 165, 10), (251, 190, 35), (246, 215, 70)),
        *((241, 239, 117), (252, 255, 164)),
    ],
    dtype=np.float32,
)
_OPACITY: Final = 0.8
"""Of the greatest heat: the image still shows through."""


def heat_colours(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Heat of any shape, from 0 to 1 -> colours (..., 3), from 0 to 255."""
    steps = np.linspace(0, 1, len(_INFERNO), dtype=np.float32)
    return np.stack([np.interp(heat, steps, channel) for channel in _INFERNO.T], axis=-1).astype(np.float32)


def opacity(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far heat from 0 to 1 covers what is below: not at all at 0, never wholly."""
    cover: NDArray[np.float32] = np.float32(_OPACITY) * heat
    return cover


def painted(grey: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A grey image under its heat; grey, so that a colour always means heat.

    Args:
        grey: (H, W), from 0 to 255.
        heat: (H, W), from 0 to 1.

    Returns:
        (H, W, 3).
    """
    cover = opacity(heat)[..., None]
    return np.rint((1 - cover) * grey[..., None] + cover * heat_colours(heat)).astype(np.uint8)
