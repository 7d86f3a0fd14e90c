"""File facts that need no pixels: size, format, compression, metadata. Careless data sets differ in them by class."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin, UnidentifiedImageError

from rexnet_ai_real.progress import track

# Table K.1 of ITU-T T.81 (1992): the luminance steps that libjpeg scales by its quality setting, in reading order.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
).ravel()
_QUALITIES = np.arange(1, 101)
# libjpeg's rule (jcparam.c, jpeg_quality_scaling): 5000 / q below 50, 200 - 2 q from there on, in per cent.
_SCALES = np.where(_QUALITIES < 50, 5000 // _QUALITIES, 200 - 2 * _QUALITIES)
_STANDARD_TABLES = np.clip((_LUMINANCE * _SCALES[:, None] + 50) // 100, 1, 255)

_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
_BITS_BY_MODE = {"1": 1, "I;16": 16, "I;16B": 16, "I": 32, "F": 32}
_TEXT_KEYS = ("software", "comment", "description", "parameters", "prompt", "workflow", "title", "author")
_SWAPPING_ORIENTATIONS = (5, 6, 7, 8)  # EXIF: stored on its side, shown with width and height exchanged


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """What a file says of itself. Facts that its format lacks, or that could not be read, are None.

    `width` and `height` are as shown (EXIF orientation applied), in pixels. `luma_step` and `chroma_step` are the mean
    entries of the JPEG quantisation tables; `tables` is their fingerprint; `jpeg_quality` (1 to 100) is the libjpeg
    setting whose luminance table is nearest, and `standard_tables` whether it is exactly that table: Photoshop and
    many phones use tables of their own. `software` tells whether any text names a program or carries a comment.
    """

    extension: str
    bytes: int
    container: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    bit_depth: int | None = None
    jpeg_quality: int | None = None
    standard_tables: bool | None = None
    tables: str | None = None
    luma_step: float | None = None
    chroma_step: float | None = None
    subsampling: str | None = None
    progressive: bool | None = None
    exif: bool | None = None
    icc: bool | None = None
    software: bool | None = None
    lying_extension: bool | None = None
    problem: str | None = None

    @property
    def aspect(self) -> float | None:
        """Width over height."""
        return self.width / self.height if self.width and self.height else None

    @property
    def megapixels(self) -> float | None:
        """Pixels, in millions."""
        return self.width * self.height / 1e6 if self.width and self.height else None

    @property
    def bytes_per_pixel(self) -> float | None:
        """Size of the file over the number of pixels."""
        return self.bytes / (self.width * self.height) if self.width and self.height else None


def container_facts(path: Path) -> ContainerFacts:
    """Read the facts of one file from its headers, without decoding pixels. Never raises: see `problem`."""
    extension = path.suffix.lower()
    try:
        if not path.is_file():  # also keeps us from waiting for ever on a named pipe
            return ContainerFacts(extension, 0, problem="not a file")
        size = path.stat().st_size
    except OSError as error:
        return ContainerFacts(extension, 0, problem=error.strerror or type(error).__name__)
    try:
        # Pillow warns of large images and damaged EXIF; neither matters to somebody who reads headers only.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return _facts_of(image, path, extension, size)
    except Exception as error:
        return ContainerFacts(extension, size, problem=_reason(error))


def read_containers(paths: Sequence[Path], *, progress: bool = True) -> list[ContainerFacts]:
    """The facts of each file, in order. About 0.3 ms a file."""
    bar = track(paths, "Reading file facts", len(paths), shown=progress)
    return [container_facts(path) for path in bar]


def _facts_of(image: Image.Image, path: Path, extension: str, size: int) -> ContainerFacts:
    # A Multi-Picture Object is a JPEG followed by more JPEGs (cameras write them under .jpg).
    container = "JPEG" if image.format == "MPO" else image.format
    # Pillow would decode a whole PNG in search of EXIF that stands behind the pixels.
    exif = image.getexif() if "exif" in image.info or image.format == "TIFF" else Image.Exif()
    width, height = image.size
    if exif.get(ExifTags.Base.Orientation) in _SWAPPING_ORIENTATIONS:
        width, height = height, width
    registered = Image.registered_extensions().get(extension)
    return ContainerFacts(
        extension=extension,
        bytes=size,
        container=container,
        width=width,
        height=height,
        mode=image.mode,
        bit_depth=_bit_depth(image, path),
        progressive=bool(image.info.get("progressive") or image.info.get("interlace")),
        exif="exif" in image.info,
        icc=bool(image.info.get("icc_profile")),
        software=_names_software(image.info, exif),
        lying_extension=bool(extension) and ("JPEG" if registered == "MPO" else registered) != container,
        **(_jpeg_facts(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else {}),
    )


def _jpeg_facts(image: JpegImagePlugin.JpegImageFile) -> dict[str, Any]:
    tables = [np.asarray(table) for _, table in sorted(image.quantization.items())]
    if not tables:
        return {}
    distance = np.abs(_STANDARD_TABLES - tables[0]).sum(axis=1)
    grey = image.layers == 1
    return {
        "jpeg_quality": int(_QUALITIES[distance.argmin()]),
        "standard_tables": bool(distance.min() == 0),
        "tables": hashlib.sha256(np.concatenate(tables).astype("<u2").tobytes()).hexdigest()[:8],
        "luma_step": float(tables[0].mean()),
        "chroma_step": None if grey or len(tables) < 2 else float(tables[1].mean()),
        "subsampling": "grey" if grey else _SUBSAMPLING.get(JpegImagePlugin.get_sampling(image), "other"),
    }


def _bit_depth(image: Image.Image, path: Path) -> int:
    """Bits per channel in the file; Pillow's mode hides that a PNG holds 2 or 16."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]  # IHDR follows the signature: width, height, bit depth
    return _BITS_BY_MODE.get(image.mode, 8)


def _names_software(info: Mapping[Any, Any], exif: Image.Exif) -> bool:
    texts = [exif.get(ExifTags.Base.Software)]
    texts += [value for key, value in info.items() if str(key).lower() in _TEXT_KEYS]
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    return any(texts) or "CreatorTool" in (xmp if isinstance(xmp, str) else bytes(xmp).decode("latin-1"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
