"""Decoding, against what Pillow and numpy say of files made here, and damage of every kind."""

import base64
import io
import logging
import os
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from rexnet_ai_real.images import decode as module
from rexnet_ai_real.images.decode import HEAD_BYTES, UnreadableImage, decode, read, sniff

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")


def scene(width: int = 48, height: int = 32, seed: int = 0) -> Image.Image:
    """Smooth colours, so that lossy formats keep them."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image, dtype=np.int64)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_sniffed_and_decoded(kind: str, tmp_path: Path) -> None:
    data = encoded(scene(), kind)
    (tmp_path / "name.without.meaning.txt").write_bytes(data)
    assert sniff(data[:HEAD_BYTES]) == kind
    image = decode(tmp_path / "name.without.meaning.txt")
    assert image.mode == "RGB"
    assert np.abs(pixels(image) - pixels(scene())).mean() < 12
    assert pixels(decode(data)).tolist() == pixels(image).tolist()


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"hello world, this is a text of words",
        b"BM is how this text begins, no bitmap",
        b"%PDF-1.7 ...",
        b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2",
        b"P5 but too short"[:2],
        b"<svg xmlns=",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X",
    ],
)
def test_other_files_are_no_images(head: bytes) -> None:
    assert sniff(head) is None
    with pytest.raises(UnreadableImage, match=r"^(not an image|empty file)$"):
        decode(head)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_undone(orientation: int, kind: str) -> None:
    # How to store an upright image so that this orientation shows it upright (EXIF 2.32, 4.6.4 A).
    store: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    upright = np.asarray(scene())
    exif = Image.Exif()
    exif[0x0112] = orientation
    by_kind: dict[str, dict[str, Any]] = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}
    stored = Image.fromarray(np.ascontiguousarray(store[orientation](upright)))
    image = decode(encoded(stored, kind, exif=exif, **by_kind.get(kind, {})))
    assert image.size == (48, 32)
    assert np.abs(pixels(image) - upright).max() <= (12 if kind == "JPEG" else 0)


def test_damaged_exif_is_passed_over() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff garbage")
    assert decode(data).size == (48, 32)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    rgba = scene().convert("RGBA")
    alpha = np.zeros((32, 48), dtype=np.uint8)
    alpha[:, 24:] = 255
    alpha[:, :8] = 128
    rgba.putalpha(Image.fromarray(alpha))
    if mode == "P":
        image = scene().quantize(15)
        image.paste(image.info.get("transparency", 15), (0, 0, 24, 32))
        data = encoded(image, "GIF", transparency=15)
        expected = np.asarray(scene().quantize(15).convert("RGB")).copy()
        expected[:, :24] = 255
    else:
        image = rgba.convert(mode) if mode != "PA" else rgba.convert("RGBA")
        data = encoded(image, "PNG")
        weight = alpha[..., None] / 255
        expected = np.rint(weight * np.asarray(image.convert("RGB")) + (1 - weight) * 255)
    assert np.abs(pixels(decode(data)) - expected).max() <= 1


def test_transparent_colour_of_png() -> None:
    grey = Image.fromarray(np.array([[0, 100], [200, 255]], dtype=np.uint8))
    assert pixels(decode(encoded(grey, "PNG", transparency=100)))[..., 0].tolist() == [[0, 255], [200, 255]]
    colours = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    assert pixels(decode(encoded(colours, "PNG", transparency=(1, 2, 3)))).tolist() == [[[255] * 3, [4, 5, 6]]]


def test_palette_with_alpha_per_entry() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.putpixel((1, 0), 1)
    data = encoded(image, "PNG", transparency=bytes([0, 255]))
    assert pixels(decode(data)).tolist() == [[[255, 255, 255], [200, 0, 0]]]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF", "PPM"):
        assert pixels(decode(encoded(Image.fromarray(values), kind)))[..., 0].tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], dtype=np.float32), [0, 100, 255]),
        (np.array([[-1.0, 0.0, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0.0, np.nan, 1.0]], dtype=np.float32), [0, 0, 255]),
        (np.array([[0, 65535, 65535 // 255]], dtype=np.int32), [0, 255, 1]),
        (np.array([[0, 1_000_000, 2_000_000]], dtype=np.int32), [0, 128, 255]),
    ],
)
def test_wide_grey_values(values: NDArray[Any], expected: list[int]) -> None:
    assert pixels(decode(encoded(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == expected


def test_grey_and_bilevel() -> None:
    grey = scene().convert("L")
    assert pixels(decode(encoded(grey, "PNG"))).tolist() == pixels(grey.convert("RGB")).tolist()
    bilevel = grey.convert("1")
    assert pixels(decode(encoded(bilevel, "PNG"))).tolist() == pixels(bilevel.convert("RGB")).tolist()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    colours = Image.new("RGB", (48, 16), (250, 10, 10))
    colours.paste((255, 255, 255), (16, 0, 32, 16))
    colours.paste((10, 20, 30), (32, 0, 48, 16))
    data = encoded(colours.convert("CMYK"), kind)  # Pillow, like Adobe's programs, stores JPEG's CMYK inverted
    for x, expected in ((6, (250, 10, 10)), (24, (255, 255, 255)), (42, (10, 20, 30))):
        assert np.abs(pixels(decode(data))[8, x] - expected).max() <= 6


def test_colours_go_to_srgb() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    lab = ImageCms.createProfile("LAB")
    image = scene()
    as_lab = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert as_lab is not None
    assert np.abs(pixels(decode(encoded(as_lab, "TIFF"))) - pixels(image)).mean() < 3  # 8-bit Lab is coarse
    tagged = encoded(image, "PNG", icc_profile=srgb.tobytes())
    assert pixels(decode(tagged)).tolist() == pixels(image).tolist()


def swapped_profile() -> bytes:
    """The red and the green primary of sRGB exchanged: a profile whose effect nobody can overlook."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(data[128:132], "big")
    at = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(tags)}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = data[green + 4 : green + 12], data[red + 4 : red + 12]
    return bytes(data).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")).replace(b"sRGB", b"swap")


