"""An image as the network sees it after each way that it may be passed on: does the answer survive them?"""

from typing import Final

from PIL import Image

from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing
from rexnet_ai_real.images.tiers import TIERS, Tier, deliver

REDELIVERIES: Final[tuple[Tier, ...]] = tuple(TIERS.values())[1:]
"""All tiers but the first, the image as it is."""


def read_redelivered(
    source: bytes, preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS
) -> tuple[Pixels, ...]:
    """(views, size, size, 3) for each of `REDELIVERIES`; they are made from the image at its full size.

    Raises:
        UnreadableImage: as `decode`.
    """

    def prepare(image: Image.Image) -> tuple[Pixels, ...]:
        return tuple(preprocessing.to_views(deliver(image, tier)) for tier in REDELIVERIES)

    return decode_then(prepare, source, max_pixels=max_pixels)
