"""What happens to images on their way to a reader: forty-six corruptions, each the same for the same image.

Every corruption takes an RGB image at its own size, before any preprocessing, and gives an RGB image. Lengths such
as the standard deviation of a blur are pixels of the original, so a given setting is gentler on a larger image.
"""

import hashlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from rexnet_ai_real.images.tiers import TIERS, Tier, deliver

Apply = Callable[[Image.Image, np.random.Generator], Image.Image]

# Raise it when a corruption or the preprocessing changes what it does, so that logits cached before are not used.
VERSION: Final = 2
# Largest side that an encoder takes; longer images are scaled down to it, as a sender would have to.
_LONGEST: Final = {"JPEG": 65_500, "WEBP": 16_383}
# Centres of the sRGB primaries in metres, and h * c / k in metre kelvin, for Planck's law.
_WAVELENGTHS: Final = np.array([612e-9, 549e-9, 465e-9])
_PLANCK: Final = 1.438777e-2
_DAYLIGHT: Final = 6500.0
_LUMINANCE: Final = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True, slots=True)
class Corruption:
    """One cell of the grid; `severity` orders the cells of a family, with 0 for the untouched image between them."""

    name: str
    family: str
    severity: int
    setting: str
    apply: Apply

    @property
    def title(self) -> str:
        """Family and setting, for readers."""
        return f"{self.family} {self.setting}".strip()

    def __call__(self, image: Image.Image, key: str) -> Image.Image:
        """Corrupt an RGB image. What is random depends on `key` (the image's sha256) and the name only."""
        digest = hashlib.sha256(f"{key}\0{self.name}".encode()).digest()
        return self.apply(image, np.random.default_rng(int.from_bytes(digest[:16], "big")))


