"""Any image file to RGB, in one way: training, evaluation and prediction see the same pixels of a file."""

import io
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.limits import MAX_BYTES, MAX_PIXELS

HEAD_BYTES: Final = 32
"""Bytes at the beginning of a file that `sniff` looks at."""

UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (EXIF 2.32, tag 0x0112) to the transposition that undoes it."""

# The first bytes of a file, and Pillow's name of its format. Formats that need an outside program to open (EPS, WMF) or
# that hold drawings or layers rather than an image (SVG, PDF, PSD) are left out on purpose.
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\xff\x0a", "JXL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL"),
)
_BRANDS: Final = {b"avif": "AVIF", b"avis": "AVIF", b"mif1": "HEIC", b"msf1": "HEIC"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), "HEIC"
)
_NOT_DECODED: Final = {"HEIC": "HEIC", "JXL": "JPEG XL"}


class UnreadableImage(UserError, ValueError):
    """A file that holds no readable image. `str()` is the reason, in one short line without the file's name."""


def decode(source: Path | bytes, *, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> Image.Image:
    """Decode a file, or a file's bytes, to an upright 8-bit RGB image.

    Rotated by its EXIF orientation; alpha composited over white; 16-bit grey scaled to 8 bits; colours converted to
    sRGB by the embedded ICC profile (CMYK included); the first frame of an animation. The file's name is ignored.
    Thread-safe.

    Args:
        source: path, or the whole file's bytes.
        max_pixels: most pixels that an image may have, checked in the header before any pixel is decoded. Pillow's own
            limit of 178,956,970 applies as well.
        enough: pixels a side that suffice: a JPEG is decoded at a half, a quarter or an eighth of its size if both
            sides still have as many, averaged by the decoder itself, in a fraction of the time. None: full size.

    Raises:
        UnreadableImage: not an image, a format that cannot be read here, truncated, damaged, too large, or no file.
    """
    data = source if isinstance(source, bytes) else read(source)
    format_name = sniff(data[:HEAD_BYTES])
    if format_name is None:
        raise UnreadableImage("empty file" if not data else "not an image")
    if format_name in _NOT_DECODED:
        raise UnreadableImage(f"{_NOT_DECODED[format_name]} is not read here: convert it to PNG or JPEG")
    with _pillow_warnings_ignored():
        try:
            with Image.open(io.BytesIO(data), formats=[format_name]) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise UnreadableImage(f"{width} x {height} pixels, more than the limit of {max_pixels:,}")
                if enough is not None and format_name == "JPEG":
                    image.draft(None, (enough, enough))
                image.load()
                return _to_rgb(_upright(image))
        except UnreadableImage:
            raise
        except Exception as error:  # 4,400 randomly damaged files raised six types
            raise UnreadableImage(_reason(error, format_name, data)) from error


def read(path: Path) -> bytes:
    """The bytes of an image file; only the first are read if they belong to no image.

    Raises:
        UnreadableImage: no such file, a folder or device, no permission, empty, not an image, larger than MAX_BYTES.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would block for ever
            raise UnreadableImage("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if sniff(head) is None:
                raise UnreadableImage("not an image" if head else "empty file")
            if status.st_size > MAX_BYTES:
                raise UnreadableImage(f"{status.st_size:,} bytes, more than the limit of {MAX_BYTES:,}")
            return head + file.read()
    except FileNotFoundError:
        raise UnreadableImage("link to nowhere" if path.is_symlink() else "no such file") from None
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {(error.strerror or type(error).__name__).lower()}") from error


def sniff(head: bytes) -> str | None:
    """Pillow's name of an image's format ("JPEG", "PNG", ...), from the first HEAD_BYTES bytes; None for other files.

    Also names HEIC ("HEIC") and JPEG XL ("JXL"), which `decode` refuses with the reason.
    """
    for signature, format_name in _SIGNATURES:
        if head.startswith(signature):
            return format_name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = [head[at : at + 4] for at in (8, *range(16, len(head) - 3, 4))]
        found = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return "AVIF" if "AVIF" in found else found[0] if found else None
    # Many texts begin with "BM": the reserved fields and the size of the header (12 to 124 bytes) must fit as well.
    if head[:2] == b"BM" and head[6:10] == bytes(4) and 12 <= int.from_bytes(head[14:18], "little") <= 124:
        return "BMP"
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    return None


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # viewers show images with a damaged EXIF block as they are stored
        return image
    step = UPRIGHT.get(orientation)
    return image if step is None else image.transpose(step)


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit sRGB, from any of Pillow's modes."""
    profile = image.info.get("icc_profile")
    if image.mode == "I" or image.mode == "F" or image.mode.startswith("I;16"):
        return _eight_bit(image).convert("RGB")
    if image.mode == "LAB":
        return _through_profile(image, b"")
    if image.has_transparency_data:
        image = _over_white(image)
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        image = _through_profile(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGBA")).convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits to 8 bits (mode L).

    16-bit integers span 0 to 65535; 32-bit ones too if they fit. Floats span 0 to 1 or 0 to 255 if they fit. Wider
    values have no agreed range and are scaled from their lowest to their highest value.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    spans = (1.0, 255.0) if image.mode == "F" else (65535.0,)
    fitting = next((span for span in spans if high <= span), None)
    if low >= 0 and fitting is not None:
        low, high = 0.0, fitting
    return Image.fromarray(np.rint((values - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8))


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    transform = _to_srgb(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=64)  # most collections use a handful of profiles; building a transform takes 2 to 9 ms
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile (b"" for CIE Lab) to sRGB; None if there is nothing to convert or the profile is unusable.

    A damaged profile, or one for another colour space than that of the pixels, is ignored, as viewers do.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return None
        return ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), mode, "RGB")
    except (OSError, ValueError):
        return None


def _reason(error: Exception, format_name: str, data: bytes) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, Image.DecompressionBombError):
        pixels = re.search(r"\d+", text)
        return f"{int(pixels[0]):,} pixels, more than Pillow opens" if pixels else "more pixels than Pillow opens"
    if isinstance(error, MemoryError):
        return f"{format_name} too large for the memory"
    if "truncated" in text.lower() or _ends_early(format_name, data):
        return f"truncated {format_name}"
    if isinstance(error, UnidentifiedImageError) or not text:
        text = "its header cannot be read"
    return f"damaged {format_name}: {text[:120]}"