def test_embedded_profile_is_applied() -> None:
    image = Image.new("RGB", (8, 8), (200, 60, 20))
    for kind in ("PNG", "TIFF"):
        assert np.abs(pixels(decode(encoded(image, kind, icc_profile=swapped_profile()))) - [60, 200, 20]).max() <= 3
    half = image.convert("RGBA")
    half.putalpha(255)
    assert np.abs(pixels(decode(encoded(half, "PNG", icc_profile=swapped_profile()))) - [60, 200, 20]).max() <= 3


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 200, swapped_profile()[:300]])
def test_useless_profile_is_passed_over(profile: bytes) -> None:
    assert pixels(decode(encoded(scene(), "PNG", icc_profile=profile))).tolist() == pixels(scene()).tolist()


def test_profile_of_another_colour_space_is_passed_over() -> None:
    grey = scene().convert("L")
    data = encoded(grey, "PNG", icc_profile=swapped_profile())
    assert pixels(decode(data)).tolist() == pixels(grey.convert("RGB")).tolist()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixels(decode(data)).reshape(-1, 3).tolist() == [[255, 0, 0]] * 400


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_files_are_reported_as_such(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(UnreadableImage, match=f"^truncated {kind}$"):
        decode(data[: int(share * len(data))])


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "TIFF"])  # libtiff writes to stderr
def test_damage_never_gives_another_error(kind: str) -> None:
    rng = np.random.default_rng(1)
    data = encoded(scene(), kind)
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 300), 6):
            damaged[place] = rng.integers(256)
        try:
            reason = decode(bytes(damaged)).mode
        except UnreadableImage as error:
            reason = str(error)
        assert reason
        assert "\n" not in reason
        assert len(reason) < 200


def test_pixel_limit_holds_before_decoding() -> None:
    with pytest.raises(UnreadableImage, match=r"^11000 x 11000 pixels, more than the limit of 100,000,000$"):
        decode(png_claiming(11_000, 11_000))  # 121 megapixels: Pillow would only warn
    with pytest.raises(UnreadableImage, match=r"^3,600,000,000 pixels, more than Pillow opens$"):
        decode(png_claiming(60_000, 60_000))
    with pytest.raises(UnreadableImage, match="more than the limit of 1,535"):
        decode(encoded(scene(), "PNG"), max_pixels=48 * 32 - 1)
    assert decode(encoded(scene(), "PNG"), max_pixels=48 * 32).size == (48, 32)


