"""Facts of one file, measured in a single read: hash of its content, format, size, and whether it can be decoded."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from rexnet_ai_real.data.duplicates import dhash, thumbnail
from rexnet_ai_real.images.decode import HEAD_BYTES, UnreadableImage, decode_then, file_bytes, sniff
from rexnet_ai_real.images.limits import MAX_PIXELS


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Facts of one file. If `problem` is not empty, it says why there is no image."""

    sha256: str = ""
    """Of the bytes, in hexadecimal; empty for files that are not images."""
    dhash: str = ""
    """64-bit difference hash, 16 hexadecimal digits."""
    thumbnail: str = ""
    """Colours of 8 x 8 cells, which confirm that images with similar hashes are alike: base64 of (8, 8, 3) bytes."""
    width: int = 0
    """Pixels, upright."""
    height: int = 0
    format: str = ""
    """By content: JPEG, PNG, WEBP, ..."""
    bytes: int = 0
    problem: str = ""


def measure(path: Path, *, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Read and decode a file once, completely. Never raises: a file that cannot be read has a `problem`."""
    try:
        with file_bytes(path) as data:
            return _measured(data, max_pixels)
    except UnreadableImage as error:
        return ImageFacts(bytes=_size(path), problem=str(error))


def _measured(data: bytes, max_pixels: int) -> ImageFacts:
    sha256, format_name = hashlib.sha256(data).hexdigest(), sniff(data[:HEAD_BYTES]) or ""

    def of(image: Image.Image) -> ImageFacts:
        hashes = (sha256, f"{dhash(image):016x}", thumbnail(image))
        return ImageFacts(*hashes, image.width, image.height, format_name, len(data))

    try:
        return decode_then(of, data, max_pixels=max_pixels)
    except UnreadableImage as error:
        return ImageFacts(sha256, format=format_name, bytes=len(data), problem=str(error))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
