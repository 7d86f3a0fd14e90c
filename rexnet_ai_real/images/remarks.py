"""What makes an image hard to judge: far fewer pixels than the network sees, nothing on it, or no photograph at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing
from rexnet_ai_real.images.scope import out_of_scope

FAR_BELOW: Final = 4
"""An image whose shorter side is this many times shorter than the side that the network sees earns a remark."""
BLANK: Final = 2
"""Grey levels within which a blank image varies: JPEG keeps a single colour that exactly."""


@dataclass(frozen=True, slots=True, eq=False)
class Remarked:
    """An image as the network sees it, and what was noticed while it was whole."""

    pixels: Pixels
    """(views, side, side, 3), before they are normalised."""
    remark: str | None
    """As of `remark`."""
    outside: str | None
    """Why it is nothing that a detector of AI-generated images can judge: the remark, or as of `out_of_scope`."""


def read_with_remarks(
    source: Path | bytes,
    preprocessing: Preprocessing,
    *,
    max_pixels: int = MAX_PIXELS,
    familiar_side: int | None = None,
) -> Remarked:
    """What the network sees of an image, as `Preprocessing.to_views` gives it, and what is to be said of the image.

    Args:
        source: the file, or its bytes.
        preprocessing: of the detector.
        max_pixels: an image with more is not read.
        familiar_side: as of `remark`.

    Raises:
        UnreadableImage: as `decode`.
    """

    def prepare(image: Image.Image) -> Remarked:
        views = preprocessing.to_views(image)
        said = remark(image.size, views[0], familiar_side)
        return Remarked(views, said, said or out_of_scope(image))

    # Decoded as in training, or the network would see other pixels; so a large JPEG's scope is that of a reduced copy.
    return decode_then(prepare, source, max_pixels=max_pixels, enough=preprocessing.enough)


def remark(size: tuple[int, int], pixels: Pixels, familiar_side: int | None = None) -> str | None:
    """A remark on an image of a size (width, height) that the network sees as `pixels` (side, side, 3).

    An image is not called too small whose shorter side is as long as that of the images that the network was trained
    on, `familiar_side`, where that is known.
    """
    if int((pixels.max(axis=(0, 1)).astype(int) - pixels.min(axis=(0, 1))).max()) <= BLANK:
        return "blank or fully transparent: there is nothing to judge"
    is_familiar = familiar_side is not None and min(size) >= familiar_side
    if FAR_BELOW * min(size) <= len(pixels) and not is_familiar:
        return f"only {size[0]} x {size[1]} pixels, and the detector expects {len(pixels)} a side: too few to judge by"
    return None
