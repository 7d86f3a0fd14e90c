"""What makes an image hard to judge: far fewer pixels than the network sees, or nothing on it."""

from pathlib import Path
from typing import Final

from PIL import Image

from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing

FAR_BELOW: Final = 4
"""An image whose shorter side is this many times shorter than the side that the network sees earns a remark."""
_BLANK: Final = 2
"""Grey levels within which a blank image varies: JPEG keeps a single colour that exactly."""


def read_with_remark(
    source: Path | bytes, preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS
) -> tuple[Pixels, str | None]:
    """What the network sees of an image, as `Preprocessing.to_views` gives it, and a remark, if there is one to make.

    Raises:
        UnreadableImage: as `decode`.
    """

    def prepare(image: Image.Image) -> tuple[Pixels, str | None]:
        views = preprocessing.to_views(image)
        return views, remark(image.size, views[0])

    return decode_then(prepare, source, max_pixels=max_pixels, enough=preprocessing.enough)


def remark(size: tuple[int, int], pixels: Pixels) -> str | None:
    """A remark on an image of a size (width, height) that the network sees as `pixels` (side, side, 3)."""
    if int((pixels.max(axis=(0, 1)).astype(int) - pixels.min(axis=(0, 1))).max()) <= _BLANK:
        return "blank or fully transparent: there is nothing to judge"
    if FAR_BELOW * min(size) <= len(pixels):
        return f"only {size[0]} x {size[1]} pixels, and the detector expects {len(pixels)} a side: too few to judge by"
    return None
