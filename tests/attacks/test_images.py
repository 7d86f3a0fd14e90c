"""Images: any bytes under any name; time and memory are limited before pixels are decoded."""

import hashlib
import os
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import PIL._imaging
import pytest
from PIL import Image

from rexnet_ai_real.data import facts
from rexnet_ai_real.data.facts import measure
from rexnet_ai_real.data.prepared import Original, PreparedImages
from rexnet_ai_real.explain.explainer import Explainer
from rexnet_ai_real.images import decode as module
from rexnet_ai_real.images import stripped
from rexnet_ai_real.images.decode import UnreadableImage, decode, decode_then, read
from rexnet_ai_real.images.limits import MAX_PARTS, MAX_PIXELS, MAX_SCANS, MAX_SLOW_BYTES
from rexnet_ai_real.images.memory import MemoryBudget
from rexnet_ai_real.images.preprocessing import Preprocessing, read_pixels
from rexnet_ai_real.provenance import read_provenance
from tests.test_decode import chunk, encoded, pixels, scene

SMALL = Preprocessing(32, "squash", "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def flat_png(width: int, height: int) -> bytes:
    """Of one grey: a megapixel is a kilobyte."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(width + 1) * height, 9))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def directory(entries: int, claimed: int, place: int = 8) -> bytes:
    """A TIFF structure of which every entry claims the same bytes."""
    fields = b"".join(struct.pack("<HHII", 1000 + number, 7, claimed, place) for number in range(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + fields + bytes(4 + claimed)


def jpeg_with(segments: bytes) -> bytes:
    plain = encoded(scene(), "JPEG")
    return plain[:2] + segments + plain[2:]


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((1, 1_000_000), "1 x 1000000 pixels, a side above the limit of 65,535"),
        ((1_000_000, 1), "1000000 x 1 pixels, a side above the limit of 65,535"),
        ((2, 30_000), "2 x 30000 pixels, one side more than 10,000 times the other"),
        ((10_001, 10_000), "10001 x 10000 pixels, more than the limit of 100,000,000"),
    ],
)
def test_sides_and_aspect_are_limited_before_decoding(
    size: tuple[int, int], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "resize", None)
    data = (
        flat_png(*size)
        if min(size) < 10
        else flat_png(1, 1).replace(struct.pack(">II", 1, 1), struct.pack(">II", *size), 1)
    )
    data = data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]
    with pytest.raises(UnreadableImage, match=f"^{reason}$"):
        read_pixels(data, SMALL)


def with_scans() -> bytes:
    plain = encoded(scene(), "JPEG", progressive=True)
    return plain[:-2] + plain[plain.rindex(b"\xff\xda") : -2] * MAX_SCANS + plain[-2:]


def with_gif_blocks(blocks: bytes) -> bytes:
    plain = encoded(scene(), "GIF")  # 13 bytes of header and 256 colours
    return plain[:781] + blocks + plain[781:]


def with_png_chunks(chunks: bytes) -> bytes:
    plain = flat_png(9, 9)
    return plain[:33] + chunks + plain[33:]


def icon_of_a_large_image() -> bytes:
    image = flat_png(13_000, 9_000)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(image), 22) + image


def bmp_of_runs() -> bytes:
    header = struct.pack("<IHHI", 0, 0, 0, 1078) + struct.pack("<IiiHHIIIIII", 40, 9000, 9000, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + header + bytes(1024) + b"\1\5" * (MAX_SLOW_BYTES // 2)


HOSTILE: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "comments of a JPEG": (lambda: jpeg_with(b"\xff\xfe\0\2" * (MAX_PARTS + 1)), "JPEG segments"),
    "scans of a JPEG": (with_scans, "scans of a JPEG"),
    "chunks of a PNG": (lambda: with_png_chunks(chunk(b"abCd", b"") * (MAX_PARTS + 1)), "PNG chunks"),
    "comments of a GIF": (lambda: with_gif_blocks(b"!\xfe\1a\0" * MAX_PARTS), "GIF blocks"),
    "claims of a TIFF": (lambda: directory(9000, 100_000), "claims more bytes than the file holds"),
    "claims of EXIF in AVIF": (lambda: encoded(scene(), "AVIF") + directory(9000, 100_000), "claims more bytes"),
    "EXIF blocks in AVIF": (lambda: encoded(scene(), "AVIF") + b"II*\0" * 20, "blocks of EXIF"),
    "digits of a PPM": (lambda: b"P3\n9000 9000\n255\n" + b"0 " * (MAX_SLOW_BYTES // 2), "this form of PPM"),
    "runs of a BMP": (bmp_of_runs, "this form of BMP"),
    "an icon of a large image": (icon_of_a_large_image, "13000 x 9000 pixels, more than the limit"),
}
"""Files that cost far more than their size, and the reason given."""


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_cost_far_more_than_its_size_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, reason = HOSTILE[name]
    data = make()
    monkeypatch.setattr(module, "to_srgb", None)  # nothing is decoded
    with pytest.raises(UnreadableImage, match=reason):
        decode(data)


def test_masses_of_metadata_reach_no_decoder() -> None:
    """Pillow joins EXIF segments and GIF comments one by one, each time copying all before."""
    exif = b"\xff\xe1" + struct.pack(">H", 65_535) + b"Exif\0\0" + bytes(65_527)
    for data, format_name in (
        (jpeg_with(exif * 100), "JPEG"),
        (with_gif_blocks(b"!\xfe" + (b"\xff" + b"a" * 255) * 30_000 + b"\0"), "GIF"),
        (with_png_chunks(chunk(b"tEXt", b"a\0") * 5000), "PNG"),
    ):
        assert len(stripped.strip(data, format_name).data) < 4000
        assert decode(data).size in ((48, 32), (9, 9))


def test_orientation_is_read_without_copying_what_entries_claim() -> None:
    exif = directory(3000, 20_000)
    tracemalloc.start()
    for data in (
        with_png_chunks(chunk(b"eXIf", exif)),
        jpeg_with(b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif),
        encoded(scene(), "WEBP", exif=exif),
    ):
        assert decode(data).width in (9, 48)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


@pytest.mark.parametrize("kind", ["F", "I", "I;16", "RGBA"])
def test_large_images_are_converted_strip_by_strip(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rexnet_ai_real.images import colours

    values = np.random.default_rng(0).random((60, 50)) * 70_000
    image = {
        "F": lambda: Image.fromarray(values.astype(np.float32)),
        "I": lambda: Image.fromarray(values.astype(np.int32)),
        "I;16": lambda: Image.fromarray((values / 2).astype(np.uint16)),
        "RGBA": lambda: Image.merge("RGBA", [Image.fromarray((values / 300).astype(np.uint8))] * 4),
    }[kind]()
    whole = pixels(colours.to_srgb(image, None)).tolist()
    rows: list[int] = []
    convert = colours._conversion(image, None)

    def counted(strip: Image.Image) -> Image.Image:
        rows.append(strip.height)
        return convert(strip)

    monkeypatch.setattr(colours, "_conversion", lambda *_: counted)
    monkeypatch.setattr(colours, "_STRIP", 350)
    assert pixels(colours.to_srgb(image, None)).tolist() == whole
    assert rows == [7] * 8 + [4]


def test_threads_share_one_budget_of_memory() -> None:
    budget, held, most = MemoryBudget(100), [0], [0]
    lock = threading.Lock()

    def work(amount: int) -> None:
        with budget.holding(amount):
            with lock:
                held[0] += amount
                most[0] = max(most[0], held[0])
            time.sleep(0.002)
            with budget.holding(1000):  # what a thread asks for while it holds some is not waited for
                pass
            with lock:
                held[0] -= amount

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [40, 30, 60, 10] * 10))
    assert 60 <= most[0] <= 100
    with budget.holding(1000):  # one alone is never refused
        pass


def test_images_wait_until_others_have_left_the_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also the memory of the whole image, until only its small version is left."""
    path = tmp_path / "a.png"
    path.write_bytes(flat_png(300, 300))
    monkeypatch.setattr(module, "PIXELS", MemoryBudget(module._BYTES_PER_PIXEL * 300 * 300 * 2))
    at_once, most = [0], [0]
    lock = threading.Lock()

    def use(image: Image.Image) -> tuple[int, int]:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.005)
        with lock:
            at_once[0] -= 1
        return image.size

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda _: decode_then(use, path), range(24)))
    assert sizes == [(300, 300)] * 24
    assert 1 <= most[0] <= 2


