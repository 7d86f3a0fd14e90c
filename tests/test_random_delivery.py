"""What a delivered image looks like, by Pillow and NumPy."""

import io

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.images import random_delivery
from rexnet_ai_real.images.random_delivery import randomly_delivered


@pytest.fixture
def image() -> Image.Image:
    """A smooth one of 300 x 200 px."""
    small = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((300, 200), Image.Resampling.BICUBIC)


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_sizes_span_the_factors_and_keep_the_form(image: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_delivery, "THUMBNAILS", 0.0)
    made = [randomly_delivered(image, generator(seed)) for seed in range(60)]
    factors = [one.width / image.width for one in made]
    assert min(factors) == pytest.approx(64 / 200, abs=0.01)  # 0.3 would be shorter than the shortest
    assert 1.2 < max(factors) <= 1.3
    assert sum(factor < (0.3 * 1.3) ** 0.5 for factor in factors) in range(18, 43)  # the geometric middle
    assert all(one.mode == "RGB" and abs(one.height - one.width * 2 / 3) <= 1 for one in made)


def test_thumbnails_have_their_sizes(image: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_delivery, "THUMBNAILS", 1.0)
    sides = [max(randomly_delivered(image, generator(seed)).size) for seed in range(30)]
    assert min(sides) >= 128
    assert max(sides) <= 300  # never enlarged
    assert len(set(sides)) > 10


@pytest.mark.parametrize("size", [(20, 12), (1, 400), (3000, 2), (1, 1)])
def test_odd_sizes_survive(size: tuple[int, int]) -> None:
    for seed in range(5):
        made = randomly_delivered(Image.new("RGB", size, (200, 30, 30)), generator(seed))
        assert max(made.size) <= 2048 * 1.3
        assert np.abs(np.asarray(made, int) - (200, 30, 30)).max() < 12


def test_what_is_left_is_the_same_picture_with_losses(image: Image.Image) -> None:
    for seed in range(10):
        made = randomly_delivered(image, generator(seed)).resize(image.size, Image.Resampling.BICUBIC)
        error = np.abs(np.asarray(made, float) - np.asarray(image, float)).mean()
        assert 0 < error < 8


def test_only_the_generator_decides(image: Image.Image) -> None:
    first, again, other = (randomly_delivered(image, generator(seed)).tobytes() for seed in (1, 1, 2))
    assert first == again != other


def test_rounds_are_those_of_pillow(image: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_delivery, "THUMBNAILS", 0.0)
    monkeypatch.setattr(random_delivery, "FACTORS", (1.0, 1.0))
    monkeypatch.setattr(random_delivery, "QUALITIES", (60, 60))
    monkeypatch.setattr(random_delivery, "WEBP", 0.0)
    expected = []
    for subsampling in (0, 2):
        for last in (0, 2):
            once, twice = io.BytesIO(), io.BytesIO()
            image.save(once, "JPEG", quality=60, subsampling=subsampling)
            Image.open(once).save(twice, "JPEG", quality=60, subsampling=last)
            expected += [Image.open(once).tobytes(), Image.open(twice).tobytes()]
    made = [randomly_delivered(image, generator(seed)).tobytes() for seed in range(12)]
    assert set(made) <= set(expected)
    assert len(set(made)) > 1
