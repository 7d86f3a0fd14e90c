"""Resize and normalise: from a decoded image to what the network sees, the same for every use of the network.

The resizing is Pillow's, on 8-bit pixels, so that training, prediction with PyTorch and exported detectors, which run
without it, see the same bytes. torchvision's own resizing differs by one grey level at most and is no faster here (1.1
against 0.9 ms for images of 384 px; 64 images, one thread).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.limits import MAX_PIXELS

RESIZES: Final = ("squash", "crop", "native")
VIEWS: Final = ("frame", "native", "flip")
"""What is judged of an image: the frame as `Preprocessing.resize` says, the centre as it is, and the frame mirrored."""
FILTERS: Final = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LARGEST: Final = 2048
"""Pixels a side: a detector from a stranger must not ask for all the memory."""

DECODE_MARGIN: Final = 2
"""A JPEG is decoded at a reduced size as long as both sides keep this many times the side that the network sees."""

Pixels = NDArray[np.uint8]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True)
class Preprocessing:
    """Travels with the trained weights, so that every later use sees images the same way."""

    image_size: int
    """Side of the square that the network sees, in pixels."""
    resize: str
    """One of `RESIZES`: the whole image squashed, the largest centred square of it, or its centre pixel by pixel."""
    interpolation: str
    """One of `FILTERS`, with antialiasing."""
    mean: tuple[float, ...]
    """Subtracted from each channel after scaling to 0..1."""
    std: tuple[float, ...]
    """Divides each channel after the mean is subtracted."""
    views: tuple[str, ...] = VIEWS[:1]
    """The frame, and what else of `VIEWS`: logits are averaged over them. Takes as many times as long as there are."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Preprocessing":
        """The inverse of `to_plain`.

        Raises:
            ValueError: entries are missing, unknown or impossible.
        """
        try:
            lists = {key: tuple(plain[key]) for key in ("mean", "std", *(["views"] if "views" in plain else []))}
            preprocessing = cls(**{**plain, **lists})
        except (KeyError, TypeError) as error:
            raise ValueError(f"preprocessing has missing or unknown entries ({error})") from error
        channels = (*preprocessing.mean, *preprocessing.std)
        sound = (
            type(preprocessing.image_size) is int  # a truth value is an int as well
            and 0 < preprocessing.image_size <= LARGEST
            and preprocessing.resize in RESIZES
            and preprocessing.interpolation in list(FILTERS)  # by comparison: it may be anything
            and len(preprocessing.mean) == len(preprocessing.std) == 3
            and all(isinstance(value, int | float) and isfinite(value) for value in channels)
            and min(preprocessing.std) > 0
            and are_views(preprocessing.views)
        )
        if not sound:
            raise ValueError(f"impossible preprocessing: {dict(plain)}")
        return preprocessing

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for checkpoints and JSON; without `views` where there is the frame alone, as ever."""
        plain = {**asdict(self), "mean": list(self.mean), "std": list(self.std), "views": list(self.views)}
        if plain["views"] == [VIEWS[0]]:
            del plain["views"]
        return plain

    def to_array(self, image: Image.Image) -> Pixels:
        """RGB image of any size -> pixels as the network sees them before they are normalised, (size, size, 3)."""
        return np.array(resized(image, self.image_size, self.interpolation, self.seen(image.size)))

    def to_views(self, image: Image.Image) -> Pixels:
        """The same of every view, (views, size, size, 3)."""
        native = replace(self, resize="native").to_array(image)[None] if "native" in self.views else None
        views: Pixels = self.views_of(self.to_array(image)[None], native)[0]
        return views

    def views_of(self, frames: Pixels, natives: Pixels | None) -> Pixels:
        """Frames and the same images at native resolution, both (N, size, size, 3) -> (N, views, size, size, 3)."""
        made = {"frame": frames, "native": natives, "flip": frames[:, :, ::-1]}
        views: Pixels = np.stack([made[view] for view in self.views], axis=1)  # type: ignore[misc]
        return views

    def seen(self, size: tuple[int, int]) -> Box:
        """The part of an image (width, height) that the network sees, by `resize`."""
        if self.resize == "squash":
            return 0.0, 0.0, float(size[0]), float(size[1])
        return centre_square(size) if self.resize == "crop" else centre_of(size, self.image_size)

    @property
    def enough(self) -> int | None:
        """Pixels a side that a decoder must give at least, as `decode` takes it; None: all that the file holds."""
        needs_all = self.resize == "native" or "native" in self.views
        return None if needs_all else DECODE_MARGIN * self.image_size


def are_views(value: Sequence[object]) -> bool:
    """Whether these can be `Preprocessing.views`."""
    if not value or not all(isinstance(view, str) for view in value):
        return False
    return value[0] == VIEWS[0] and len(value) == len(set(value)) and set(value) <= set(VIEWS)


def read_pixels(source: Path | bytes, preprocessing: Preprocessing, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """An image file, or its bytes, to what the network sees before it is normalised, (size, size, 3).

    Raises:
        UnreadableImage: as `decode`.
    """
    return decode_then(preprocessing.to_array, source, max_pixels=max_pixels, enough=preprocessing.enough)


def resized(image: Image.Image, size: int, interpolation: str, box: Box) -> Image.Image:
    """A part of an image -> (size, size); pixels stay as they are where the part is of that size.

    Cut and resized in one step: to enlarge a strip of 20,000 x 20 pixels first would take gigabytes.
    """
    return image.resize((size, size), FILTERS[interpolation], box=box)


def centre_of(size: tuple[int, int], side: int) -> Box:
    """Left, top, right, bottom of the centred square of `side` whole pixels; of the largest one in a smaller image."""
    side = min(side, *size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def at_most(image: Image.Image, longest: int) -> Image.Image:
    """The image with its long side reduced to this many pixels; a smaller one as it is."""
    largest = max(image.size)
    if largest <= longest:
        return image
    width, height = (max(1, round(side * longest / largest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def centre_square(size: tuple[int, int]) -> Box:
    """Left, top, right, bottom of the largest centred square of an image (width, height)."""
    width, height = size
    side = min(size)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
