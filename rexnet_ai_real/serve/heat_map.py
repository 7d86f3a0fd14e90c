"""An image under its heat as a PNG: small enough to send, with nothing written on it."""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from rexnet_ai_real.detector.explanation import Explanation, Scale
from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.placement import Seen, heat_on_image, scaled

SIDE: Final = 640
"""Pixels of the longer side at most: such a PNG has about 300 kB."""
_SCALE: Final = Scale("log-odds that each position adds")


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An image as it is shown."""

    image: Image.Image
    size: tuple[int, int]
    """Width and height of the whole."""


def shown(data: bytes, *, max_pixels: int) -> Shown:
    """The image at the size of its heat map.

    Raises:
        UnreadableImage: as `decode`.
    """

    def small(image: Image.Image) -> Shown:
        size = image.size
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return Shown(image, size)

    return decode_then(small, data, max_pixels=max_pixels)


def drawn(shown: Shown, explanation: Explanation, seen: Seen) -> bytes:
    """The PNG. Where the evidence points nowhere, nothing is painted.

    Args:
        shown: the image.
        explanation: of this image, which did not fail.
        seen: of the preprocessing.
    """
    box = scaled(seen(shown.size), shown.size, shown.image.size)
    stored = io.BytesIO()
    heat_on_image(shown.image, _SCALE.painted(explanation), box).save(stored, "PNG")
    return stored.getvalue()
