"""Random changes to single training images at their own resolution: delivery, and which part the network sees.

They need the pixels of the file, so that the images are decoded in every epoch (`BatchAugmentation` does the rest to
whole batches of squares). The part is cut here as well: a crop at native resolution must not be resized again, as the
crops of a batch are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from PIL import Image

from rexnet_ai_real.config import AugmentConfig
from rexnet_ai_real.data.augmentation import CROP_ASPECT
from rexnet_ai_real.images.preprocessing import Box, Pixels, Preprocessing, resized
from rexnet_ai_real.images.random_delivery import randomly_delivered


@dataclass(frozen=True)
class ImageChange:
    """What happens to one image. Called twice, it does the same to images of the same size."""

    seed: tuple[int, ...]
    preprocessing: Preprocessing
    crop_scale: float
    is_delivered: bool
    is_native: bool

    @classmethod
    def drawn(cls, config: AugmentConfig, preprocessing: Preprocessing, seed: Sequence[int]) -> "ImageChange":
        """The change that these numbers stand for, whichever process draws it."""
        delivered, native = np.random.default_rng(seed).random(2)
        return cls(tuple(seed), preprocessing, config.crop_scale, delivered < config.delivery, native < config.native)

    @property
    def enough(self) -> int | None:
        """As `decode` takes it. A whole frame that is not delivered may be decoded at a reduced size."""
        if self.is_delivered or self.is_native or self.preprocessing.enough is None:
            return None
        return round(self.preprocessing.enough / sqrt(self.crop_scale))  # even of the smallest crop

    def __call__(self, image: Image.Image) -> Pixels:
        """RGB image of any size -> pixels (size, size, 3)."""
        random = np.random.default_rng([*self.seed, 1])  # not the numbers that decided what is done
        if self.is_delivered:
            image = randomly_delivered(image, random)
        side = self.preprocessing.image_size
        if self.is_native:
            box = _any_square(image.size, side, random)
        else:
            box = _part(self.preprocessing.seen(image.size), self.crop_scale, random)
        return np.array(resized(image, side, self.preprocessing.interpolation, box))


def is_by_image(config: AugmentConfig) -> bool:
    """Whether the settings ask for changes of this kind."""
    return config.delivery > 0 or config.native > 0


def _any_square(size: tuple[int, int], side: int, random: np.random.Generator) -> Box:
    """A square of whole pixels anywhere; the largest that fits where the image is smaller."""
    side = min(side, *size)
    left, top = int(random.integers(size[0] - side + 1)), int(random.integers(size[1] - side + 1))
    return left, top, left + side, top + side


def _part(whole: Box, crop_scale: float, random: np.random.Generator) -> Box:
    """A random part of a box that keeps at least this share of its area, as `BatchAugmentation` cuts it."""
    if crop_scale == 1:
        return whole
    scale, aspect = random.uniform(crop_scale, 1), np.exp(random.uniform(log(CROP_ASPECT[0]), log(CROP_ASPECT[1])))
    left, top, right, bottom = whole
    wide = (right - left) * min(1.0, sqrt(scale * aspect))
    tall = (bottom - top) * min(1.0, sqrt(scale / aspect))
    left, top = left + random.random() * (right - left - wide), top + random.random() * (bottom - top - tall)
    return left, top, left + wide, top + tall