def test_odd_shapes() -> None:
    for size in ((1, 1), (20_000, 2), (1, 3000)):
        assert decode(encoded(Image.new("RGB", size, "navy"), "PNG")).size == size


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_says_what_to_install(brand: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    module._reads_heif.cache_clear()
    try:
        with pytest.raises(UnreadableImage, match=r"^HEIC: install rexnet-ai-real\[heif\]$"):
            decode(b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1heic" + bytes(40))
    finally:
        module._reads_heif.cache_clear()


def test_jpeg_xl_says_what_to_do() -> None:
    with pytest.raises(UnreadableImage, match="JPEG XL is not read here: convert it"):
        decode(b"\xff\x0a" + bytes(40))


def test_heic_is_read_by_many_threads_whatever_its_name(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = heif.from_pillow(scene())
    file.info["exif"] = exif.tobytes()
    stored = io.BytesIO()
    file.save(stored, quality=95)
    (tmp_path / "photo.jpg").write_bytes(stored.getvalue())
    module._reads_heif.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(decode, [tmp_path / "photo.jpg"] * 8))
    upright = scene().transpose(Image.Transpose.ROTATE_270)
    for image in images:
        assert image.size == (32, 48)
        assert np.abs(pixels(image) - pixels(upright)).mean() < 12
    with pytest.raises(UnreadableImage, match=r"^truncated HEIC$"):
        decode(stored.getvalue()[:-20])


def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    (tmp_path / "empty.jpg").touch()
    for name, reason in {
        "pipe.jpg": "not a regular file",
        "folder.jpg": "a folder",
        "broken.jpg": "link to nowhere",
        "round.jpg": "too many levels of symbolic links",
        "absent.jpg": "no such file",
        "empty.jpg": "empty file",
    }.items():
        with pytest.raises(UnreadableImage, match=reason):
            decode(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_no_permission(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(scene(), "PNG"))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(UnreadableImage, match="cannot be opened: permission denied"):
        decode(tmp_path / "a.png")


def test_files_too_large_for_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    (tmp_path / "a.png").write_bytes(encoded(scene(), "PNG"))
    with pytest.raises(UnreadableImage, match="bytes, more than the limit of 100"):
        read(tmp_path / "a.png")


def test_warnings_of_others_stay_alive_in_threads() -> None:
    exif = encoded(scene(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x50\x00 garbage")  # Pillow warns of it
    before = warnings.filters[:]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                decode(exif)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warnings.filters == before
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.warn("mine", stacklevel=1)
    assert [str(warning.message) for warning in heard] == ["mine"]


def png_with(*chunks: bytes, image: Image.Image | None = None) -> bytes:
    """Chunks between the header and the pixels."""
    plain = encoded(image or scene(), "PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def text_chunks() -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(97, 123, 2 << 20, dtype=np.uint8).tobytes()
    return {
        "a wrong checksum": chunk(b"tEXt", b"Comment\0hello")[:-4] + b"\1\2\3\4",
        "a wrong checksum of colours": chunk(b"tRNS", bytes(6))[:-4] + b"\1\2\3\4",
        "a long text": chunk(b"tEXt", b"Comment\0" + noise),
        "a long packed text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(noise)),
        "a packed text that is none": chunk(b"zTXt", b"Comment\0\0no zlib"),
        "long XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x>" + noise + b"</x>"),
        "many long texts": b"".join([chunk(b"zTXt", b"Comment\0\0" + zlib.compress(noise[: 1 << 20]))] * 80),
    }


@pytest.mark.parametrize("name", list(text_chunks()))
def test_what_stands_beside_the_pixels_refuses_no_image(name: str) -> None:
    assert pixels(decode(png_with(text_chunks()[name]))).tolist() == pixels(scene()).tolist()


def test_a_profile_of_more_than_a_megabyte_is_applied() -> None:
    profile = bytearray(swapped_profile())
    profile += np.random.default_rng(0).integers(0, 256, 2 << 20, dtype=np.uint8).tobytes()
    profile[:4] = len(profile).to_bytes(4, "big")
    data = png_with(
        chunk(b"iCCP", b"large\0\0" + zlib.compress(bytes(profile))), image=Image.new("RGB", (8, 8), (200, 60, 20))
    )
    assert np.abs(pixels(decode(data)) - [60, 200, 20]).max() <= 3


def test_orientation_is_found_wherever_it_stands() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    hexadecimal = b"\nexif\n%8d\n" % len(block) + block.hex("\n", 36).encode() + b"\n"
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    jpeg = encoded(scene(), "JPEG", quality=98)
    segment = b"http://ns.adobe.com/xap/1.0/\0" + xmp
    files = {
        "eXIf": png_with(chunk(b"eXIf", block)),
        "raw profile": png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexadecimal))),
        "XMP": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        "JPEG XMP": jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:],
        "WebP XMP": encoded(scene(), "WEBP", lossless=True, xmp=xmp),
    }
    for name, data in files.items():
        turned = scene().transpose(Image.Transpose.ROTATE_180)
        assert np.abs(pixels(decode(data)) - pixels(turned)).max() <= 20, name


def test_junk_around_a_jpeg_is_passed_over() -> None:
    plain = encoded(scene(), "JPEG", comment=b"hello")
    with Image.open(io.BytesIO(plain)) as image:
        expected = pixels(image).tolist()
    for data in (
        plain[:20] + b"\0junk\xff\xff\xff" + plain[21:],  # behind the first segment
        plain + b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20,  # as phones append films
        plain + plain,
    ):
        assert pixels(decode(data)).tolist() == expected


def test_arithmetic_coding() -> None:
    data = base64.b64decode(  # a ramp of greys; Pillow reads this coding but writes none
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5a"
        "YVpQYEpRUk//yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8A/wB20w8d1QEXxZXIlNybUP/Z"
    )
    assert np.abs(pixels(decode(data))[8, :, 0] - np.linspace(0, 255, 16)).max() < 12


@pytest.mark.parametrize("share", [0.05, 0.34, 0.66])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "progressive"])
def test_a_jpeg_that_ends_before_its_pixels_do_is_incomplete(mode: str, share: float) -> None:
    progressive = mode == "progressive"
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 203, 3), dtype=np.uint8))
    data = encoded(noise.convert("RGB" if progressive else mode), "JPEG", progressive=progressive)
    start = data.index(b"\xff\xda") + 20
    cut = data[: start + int(share * (0.02 if progressive else 1) * (len(data) - start))].rstrip(b"\xff") + b"\xff\xd9"
    for enough in (None, 40):
        decode(data, enough=enough)
        with pytest.raises(UnreadableImage, match=r"^incomplete JPEG: it ends before its pixels do$"):
            decode(cut, enough=enough)


