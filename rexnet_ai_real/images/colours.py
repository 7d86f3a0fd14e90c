"""Any of Pillow's modes to 8-bit sRGB."""

import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageCms

_STRIP: Final = 1 << 22
"""Pixels converted at a time: some conversions make four copies, as 8-byte numbers."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """8-bit sRGB; alpha composited over white.

    Args:
        image: decoded, of any mode.
        profile: its ICC profile; one that is damaged or made for another colour space is ignored, as viewers do.
    """
    if image.mode == "RGB" and not profile and not image.has_transparency_data:
        return image
    convert = _conversion(image, profile)
    if image.width * image.height <= _STRIP:
        return convert(image)
    whole = Image.new("RGB", image.size)
    top = 0
    for strip in _strips(image):
        whole.paste(convert(strip), (0, top))
        top += strip.height
    return whole


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    rows = max(_STRIP // image.width, 1)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _conversion(image: Image.Image, profile: bytes | None) -> Callable[[Image.Image], Image.Image]:
    """How each strip of the image becomes RGB; every pixel by itself."""
    if image.mode == "I" or image.mode == "F":
        low, high = _span(image)
        return lambda strip: _wide_to_eight_bits(strip, low, high).convert("RGB")
    if image.mode.startswith("I;16"):
        return lambda strip: _sixteen_to_eight_bits(strip).convert("RGB")

    def convert(strip: Image.Image) -> Image.Image:
        if strip.mode == "LAB":
            return _through_profile(strip, b"")
        if strip.has_transparency_data:
            strip = _over_white(strip)
        elif strip.mode not in ("L", "RGB", "CMYK"):
            strip = strip.convert("L" if strip.mode == "1" else "RGB")
        if profile:
            strip = _through_profile(strip, profile)
        return strip if strip.mode == "RGB" else strip.convert("RGB")

    return convert


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _sixteen_to_eight_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(((np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))


def _wide_to_eight_bits(image: Image.Image, low: float, high: float) -> Image.Image:
    """Grey of 32 bits to 8 bits (mode L), so that `low` becomes 0 and `high` 255."""
    return Image.fromarray(np.rint((_finite(image) - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8))


def _span(image: Image.Image) -> tuple[float, float]:
    """The values that are to become black and white.

    Integers span 0 to 65535 if they fit. Floats span 0 to 1 or 0 to 255 if they fit. Wider values have no agreed range
    and span from their lowest to their highest.
    """
    ends = [(float(values.min()), float(values.max())) for values in map(_finite, _strips(image))]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    spans = (1.0, 255.0) if image.mode == "F" else (65535.0,)
    fitting = next((span for span in spans if high <= span), None)
    return (0.0, fitting) if low >= 0 and fitting is not None else (low, high)


def _finite(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    transform = _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=64)  # most collections use a handful of profiles; building a transform takes 2 to 9 ms
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile (b"" for CIE Lab) to sRGB; None if there is nothing to convert or the profile is unusable."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return None
        return ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), mode, "RGB")
    except (OSError, ValueError):
        return None