def prepare_again(path: Path) -> None:
    PreparedImages([Original(path, hashlib.sha256(path.read_bytes()).hexdigest())], SMALL, MAX_PIXELS).read([0])


def prepare_to_explain(path: Path) -> None:
    explainer, known = object.__new__(Explainer), SimpleNamespace(familiar_side=None)
    vars(explainer).update(detector=SimpleNamespace(preprocessing=SMALL, description=known), max_pixels=MAX_PIXELS)
    explainer._prepare(path)


@pytest.mark.parametrize("use", [decode, measure, prepare_again, prepare_to_explain])
def test_bytes_of_files_count_as_taken_while_they_are_held(
    use: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(flat_png(300, 300))
    budget, taken, decoded = MemoryBudget(1 << 30), [], module._decoded

    def noted(*arguments: Any) -> Any:
        taken.append(budget._taken)
        return decoded(*arguments)

    monkeypatch.setattr(module, "FILES", budget)
    monkeypatch.setattr(module, "_decoded", noted)
    use(path)
    assert taken == [2 * path.stat().st_size]
    assert budget._taken == 0


def test_an_image_that_is_measured_counts_as_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(flat_png(300, 300))
    budget, taken = MemoryBudget(1 << 30), []
    monkeypatch.setattr(module, "PIXELS", budget)

    def noted(image: Image.Image) -> int:
        taken.append(budget._taken)
        return 0

    monkeypatch.setattr(facts, "dhash", noted)
    assert measure(path).width == 300
    assert taken == [module._BYTES_PER_PIXEL * 300 * 300]
    assert budget._taken == 0


def test_no_thread_keeps_the_memory_of_its_largest_image() -> None:
    """Glibc gives every thread a heap of its own, where freed blocks of up to 32 MiB stay."""
    assert PIL._imaging.get_block_size() > 32 << 20


def test_an_image_that_fails_gives_its_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = MemoryBudget(1 << 30)
    monkeypatch.setattr(module, "PIXELS", budget)

    def fails(_: Image.Image) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        decode_then(fails, flat_png(30, 30))
    with pytest.raises(UnreadableImage):
        decode(encoded(scene(), "PNG")[:100])
    assert budget._taken == 0


@pytest.mark.parametrize("reader", [read, decode, measure, read_provenance, lambda path: read_pixels(path, SMALL)])
def test_only_regular_files_on_ordinary_file_systems_are_read(reader: Callable[[Path], Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe.jpg")
    paths = {tmp_path / "pipe.jpg": "not a regular file", tmp_path / "link.jpg": "not a regular file"}
    paths[Path("/dev/zero")] = "not a regular file"
    if os.path.exists("/proc/self/mountinfo"):
        (tmp_path / "kernel.png").symlink_to("/proc/kmsg")  # its reader waits until the kernel says something
        paths[tmp_path / "kernel.png"] = paths[Path("/proc/self/status")] = "a file of the operating system's own"
    for path, reason in paths.items():
        try:
            found = reader(path).problem
        except UnreadableImage as error:
            found = str(error)
        assert found == reason


def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(flat_png(3, 3))
    before = (tmp_path / "a.png").stat()
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.setattr(Path, "stat", lambda *_, **__: before)
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read(tmp_path / "pipe.png")
