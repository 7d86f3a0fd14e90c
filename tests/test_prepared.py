"""The pixels that training maps: those of the files, whatever happened to the cache before."""

import errno
import hashlib
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.data import prepared as module
from rexnet_ai_real.data.prepared import Original, PreparedImages, prepare_images
from rexnet_ai_real.images.decode import UnreadableImage
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing, read_pixels

PREPROCESSING = Preprocessing(16, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)
SIZE = 16 * 16 * 3


@pytest.fixture
def originals(tmp_path: Path) -> list[Original]:
    """Nine images."""
    random, made = np.random.default_rng(0), []
    for number in range(9):
        path = tmp_path / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
        made.append(Original(path, hashlib.sha256(path.read_bytes()).hexdigest()))
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def prepare(
    originals: list[Original], cache: Path, *, preprocessing: Preprocessing = PREPROCESSING, max_bytes: int = 1 << 30
) -> PreparedImages:
    return prepare_images(
        originals, preprocessing, cache=cache, max_pixels=MAX_PIXELS, max_bytes=max_bytes, workers=2, progress=False
    )


def expected(originals: list[Original], rows: list[int], preprocessing: Preprocessing = PREPROCESSING) -> Pixels:
    return np.stack([read_pixels(originals[row].path, preprocessing) for row in rows])


def no_more_files(originals: list[Original]) -> None:
    for original in originals:
        original.path.unlink(missing_ok=True)


def test_pixels_are_those_of_the_files_and_stay_without_them(originals: list[Original], cache: Path) -> None:
    rows = [3, 0, 8, 3]
    pixels = expected(originals, rows)
    assert np.array_equal(prepare(originals, cache).read(rows), pixels)
    no_more_files(originals)
    again = prepare(originals, cache)
    assert again.kept == 9
    assert np.array_equal(again.read(rows), pixels)


def test_new_images_are_added_and_other_orders_share(originals: list[Original], cache: Path) -> None:
    prepare(originals[:5], cache)
    no_more_files(originals[:5])
    mixed = [originals[7], originals[2], originals[8]]
    pixels = prepare(mixed, cache).read([0, 1, 2])
    assert np.array_equal(pixels[[0, 2]], expected(originals, [7, 8]))
    assert np.array_equal(pixels[1], prepare(originals[:5], cache).read([2])[0])
    assert len(list(cache.rglob("*.npy"))) == 2


