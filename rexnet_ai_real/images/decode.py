"""Any image file to RGB, in one way: training, evaluation and prediction see the same pixels of a file."""

import io
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, TypeVar

import PIL._imaging
from PIL import Image, UnidentifiedImageError

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.bitfields import bitfields_image
from rexnet_ai_real.images.colours import to_srgb
from rexnet_ai_real.images.limits import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, MAX_SIDE
from rexnet_ai_real.images.memory import FILES, PIXELS
from rexnet_ai_real.images.quiet import decoders_are_quiet
from rexnet_ai_real.images.stripped import Hostile, Stripped, strip
from rexnet_ai_real.images.tiff_directory import orientation
from rexnet_ai_real.regular_file import NotRegular, open_regular

T = TypeVar("T")

# The system gets blocks above 32 MiB back when they are freed. Of Pillow's own, of 16 MiB, each thread kept what its
# largest image had taken: 3.2 GB after ten images of 100 megapixels on 8 threads, instead of 0.9 GB.
PIL._imaging.set_block_size(64 << 20)

HEAD_BYTES: Final = 256
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
SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
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
BRANDS: Final = {b"avif": "AVIF", b"avis": "AVIF", b"mif1": "HEIC", b"msf1": "HEIC"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), "HEIC"
)
"""What the brands of a file type box (ISO 14496-12, section 4.3) say of the format."""
_FILLED: Final = ((128, 128), ((128, 128),) * 3, ((127, 127),) * 4)
"""Lowest and highest values of a pixel that the JPEG decoder filled in: grey, RGB, CMYK."""
_BYTES_PER_PIXEL: Final = 16
"""While an image is decoded and converted: at most four images of four bytes a pixel exist at once."""


class UnreadableImage(UserError, ValueError):
    """A file that holds no readable image. `str()` is the reason, in one short line without the file's name."""


def decode(source: Path | bytes, *, max_pixels: int = MAX_PIXELS, enough: int | None = None) -> Image.Image:
    """Decode a file, or a file's bytes, to an upright 8-bit RGB image.

    Rotated by its EXIF orientation; alpha composited over white; 16-bit grey scaled to 8 bits; colours converted to
    sRGB by the embedded ICC profile (CMYK included); the first frame of an animation; the largest image of an icon.
    The file's name is ignored. Thread-safe: threads whose images together would need more than limits.MEMORY wait for
    each other.

    Args:
        source: path, or the whole file's bytes.
        max_pixels: most pixels that an image may have, checked in the header before any pixel is decoded. Pillow's own
            limit of 178,956,970 applies as well.
        enough: pixels a side that suffice: a JPEG is decoded at a half, a quarter or an eighth of its size if both
            sides still have as many, averaged by the decoder itself, in a fraction of the time. None: full size.

    Raises:
        UnreadableImage: not an image, a format that cannot be read here, truncated, incomplete, damaged, too large, or
            no file.
    """
    return decode_then(lambda image: image, source, max_pixels=max_pixels, enough=enough)


def decode_then(
    use: Callable[[Image.Image], T], source: Path | bytes, *, max_pixels: int = MAX_PIXELS, enough: int | None = None
) -> T:
    """What `use` makes of the decoded image, whose memory counts as taken until `use` returns. Otherwise as `decode`.

    For threads that keep less than the whole image, such as a thumbnail: however large the images and however many
    the threads, limits.MEMORY holds.
    """
    if isinstance(source, bytes):
        return _decoded(use, source, max_pixels, enough)
    with file_bytes(source) as data:
        return _decoded(use, data, max_pixels, enough)


def _decoded(use: Callable[[Image.Image], T], data: bytes, max_pixels: int, enough: int | None) -> T:
    format_name = sniff(data[:HEAD_BYTES])
    if format_name is None:
        raise UnreadableImage("empty file" if not data else "not an image")
    if format_name == "JXL":
        raise UnreadableImage("JPEG XL is not read here: convert it to PNG or JPEG")
    if format_name == "HEIC" and not _reads_heif():
        raise UnreadableImage("HEIC: install rexnet-ai-real[heif]")
    with ExitStack() as held:
        try:
            with decoders_are_quiet():
                image = _rgb(strip(data, format_name), max_pixels, enough, held)
        except Hostile as error:
            raise UnreadableImage(str(error)) from error
        except UnreadableImage:
            raise
        except Exception as error:  # 4,400 randomly damaged files raised six types
            raise UnreadableImage(_reason(error, format_name, data)) from error
        made = use(image)
        del image  # before others get its memory
        return made


