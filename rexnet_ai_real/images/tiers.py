"""Delivery tiers: an image as it was saved, as a web page shows it, and as a messenger passes it on."""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing, at_most


@dataclass(frozen=True, slots=True)
class Tier:
    """One way in which an image reaches its reader. `None` leaves the image as it is."""

    name: str
    """Key in `TIERS` and in files."""
    title: str
    """For readers."""
    longest: int | None = None
    """Pixels of the longer side at most. Smaller images keep their size: a tier never enlarges."""
    quality: int | None = None
    """Of the JPEG that it is then written as; chroma halved in both directions, as Pillow and most senders do."""


TIERS: Final[dict[str, Tier]] = {
    tier.name: tier
    for tier in (
        Tier("clean", "as it is"),
        Tier("web", "long side ≤ 768 px, JPEG 60", 768, 60),
        Tier("messenger", "long side ≤ 512 px, JPEG 40", 512, 40),
    )
}
"""By name, the gentlest first."""
REDELIVERIES: Final[tuple[Tier, ...]] = tuple(TIERS.values())[1:]
"""All tiers but the first, the image as it is."""


def deliver(image: Image.Image, tier: Tier) -> Image.Image:
    """An RGB image as it looks after a delivery, RGB; the same pixels each time."""
    if tier.longest is not None:
        image = at_most(image, tier.longest)
    if tier.quality is None:
        return image
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=tier.quality)
    with Image.open(memory) as opened:
        return opened.convert("RGB")


def read_redelivered(
    source: bytes, preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS
) -> tuple[Pixels, ...]:
    """What the network sees of an image after each way of passing it on: does the answer survive them?

    (views, size, size, 3) for each of `REDELIVERIES`; they are made from the image at its full size.

    Raises:
        UnreadableImage: as `decode`.
    """

    def prepare(image: Image.Image) -> tuple[Pixels, ...]:
        return tuple(preprocessing.to_views(deliver(image, tier)) for tier in REDELIVERIES)

    return decode_then(prepare, source, max_pixels=max_pixels)