def _ends_early(format_name: str, data: bytes) -> bool:
    """Whether the file is shorter than its structure declares."""
    if format_name == "WEBP":
        return len(data) < 12 or len(data) < 8 + int.from_bytes(data[4:8], "little")
    if format_name == "AVIF":
        at = 0
        while at + 8 <= len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            if size < 8:  # 0: to the end of the file; 1: a 64-bit size, which no image below 4 GiB needs
                return False
            at += size
        return at != len(data)
    if format_name == "PNG":
        return not data.rstrip(b"\0").endswith(b"IEND\xaeB`\x82")
    if format_name == "GIF":
        return not data.endswith(b";")
    if format_name in ("JPEG", "JPEG2000"):
        return not data.endswith(b"\xff\xd9")
    if format_name == "TIFF":  # most writers put the directory after the pixels
        order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        return len(data) < 8 or int.from_bytes(data[4:8], order) >= len(data)
    return False


_quiet_lock = threading.Lock()
_quiet_count = 0
_quiet = ExitStack()


@contextmanager
def _pillow_warnings_ignored() -> Iterator[None]:
    """Ignore Pillow's warnings of damaged metadata and large images, which are handled here; keep all others.

    `catch_warnings` changes state that all threads share, so the first thread to enter sets it and the last one to
    leave restores it.
    """
    global _quiet_count
    with _quiet_lock:
        if _quiet_count == 0:
            _quiet.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_count += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_count -= 1
            if _quiet_count == 0:
                _quiet.close()