def _rgb(file: Stripped, max_pixels: int, enough: int | None, held: ExitStack) -> Image.Image:
    """The upright RGB image; `held` receives the memory that it takes."""

    def admit(width: int, height: int) -> None:
        held.enter_context(PIXELS.holding(_BYTES_PER_PIXEL * width * height))

    if file.size is not None:
        _check_size(*file.size, max_pixels)
        admit(*file.size)
    with _opened(file) as image:
        if file.size is None:
            _check_size(*image.size, max_pixels)
            if enough is not None and file.format == "JPEG":
                image.draft(None, (enough, enough))
            admit(*image.size)
        image.load()
        if file.format == "JPEG" and _is_incomplete(image, file, enough):
            raise UnreadableImage("incomplete JPEG: it ends before its pixels do")
        return to_srgb(_upright(image, file), file.profile or image.info.get("icc_profile"))


def _opened(file: Stripped) -> Image.Image:
    if file.bitfields is not None:
        return bitfields_image(file.data, file.bitfields)
    return Image.open(io.BytesIO(file.data), formats=["HEIF" if file.format == "HEIC" else file.format])


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadableImage(f"{width} x {height} pixels, more than the limit of {max_pixels:,}")
    if max(width, height) > MAX_SIDE:
        raise UnreadableImage(f"{width} x {height} pixels, a side above the limit of {MAX_SIDE:,}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UnreadableImage(f"{width} x {height} pixels, one side more than {MAX_ASPECT:,} times the other")


def _upright(image: Image.Image, file: Stripped) -> Image.Image:
    if file.format == "TIFF":  # Pillow has turned it already
        return image
    step = UPRIGHT.get(orientation(file.exif or image.info.get("exif", b""), file.xmp or image.info.get("xmp", b"")))
    return image if step is None else image.transpose(step)


def _is_incomplete(image: Image.Image, file: Stripped, enough: int | None) -> bool:
    """Whether a JPEG says that it ends although pixels are missing, for which the decoder puts in an even grey.

    An image may end in such a grey: more bytes before its end change its pixels only where some were missing.
    """
    if image.crop((image.width - 1, image.height - 1, image.width, image.height)).getextrema() not in _FILLED:
        return False
    with Image.open(io.BytesIO(file.with_garbage_at_its_end()), formats=["JPEG"]) as other:
        if enough is not None:
            other.draft(None, (enough, enough))
        other.load()
        return other.tobytes() != image.tobytes()


@contextmanager
def file_bytes(path: Path) -> Iterator[bytes]:
    """As `read`, for threads: the bytes count as taken within the block, and limits.MEMORY holds for all threads.

    Raises:
        UnreadableImage: as `read`.
    """
    with FILES.holding(2 * _file_size(path)):  # as read, and stripped
        yield read(path)


def read(path: Path) -> bytes:
    """The bytes of an image file; only the first are read if they belong to no image.

    Raises:
        UnreadableImage: no such file, a folder or device, no permission, empty, not an image, larger than MAX_BYTES.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEAD_BYTES)
            if sniff(head) is None:
                raise UnreadableImage("not an image" if head else "empty file")
            if size > MAX_BYTES:
                raise UnreadableImage(f"{size:,} bytes, more than the limit of {MAX_BYTES:,}")
            return head + file.read(MAX_BYTES)
    except NotRegular as error:
        raise UnreadableImage(str(error)) from None
    except FileNotFoundError:
        raise UnreadableImage("link to nowhere" if path.is_symlink() else "no such file") from None
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {(error.strerror or type(error).__name__).lower()}") from error


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # `read` says what is wrong
        return 0


def sniff(head: bytes) -> str | None:
    """Pillow's name of an image's format ("JPEG", "PNG", ...), from the first HEAD_BYTES bytes; None for other files.

    Also names HEIC ("HEIC"), which `decode` reads where the extra "heif" is installed, and JPEG XL ("JXL"), which it
    refuses with the reason.
    """
    for signature, format_name in SIGNATURES:
        if head.startswith(signature):
            return format_name
    if head[:4] == b"\0\0\2\0" and head[4:6] > b"\0\0" and head[9:10] == b"\0":  # in a TGA, all these are zero
        return "CUR"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4]), len(head))
        brands = [head[at : at + 4] for at in (8, *range(16, end - 3, 4))]
        found = [BRANDS[brand] for brand in brands if brand in BRANDS]
        return "AVIF" if "AVIF" in found else found[0] if found else None
    if head[:2] == b"BM" and len(head) >= 30 and _is_bmp(head):
        return "BMP"
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    return None


def _is_bmp(head: bytes) -> bool:
    """Many texts begin with "BM": the reserved fields, or those of planes and depth, must fit as well."""
    header = int.from_bytes(head[14:18], "little")
    if head[6:10] == bytes(4) and 12 <= header <= 124:
        return True
    planes, depth = struct.unpack_from("<HH", head, 22 if header == 12 else 26)
    return header in (12, 40, 52, 56, 64, 108, 124) and planes == 1 and depth in (1, 2, 4, 8, 16, 24, 32)


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
    if format_name in ("AVIF", "HEIC"):
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


@lru_cache(maxsize=1)
def _reads_heif() -> bool:
    """Whether HEIC can be read; makes it known to Pillow. Two threads at once do the same twice, which does no harm."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
