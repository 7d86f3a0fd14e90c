"""Predictions under corruptions, with a detector simple enough to know its answers: order, cache, what is refused."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.evaluate.cached_logits import Predict, corrupted_logits
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS
from rexnet_ai_real.evaluate.part import ChangedImage, LabelledImage
from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.metrics.scores import FloatArray

GRID = tuple(cell for cell in CORRUPTIONS if cell.name in {"none", "blur-2", "noise-0.05"})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    """Forty images: two and a half of the pieces in which predictions are kept."""
    folder, random, found = tmp_path_factory.mktemp("images"), np.random.default_rng(0), []
    for number in range(40):
        path = folder / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
        found.append(LabelledImage(path, number % 2, str(number), hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


def smoothness(images: Iterable[Image.Image]) -> np.ndarray:
    """Log-odds fall with the mean step between neighbours."""
    return np.array([8 - np.abs(np.diff(np.asarray(each).astype(float), axis=1)).mean() for each in images])


def predicted(images: list[LabelledImage], cache: Path, predict: Predict = smoothness, **changes: Any) -> FloatArray:
    settings: dict[str, Any] = {"corruptions": GRID, "fingerprint": "a", "prepare": lambda image, *_: image}
    settings |= {"workers": 2, "max_pixels": 10**6, "progress": False} | changes
    return corrupted_logits(images, predict, cache=cache, **settings)


@pytest.fixture(scope="module")
def expected(images: list[LabelledImage]) -> list[np.ndarray]:
    return [smoothness(cell(decode(image.path), image.sha256) for cell in GRID) for image in images]


@pytest.mark.parametrize("workers", [1, 5])
def test_logits_are_those_of_each_corrupted_image(
    workers: int, images: list[LabelledImage], expected: list[np.ndarray], tmp_path: Path
) -> None:
    np.testing.assert_array_equal(predicted(images, tmp_path, workers=workers), expected)


def test_an_interrupted_evaluation_continues_where_it_stopped(
    images: list[LabelledImage], expected: list[np.ndarray], tmp_path: Path
) -> None:
    seen = []

    def impatient(stream: Iterable[Image.Image]) -> np.ndarray:
        for image in stream:
            seen.append(smoothness([image]))
            if len(seen) == 20 * len(GRID):
                raise KeyboardInterrupt
        return np.concatenate(seen[-16 * len(GRID) :])

    with pytest.raises(KeyboardInterrupt):
        predicted(images, tmp_path, impatient)

    counted: list[int] = []

    def patient(stream: Iterable[Image.Image]) -> np.ndarray:
        logits = smoothness(stream)
        counted.append(logits.size)
        return logits

    np.testing.assert_array_equal(predicted(images, tmp_path, patient), expected)
    assert sum(counted) == (40 - 16) * len(GRID)
    counted.clear()
    predicted(images, tmp_path, patient)
    assert counted == []
    predicted(images, tmp_path, patient, fingerprint="other weights")
    assert sum(counted) == 40 * len(GRID)


def test_the_bar_counts_every_cell_on_stderr(
    images: list[LabelledImage], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # fresh, then all from the cache
        predicted(images, tmp_path, progress=True)
        printed = capsys.readouterr()
        assert printed.out == ""
        assert f"{40 * len(GRID)}/{40 * len(GRID)}" in printed.err


def test_images_are_prepared_before_they_are_predicted(
    images: list[LabelledImage], expected: list[np.ndarray], tmp_path: Path
) -> None:
    prepared = predicted(
        images,
        tmp_path,
        prepare=lambda image, *_: smoothness([image])[0],
        predict=lambda stream: np.array(list(stream)),
    )
    np.testing.assert_array_equal(prepared, expected)


def test_an_unreadable_image_is_named(images: list[LabelledImage], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(UnreadableImage, match=r"broken\.png: "):
        predicted([*images[:2], LabelledImage(broken, 1, "g", "0" * 64)], tmp_path / "cache")


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda stream: np.full(len(list(stream)), np.nan), "under none is nan"),
        (lambda stream: np.zeros(3), "shape .3,. for 48 images"),
    ],
)
def test_bad_predictions_are_refused_and_not_kept(
    predict: Predict, message: str, images: list[LabelledImage], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        predicted(images, tmp_path, predict)
    assert not list(tmp_path.iterdir())


def test_a_damaged_cache_is_predicted_again(
    images: list[LabelledImage], expected: list[np.ndarray], tmp_path: Path
) -> None:
    predicted(images, tmp_path)
    truncated, zeroed, changed = sorted(tmp_path.iterdir())
    content = truncated.read_bytes()
    truncated.write_bytes(content[: len(content) // 2])
    zeroed.write_bytes(bytes(zeroed.stat().st_size))
    data = bytearray(changed.read_bytes())
    data[data.index(b"F") + 100] ^= 1  # a bit inside the numbers
    changed.write_bytes(data)
    np.testing.assert_array_equal(predicted(images, tmp_path), expected)


def test_a_cache_that_cannot_be_written_is_named_once_and_done_without(
    images: list[LabelledImage], expected: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    np.testing.assert_array_equal(predicted(images, tmp_path / "file" / "cache"), expected)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"Predictions cannot be kept in {tmp_path / 'file' / 'cache'}" in said
    assert "the evaluation goes on" in said


def test_an_image_that_was_replaced_is_refused(images: list[LabelledImage], tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (8, 8)).save(other)
    with pytest.raises(ChangedImage, match=r"other\.png was replaced or changed since the manifest was made"):
        predicted([LabelledImage(other, 1, "g", images[0].sha256)], tmp_path / "cache")