def test_an_image_that_ends_in_grey_is_complete() -> None:
    for mode, grey in (("L", 128), ("RGB", (128, 128, 128)), ("CMYK", (127, 127, 127, 127))):
        image = scene(211, 149).convert(mode)
        image.paste(grey, (0, 40, 211, 149))  # type: ignore[arg-type]
        for enough in (None, 20):
            for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}):
                decode(encoded(image, "JPEG", **options), enough=enough)


def bmp(
    image: Image.Image, bits: int, masks: tuple[int, ...], reserved: bytes = bytes(4), downwards: bool = False
) -> bytes:
    """With masks, in the header of the fifth version."""
    shifts = [(mask & -mask).bit_length() - 1 for mask in masks]
    values = np.asarray(image, dtype=np.uint64)
    packed = np.zeros(values.shape[:2], dtype=np.uint64)
    for channel, (mask, shift) in enumerate(zip(masks, shifts, strict=True)):
        packed |= (values[..., channel] * (mask >> shift) // 255) << shift
    rows = packed if downwards else packed[::-1]
    item = "<u2" if bits == 16 else "<u4"
    lines = [row.astype(item).tobytes() for row in rows]
    body = b"".join(line + bytes(-len(line) % 4) for line in lines)
    height = -image.height if downwards else image.height
    header = struct.pack("<IiiHHIIiiII", 124, image.width, height, 1, bits, 3, len(body), 0, 0, 0, 0)
    header += b"".join(mask.to_bytes(4, "little") for mask in (*masks, 0)[:4])
    header += bytes(124 - len(header))
    return b"BM" + struct.pack("<I", 14 + 124 + len(body)) + reserved + struct.pack("<I", 14 + 124) + header + body


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (32, (0x3FF00000, 0xFFC00, 0x3FF)),  # ten bits a colour
        (32, (0xFF, 0xFF00, 0xFF0000)),
        (16, (0xF00, 0xF0, 0xF)),
        (16, (0xF800, 0x7E0, 0x1F)),
        (16, (0x7C00, 0x3E0, 0x1F)),
        (32, (0xFF0000, 0xFF00, 0xFF)),
    ],
)
def test_bmp_with_masks(bits: int, masks: tuple[int, ...], downwards: bool) -> None:
    image = scene(47, 32)
    data = bmp(image, bits, masks, reserved=b"made", downwards=downwards)
    assert sniff(data[:HEAD_BYTES]) == "BMP"
    step = 1 + max(255 // (mask // (mask & -mask)) for mask in masks)  # both ways are rounded down
    assert np.abs(pixels(decode(data)) - pixels(image)).max() <= step
    try:
        with Image.open(io.BytesIO(data)) as theirs:
            expected = pixels(theirs).tolist()
    except OSError:  # Pillow reads four of them
        return
    assert pixels(decode(data)).tolist() == expected


def test_bmp_with_masks_and_alpha() -> None:
    image = scene().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = bmp(image, 32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000))
    assert pixels(decode(data)).tolist() == pixels(decode(encoded(image, "PNG"))).tolist()
    with pytest.raises(UnreadableImage, match=r"^truncated BMP$"):
        decode(data[:-5])
    with pytest.raises(UnreadableImage, match="more than the limit of 1,535"):
        decode(data, max_pixels=48 * 32 - 1)


