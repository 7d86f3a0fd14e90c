"""BMP images whose colours lie under masks of their own choice, most of which Pillow does not read."""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

_MASKS: Final = (3, 6)
"""Values of the header's compression field: masks of three colours, or of three and alpha."""
_STRIP: Final = 1 << 22  # pixels converted at a time


@dataclass(frozen=True, slots=True)
class Bitfields:
    """Where a BMP's pixels lie, and under which masks."""

    width: int
    height: int
    upwards: bool
    """Rows are stored from the bottom to the top."""
    bits: int
    """16 or 32 a pixel."""
    start: int
    masks: tuple[int, int, int, int]
    """Red, green, blue, alpha; 0 where there is none."""


def bitfields_of(data: bytes) -> Bitfields | None:
    """The layout of a BMP with masks (Microsoft's BITMAPINFOHEADER and BITMAPV5HEADER); None for other files."""
    if len(data) < 66 or data[:2] != b"BM":
        return None
    start, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    if header < 40 or bits not in (16, 32) or compression not in _MASKS or width <= 0 or height == 0:
        return None
    red, green, blue = struct.unpack_from("<III", data, 54)
    has_alpha = (header >= 56 or compression == 6) and len(data) >= 70
    alpha = struct.unpack_from("<I", data, 66)[0] if has_alpha else 0
    if not (red and green and blue):
        return None
    return Bitfields(width, abs(height), height > 0, bits, start, (red, green, blue, alpha))


def bitfields_image(data: bytes, layout: Bitfields) -> Image.Image:
    """RGB, or RGBA where the layout has alpha.

    Raises:
        ValueError: the pixels are truncated.
    """
    item = np.dtype("<u2" if layout.bits == 16 else "<u4")
    stride = (layout.width * layout.bits + 31) // 32 * 4 // item.itemsize
    if layout.start + stride * item.itemsize * layout.height > len(data):
        raise ValueError("truncated pixels")
    masks = layout.masks if layout.masks[3] else layout.masks[:3]
    image = Image.new("RGBA" if len(masks) == 4 else "RGB", (layout.width, layout.height))
    rows = max(_STRIP // layout.width, 1)
    for first in range(0, layout.height, rows):
        count = min(rows, layout.height - first)
        stored = np.frombuffer(data, item, count * stride, layout.start + first * stride * item.itemsize)
        values = stored.reshape(count, stride)[:, : layout.width].astype(np.uint64)
        strip = np.stack([_eight_bits(values, mask) for mask in masks], axis=-1)
        if layout.upwards:
            image.paste(Image.fromarray(strip[::-1].copy()), (0, layout.height - first - count))
        else:
            image.paste(Image.fromarray(strip), (0, first))
    return image


def _eight_bits(
    values: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], mask: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    lowest = mask & -mask
    return ((values & mask) // lowest * 255 // (mask // lowest)).astype(np.uint8)
