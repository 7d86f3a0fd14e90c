"""What is fuzzed: each target takes bytes, and raises only where a reader breaks its promise."""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin

from rexnet_ai_real.detector.description import read_description, write_description
from rexnet_ai_real.images.decode import HEAD_BYTES, UnreadableImage, decode, sniff
from rexnet_ai_real.provenance import read_provenance
from rexnet_ai_real.runs.identify import DETECTOR_FILE, NotADetector
from tests.attacks.test_detector_folders import DESCRIPTION
from tests.provenance_files import COMFY, TRAINED, WEB_UI, box, exif_of, packet, png, stores, with_segment
from tests.test_decode import bitmap, bmp, cursor, encoded, scene

Target = Callable[[bytes], None]


def decode_target(data: bytes) -> None:
    """An RGB image, or one reason in one short line."""
    sniff(data[:HEAD_BYTES])
    for enough in (None, 16):
        try:
            image = decode(data, enough=enough, max_pixels=1_000_000)
        except UnreadableImage as error:
            reason = str(error)
            assert reason.isprintable(), reason
            assert 0 < len(reason) < 200, reason
        else:
            assert image.mode == "RGB"
            assert 0 < image.width * image.height <= 1_000_000


def provenance_target(data: bytes) -> None:
    """Never raises; all that is shown is one printable line."""
    found = read_provenance(data)
    assert found.verdict.isprintable(), found.verdict
    assert len(found.evidence) <= 50
    for item in found.evidence:
        assert item.value.isprintable()
        assert len(item.value) <= 200


def detector_target(data: bytes) -> None:
    """A description that can be written and read again, or one clear error."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / DETECTOR_FILE).write_bytes(data)
        try:
            description = read_description(folder)
        except NotADetector:
            return
        write_description(folder, description)
        assert read_description(folder) == description


TARGETS: Final[dict[str, Target]] = {
    "decode": decode_target,
    "provenance": provenance_target,
    "detector.json": detector_target,
}


@lru_cache(maxsize=1)
def seeds() -> dict[str, list[bytes]]:
    """Sound inputs of every kind, small, for each target."""
    images = [*_images(), *_with_metadata()]
    return {"decode": images, "provenance": images, "detector.json": [_description()]}


def _images() -> list[bytes]:
    image, alpha = scene(20, 14), scene(20, 14).convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(alpha.size))
    options: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((image, kind, {}) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")),
        *((alpha, kind, {}) for kind in ("PNG", "WEBP", "TIFF", "GIF")),
        (alpha.resize((16, 16)), "ICO", {"sizes": [(16, 16)]}),
        (image, "JPEG", {"progressive": True}),
        (image, "JPEG", {"restart_marker_blocks": 1}),
        (image.convert("CMYK"), "JPEG", {}),
        (image.convert("I"), "TIFF", {}),
        (image.convert("F"), "TIFF", {"compression": "tiff_lzw"}),
        (image.convert("1"), "TIFF", {"compression": "group4"}),
        (image.convert("P"), "PNG", {"transparency": 3}),
        (image.convert("P"), "BMP", {}),
        (alpha.resize((16, 16)), "ICO", {"bitmap_format": "bmp", "sizes": [(16, 16)]}),
    ]
    made = [encoded(drawn, kind, **more) for drawn, kind, more in options]
    made += [bmp(image, 16, (0xF00, 0xF0, 0xF)), bmp(alpha, 32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000))]
    return [*made, cursor(bitmap(image), sides=(20,)), b"P3\n2 1\n255\n1 2 3 4 5 6\n"]


def _with_metadata() -> list[bytes]:
    exif = exif_of(Software="GIMP", UserComment=b"ASCII\0\0\0" + WEB_UI.encode())
    exif[ExifTags.Base.Orientation] = 6
    xmp = packet(f"<i:DigitalSourceType>{TRAINED}</i:DigitalSourceType>", "p:Credit='Midjourney'")
    records = b"\x1c\x02\x6e" + (10).to_bytes(2) + b"Midjourney"
    info = PngImagePlugin.PngInfo()
    for zipped in (False, True):
        info.add_text("parameters", WEB_UI, zip=zipped)
        info.add_itxt("AIGC", '{"Label": "1", "ContentProducer": "x"}', zip=zipped)
    return [
        *(encoded(scene(20, 14), kind, exif=exif, xmp=xmp) for kind in ("JPEG", "WEBP", "AVIF")),
        encoded(scene(20, 14), "TIFF", exif=exif, tiffinfo={700: xmp}),
        encoded(scene(20, 14), "PNG", exif=exif, pnginfo=info),
        png(True, True, prompt=COMFY, **{"XML:com.adobe.xmp": xmp.decode()}),
        with_segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(records).to_bytes(4) + records),
        encoded(scene(20, 14), "GIF", comment=WEB_UI.encode()),
        *stores().values(),
        box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + box(b"iinf", bytes(6))),
        b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"Exif", bytes(4) + exif.tobytes()[6:]) + box(b"xml ", xmp),
    ]


def _description() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        write_description(Path(name), DESCRIPTION)
        return (Path(name) / DETECTOR_FILE).read_bytes()