def cursor(*images: bytes, sides: tuple[int, ...]) -> bytes:
    """With the tip of the arrow at (3, 5)."""
    table, at = b"", 6 + 16 * len(images)
    for image, side in zip(images, sides, strict=True):
        table += struct.pack("<BBBBHHII", side, side, 0, 0, 3, 5, len(image), at)
        at += len(image)
    return struct.pack("<HHH", 0, 2, len(images)) + table + b"".join(images)


def bitmap(image: Image.Image) -> bytes:
    """As icons hold it: twice the height, the pixels, and a mask of one bit a pixel."""
    stored = encoded(image, "BMP")[14:]
    mask = bytes((image.width + 31) // 32 * 4 * image.height)
    return stored[:8] + struct.pack("<I", 2 * image.height) + stored[12:] + mask


def test_the_largest_image_of_a_cursor_is_read() -> None:
    small, large = scene(16, 16, 1), scene(32, 32, 2)
    for data in (
        cursor(bitmap(small), bitmap(large), sides=(16, 32)),
        cursor(encoded(large, "PNG"), bitmap(small), sides=(32, 16)),
    ):
        assert sniff(data[:HEAD_BYTES]) == "CUR"
        assert pixels(decode(data)).tolist() == pixels(large).tolist()


@pytest.mark.parametrize("form", ["png", "bmp"])
def test_icons_are_read_as_pillow_does(form: str) -> None:
    image = scene(64, 64).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = encoded(image, "ICO", sizes=[(16, 16), (64, 64), (32, 32)], bitmap_format=form)
    with Image.open(io.BytesIO(data)) as theirs:
        stored = io.BytesIO()
        theirs.convert("RGBA").save(stored, "PNG")
    assert pixels(decode(data)).tolist() == pixels(decode(stored.getvalue())).tolist()


@pytest.mark.parametrize("brand", [b"mif1", b"miaf", b"MA1A"])
def test_avif_under_a_general_brand(brand: bytes) -> None:
    data = encoded(scene(), "AVIF")
    size = int.from_bytes(data[:4], "big")
    assert sniff((data[:8] + brand + data[12:])[:HEAD_BYTES]) == "AVIF"
    assert pixels(decode(data[:8] + brand + data[12:size] + data[size:])).tolist() == pixels(decode(data)).tolist()
    brands = b"ftyp" + brand + bytes(4) + b"miafMA1Bheix" + b"abcd" * 8 + b"avif"  # the one that counts comes last
    assert sniff(struct.pack(">I", len(brands) + 4) + brands) == "AVIF"


def test_decoders_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    data = encoded(scene(), "TIFF", compression="tiff_lzw")
    for _ in range(60):
        damaged = bytearray(data)
        for place in rng.integers(4, len(data), 6):
            damaged[place] = rng.integers(256)
        with suppress(UnreadableImage):
            decode(bytes(damaged))
    assert logging.getLogger("PIL").level == logging.NOTSET
    assert capfd.readouterr() == ("", "")


def test_real_files(shared_data: Path) -> None:
    paths = [path for path in sorted((shared_data / "kaggle-raw").rglob("*")) if path.is_file()]
    smallest = sorted(paths, key=lambda path: path.stat().st_size)[:40]
    for path in smallest:
        ours = decode(path)
        with Image.open(path) as image:
            assert ours.size == image.size
            if "icc_profile" not in image.info and image.mode == "RGB":
                assert ours.tobytes() == image.tobytes()