def test_the_same_content_is_kept_once(originals: list[Original], cache: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(originals[0].path.read_bytes())
    twice = prepare([originals[0], Original(copy, originals[0].sha256)], cache)
    assert np.array_equal(twice.read([0]), twice.read([1]))
    [block] = cache.rglob("*.npy")
    assert np.load(block).shape == (1, 16, 16, 3)


def test_another_way_of_preparing_is_kept_apart(originals: list[Original], cache: Path) -> None:
    cubic = Preprocessing(16, "squash", "bicubic", (0.5,) * 3, (0.5,) * 3)
    prepare(originals, cache)
    assert np.array_equal(
        prepare(originals, cache, preprocessing=cubic).read([1]), expected(originals, [1], preprocessing=cubic)
    )
    normalised = Preprocessing(16, "squash", "bilinear", (0.1,) * 3, (0.2,) * 3)
    no_more_files(originals)
    assert prepare(originals, cache, preprocessing=normalised).kept == 9  # normalising happens later


def test_a_subset_reads_from_the_same_blocks(originals: list[Original], cache: Path) -> None:
    whole = prepare(originals[:6], cache)
    subset = whole.subset([originals[4], originals[8], originals[1]])
    pixels = expected(originals, [4, 8, 1])
    no_more_files(originals[:6])
    assert subset.kept == 2
    assert np.array_equal(subset.read([0, 1, 2]), pixels)


@pytest.mark.parametrize("damage", ["pixels", "short", "index", "gone"])
def test_a_damaged_block_is_made_anew(originals: list[Original], cache: Path, damage: str) -> None:
    prepare(originals, cache)
    [block] = cache.rglob("*.npy")
    whole = block.read_bytes()
    if damage == "pixels":
        block.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "short":
        block.write_bytes(whole[:-100])
    elif damage == "index":
        block.with_suffix(".json").write_text("{")
    else:
        block.unlink()
    again = prepare(originals, cache)
    assert np.array_equal(again.read(list(range(9))), expected(originals, list(range(9))))
    assert block.read_bytes() == whole


def test_the_limit_holds_and_the_rest_is_read_from_files(originals: list[Original], cache: Path) -> None:
    some = prepare(originals, cache, max_bytes=4 * SIZE)
    assert some.kept == 4
    assert np.array_equal(some.read(list(range(9))), expected(originals, list(range(9))))
    none = prepare(originals, cache / "other", max_bytes=0)
    assert none.kept == 0
    assert np.array_equal(none.read([2]), expected(originals, [2]))
    assert not (cache / "other").exists()


def test_what_was_not_used_for_longest_gives_way(originals: list[Original], cache: Path) -> None:
    for age, number in enumerate([1, 2, 0]):
        prepare([originals[number]], cache)
        [index] = [path for path in cache.rglob("*.json") if originals[number].sha256 in path.read_text()]
        os.utime(index, (1000 + age, 1000 + age))
    oldest = prepare([originals[1]], cache)  # used again: now the youngest
    prepare([originals[5]], cache, max_bytes=_blocks_bytes(cache) + SIZE - 1)
    assert [_is_kept(originals[number], cache) for number in (1, 2, 0, 5)] == [True, False, True, True]
    assert oldest.read([0]).shape == (1, 16, 16, 3)


def _blocks_bytes(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.rglob("*.npy"))


def _is_kept(original: Original, cache: Path) -> bool:
    return any(original.sha256 in index.read_text() for index in cache.rglob("*.json"))


def test_an_image_that_vanishes_is_named(originals: list[Original], cache: Path) -> None:
    originals[4].path.unlink()
    with pytest.raises(UnreadableImage, match=r"4\.png was readable when the run began, and is no longer"):
        prepare(originals, cache)


def test_a_kill_leaves_whole_blocks(originals: list[Original], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"""
import os
from pathlib import Path
from rexnet_ai_real.data import prepared
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.preprocessing import Preprocessing
prepared._BLOCK_BYTES = 2 * {SIZE}
write, written = prepared._write_block, []
def stop(*arguments):
    written.append(write(*arguments))
    if len(written) == 3:
        os.kill(os.getpid(), 9)
    return written[-1]
prepared._write_block = stop
originals = [prepared.Original(Path(p), s) for p, s in {[(str(s.path), s.sha256) for s in originals]!r}]
prepared.prepare_images(originals, Preprocessing(16, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3),
    cache=Path({str(cache)!r}), max_pixels=MAX_PIXELS, max_bytes=1 << 30, workers=2, progress=False)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    pixels = expected(originals, list(range(9)))
    no_more_files(originals[:6])
    again = prepare(originals, cache)  # the six images of three blocks need their files no more
    assert np.array_equal(again.read(list(range(9))), pixels)


def test_two_that_build_at_once_agree(originals: list[Original], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = module._write_block

    def overtaken(folder: Path, shas: list[str], pixels: Pixels) -> module._Block:
        monkeypatch.setattr(module, "_write_block", write)
        prepare(originals, cache)  # another run finishes first
        return write(folder, shas, pixels)

    monkeypatch.setattr(module, "_write_block", overtaken)
    found = prepare(originals, cache)
    assert np.array_equal(found.read(list(range(9))), expected(originals, list(range(9))))
    assert len(list(cache.rglob("*.npy"))) == 1


def test_ctrl_c_ends_the_work_that_waits(
    originals: list[Original], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Path] = []

    def interrupted(path: Path, *arguments: object, **options: object) -> Pixels:
        begun.append(path)
        if len(begun) > 1:
            time.sleep(0.01)
            return np.zeros((16, 16, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "read_pixels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(originals, cache)
    assert len(begun) < 9
    assert not list(cache.rglob("*.npy"))


def test_an_image_that_was_replaced_is_an_error(originals: list[Original], cache: Path) -> None:
    Image.new("RGB", (20, 30)).save(originals[4].path)
    with pytest.raises(UnreadableImage, match=r"4\.png is not the image that it was when the data set was read"):
        prepare(originals, cache)
    with pytest.raises(UnreadableImage, match=r"4\.png is not the image"):
        prepare(originals, cache, max_bytes=0).read([4])


@pytest.mark.parametrize("damage", ["cut", "zeroed", "gone"])
def test_damage_while_training_costs_time_only(
    originals: list[Original], cache: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """A mapped file that is cut short would end the process with SIGBUS, a zeroed one give black images."""
    found = prepare(originals, cache)
    pixels = expected(originals, list(range(9)))
    assert np.array_equal(found.read([0, 1]), pixels[:2])
    [block] = cache.rglob("*.npy")
    if damage == "gone":
        block.unlink()
    else:
        size = block.stat().st_size
        os.truncate(block, size - 5 * SIZE if damage == "cut" else 0)
        os.truncate(block, size - 5 * SIZE if damage == "cut" else size)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(found.read(list(range(9))), pixels)
    assert caplog.text.count("was damaged or removed: its images are decoded again") == 1
    assert found.kept == 0


def test_a_block_that_another_run_wrote_again_is_still_used(originals: list[Original], cache: Path) -> None:
    found = prepare(originals, cache)
    [block] = cache.rglob("*.npy")
    whole = block.read_bytes()
    block.unlink()
    block.write_bytes(whole)
    pixels = expected(originals, [5])
    no_more_files(originals)
    assert np.array_equal(found.read([5]), pixels)
    assert found.kept == 9


def test_a_cache_that_cannot_be_written_is_done_without(
    originals: list[Original], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        found = prepare(originals, cache)
        prepare(originals, cache)
    assert found.kept == 0
    assert np.array_equal(found.read([2, 7]), expected(originals, [2, 7]))
    assert caplog.text.count("cannot be written") == 1
    assert "data.cache=DIR" in caplog.text


@pytest.mark.parametrize("failing", ["write", "silent"])
def test_a_full_disk_keeps_what_fitted(
    originals: list[Original],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failing: str,
) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4 * SIZE)
    write, written = Path.write_bytes, []

    def full(path: Path, data: memoryview) -> int:
        written.append(path)
        if len(written) == 1:
            return write(path, data)
        if failing == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, bytes(len(data)))

    monkeypatch.setattr(Path, "write_bytes", full)
    with caplog.at_level(logging.WARNING):
        found = prepare(originals, cache)
    assert found.kept == 4
    assert caplog.text.count("cannot be written") == 1
    assert np.array_equal(found.read(list(range(9))), expected(originals, list(range(9))))


def test_what_killed_runs_left_is_swept(originals: list[Original], cache: Path) -> None:
    prepare(originals[:2], cache)
    [block] = cache.rglob("*.npy")
    old, new = block.with_name(".a-1.npy"), block.with_name(".b-2.npy")
    old.touch()
    new.touch()
    os.utime(old, (1000, 1000))
    prepare(originals, cache)
    assert (old.exists(), new.exists()) == (False, True)