def _untouched(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image


def _encoded(image: Image.Image, _: np.random.Generator, *, container: str, quality: int) -> Image.Image:
    """Written and read back; chroma halved in both directions, as Pillow and most senders do."""
    memory = io.BytesIO()
    _shrunk(image, _LONGEST[container]).save(memory, container, quality=quality)
    with Image.open(memory) as opened:
        return opened.convert("RGB")


def _resized(image: Image.Image, _: np.random.Generator, *, factor: float) -> Image.Image:
    """Left at the new size, as a thumbnail is."""
    return image.resize(_size(image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


def _blurred(image: Image.Image, _: np.random.Generator, *, sigma: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma))


def _noisy(image: Image.Image, draw: np.random.Generator, *, deviation: float) -> Image.Image:
    """Independent Gaussian noise per channel; `deviation` is a share of the full range."""
    pixels = np.asarray(image)
    noise = draw.standard_normal(pixels.shape, dtype=np.float32)
    noise *= 255 * deviation
    noise += pixels
    return Image.fromarray(np.rint(noise.clip(0, 255, out=noise), out=noise).astype(np.uint8))


def _cropped(image: Image.Image, draw: np.random.Generator, *, share: float) -> Image.Image:
    """A window of `share` of the width and of the height, anywhere in the image."""
    return _window(image, draw, _size(image.width * share, image.height * share))


def _letterboxed(image: Image.Image, _: np.random.Generator, *, share: float, colour: int) -> Image.Image:
    """Bars above and below, each `share` of the height; every image gets them, whatever its shape."""
    bar = max(1, round(share * image.height))
    frame = Image.new("RGB", (image.width, image.height + 2 * bar), (colour, colour, colour))
    frame.paste(image, (0, bar))
    return frame


def _rotated(image: Image.Image, draw: np.random.Generator, *, degrees: int) -> Image.Image:
    """Turned either way, then cut to the largest upright window of the same shape, so that no empty corner shows."""
    clockwise = bool(draw.integers(2))
    if degrees == 90:
        return image.transpose(Image.Transpose.ROTATE_270 if clockwise else Image.Transpose.ROTATE_90)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = image.size
    # A window k times the image fits when its turned bounding box, k (w cos + h sin) by k (w sin + h cos), does.
    scale = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
    turned = image.rotate(-degrees if clockwise else degrees, Image.Resampling.BICUBIC)
    return _centre(turned, _size(math.floor(width * scale), math.floor(height * scale)))


def _brightened(image: Image.Image, _: np.random.Generator, *, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def _contrasted(image: Image.Image, _: np.random.Generator, *, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def _gamma(image: Image.Image, _: np.random.Generator, *, exponent: float) -> Image.Image:
    curve = 255 * np.linspace(0, 1, 256) ** exponent
    return image.point(np.rint(curve).astype(int).tolist() * 3)


def _lit(image: Image.Image, _: np.random.Generator, *, kelvin: float) -> Image.Image:
    """As if a camera set to daylight (6500 K) saw the scene under a black body of `kelvin`.

    Planck's law gives the gain of each primary, applied in linear light; the luminance of a grey stays as it was.
    """
    gains = np.expm1(_PLANCK / (_WAVELENGTHS * _DAYLIGHT)) / np.expm1(_PLANCK / (_WAVELENGTHS * kelvin))
    gains /= gains @ _LUMINANCE
    coded = np.linspace(0, 1, 256)
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    lit = (gains[:, None] * linear).clip(0, 1)
    recoded = np.where(lit <= 0.0031308, lit * 12.92, 1.055 * lit ** (1 / 2.4) - 0.055)
    return image.point(np.rint(255 * recoded).astype(int).ravel().tolist())


def _screenshot(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Shown 1080 px long between the light grey bars of a browser, captured without loss, then posted as JPEG 85."""
    shown = image.resize(_long_edge(image, 1080), Image.Resampling.BILINEAR)
    return _encoded(_letterboxed(shown, draw, share=0.07, colour=242), draw, container="JPEG", quality=85)


def _delivered(image: Image.Image, _: np.random.Generator, *, tier: Tier) -> Image.Image:
    return deliver(image, tier)


def _blurred_and_sent(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    return _encoded(_blurred(image, draw, sigma=2), draw, container="JPEG", quality=50)


def _ai_genbench(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """The mandatory preprocessing of AI-GenBench's test images, written anew.

    Pellegrini et al. 2025, arXiv 2504.20865; order, chances and ranges as in `mandatory_val_preprocessing` of the code
    that its authors published: the middle 1080 x 1080 px of larger images; grey with chance 0.1; JPEG with 0.5;
    Gaussian noise of deviation 0.015 to 0.075 with 0.3; JPEG with 0.2; with 0.25 a window of 0.5 to 1 of the area,
    aspect 0.9 to 1/0.9, scaled to a square of 256 to 512 px by one of three filters; JPEG with 0.1. One difference:
    the quality of each JPEG is uniform on 50 to 100 here, while the published code draws from a list that holds only
    the two ends, 50 and 101.
    """

    def sent(image: Image.Image) -> Image.Image:
        return _encoded(image, draw, container="JPEG", quality=int(draw.integers(50, 101)))

    image = _centre(image, (min(image.width, 1080), min(image.height, 1080)))
    if draw.random() < 0.1:
        image = image.convert("L").convert("RGB")
    if draw.random() < 0.5:
        image = sent(image)
    if draw.random() < 0.3:
        image = _noisy(image, draw, deviation=draw.uniform(0.015, 0.075))
    if draw.random() < 0.2:
        image = sent(image)
    if draw.random() < 0.25:
        side = int(draw.integers(256, 513))
        filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
        image = _squarish(image, draw).resize((side, side), filters[draw.integers(3)])
    if draw.random() < 0.1:
        image = sent(image)
    return image


def _squarish(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """A window of 0.5 to 1 of the area, aspect 0.9 to 1/0.9; after ten that do not fit, the middle one that does."""
    for _ in range(10):
        area = image.width * image.height * draw.uniform(0.5, 1.0)
        aspect = math.exp(draw.uniform(math.log(0.9), -math.log(0.9)))
        size = _size(math.sqrt(area * aspect), math.sqrt(area / aspect))
        if size[0] <= image.width and size[1] <= image.height:
            return _window(image, draw, size)
    return _centre(image, _size(min(image.width, image.height / 0.9), min(image.height, image.width / 0.9)))


def _window(image: Image.Image, draw: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    left = int(draw.integers(image.width - size[0] + 1))
    top = int(draw.integers(image.height - size[1] + 1))
    return image.crop((left, top, left + size[0], top + size[1]))


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def _shrunk(image: Image.Image, edge: int) -> Image.Image:
    return image if max(image.size) <= edge else image.resize(_long_edge(image, edge), Image.Resampling.BICUBIC)


def _long_edge(image: Image.Image, edge: int) -> tuple[int, int]:
    return _size(*(side * edge / max(image.size) for side in image.size))


def _size(width: float, height: float) -> tuple[int, int]:
    return max(1, round(width)), max(1, round(height))


NONE: Final = Corruption("none", "untouched", 0, "", _untouched)

CORRUPTIONS: Final[tuple[Corruption, ...]] = (
    NONE,
    *(
        Corruption(f"jpeg-{q}", "JPEG", tier, f"q{q}", partial(_encoded, container="JPEG", quality=q))
        for tier, q in enumerate((95, 90, 75, 50, 30), 1)
    ),
    *(
        Corruption(f"webp-{q}", "WebP", tier, f"q{q}", partial(_encoded, container="WEBP", quality=q))
        for tier, q in enumerate((80, 50), 1)
    ),
    *(
        Corruption(f"resize-{factor}", "resize", tier, f"×{factor}", partial(_resized, factor=factor))
        for tier, factor in ((-3, 0.25), (-2, 0.5), (-1, 0.75), (1, 1.5))
    ),
    *(
        Corruption(f"blur-{sigma}", "Gaussian blur", sigma, f"σ {sigma} px", partial(_blurred, sigma=sigma))
        for sigma in (1, 2, 3, 4)
    ),
    *(
        Corruption(f"noise-{deviation}", "noise", tier, f"σ {deviation}", partial(_noisy, deviation=deviation))
        for tier, deviation in enumerate((0.01, 0.025, 0.05, 0.075), 1)
    ),
    *(
        Corruption(f"rotation-{degrees}", "rotation", tier, f"{degrees}°", partial(_rotated, degrees=degrees))
        for tier, degrees in enumerate((5, 15, 45, 90), 1)
    ),
    *(
        Corruption(f"brightness-{factor}", "brightness", tier, f"×{factor}", partial(_brightened, factor=factor))
        for tier, factor in ((-2, 0.5), (-1, 0.75), (1, 1.25), (2, 1.5))
    ),
    *(
        Corruption(f"contrast-{factor}", "contrast", tier, f"×{factor}", partial(_contrasted, factor=factor))
        for tier, factor in ((-2, 0.5), (-1, 0.75), (1, 1.5), (2, 2.0))
    ),
    *(
        Corruption(f"gamma-{exponent}", "gamma", tier, f"γ {exponent}", partial(_gamma, exponent=exponent))
        for tier, exponent in ((-2, 0.5), (-1, 0.75), (1, 1.5), (2, 2.0))
    ),
    *(
        Corruption(f"temperature-{kelvin}", "colour temperature", tier, f"{kelvin} K", partial(_lit, kelvin=kelvin))
        for tier, kelvin in ((-2, 4000), (-1, 5000), (1, 8000), (2, 10000))
    ),
    Corruption("crop-60", "framing", 1, "crop 60 %", partial(_cropped, share=0.6)),
    Corruption("letterbox", "framing", 2, "letterbox", partial(_letterboxed, share=1 / 6, colour=0)),
    Corruption("screenshot", "sharing", 1, "screenshot", _screenshot),
    Corruption("messenger-768-q60", "sharing", 2, "768 px q60", partial(_delivered, tier=TIERS["web"])),
    Corruption("messenger-512-q40", "sharing", 3, "512 px q40", partial(_delivered, tier=TIERS["messenger"])),
    Corruption("blur-2-q50", "sharing", 4, "σ 2 px q50", _blurred_and_sent),
    Corruption("ai-genbench", "sharing", 5, "AI-GenBench", _ai_genbench),
)

DELIVERIES: Final = tuple(
    Corruption(tier.name, "delivery", severity, tier.title, partial(_delivered, tier=tier))
    for severity, tier in enumerate(TIERS.values())
)
"""The tiers, in their order."""
