"""Decoding, against what Pillow and numpy say of files made here, and damage of every kind."""

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
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
def test_unsupported_images_say_what_to_do(brand: bytes) -> None:
    with pytest.raises(UnreadableImage, match="HEIC is not read here: convert it"):
        decode(b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1heic" + bytes(40))


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


def test_real_files(shared_data: Path) -> None:
    paths = [path for path in sorted((shared_data / "kaggle-raw").rglob("*")) if path.is_file()]
    smallest = sorted(paths, key=lambda path: path.stat().st_size)[:40]
    for path in smallest:
        ours = decode(path)
        with Image.open(path) as image:
            assert ours.size == image.size
            if "icc_profile" not in image.info and image.mode == "RGB":
                assert ours.tobytes() == image.tobytes()
