"""Delivery tiers shrink, compress, never enlarge, and are the same for the same image."""

import io

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.images.tiers import TIERS, deliver


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("clean", (1600, 900), (1600, 900)),
        ("web", (1600, 900), (768, 432)),
        ("web", (300, 768), (300, 768)),
        ("messenger", (900, 1600), (288, 512)),
        ("messenger", (64, 40), (64, 40)),
        ("messenger", (2000, 1), (512, 1)),
    ],
)
def test_tiers_shrink_and_never_enlarge(name: str, given: tuple[int, int], expected: tuple[int, int]) -> None:
    delivered = deliver(noise(*given), TIERS[name])
    assert (delivered.size, delivered.mode) == (expected, "RGB")


def test_the_pixels_are_those_of_pillow() -> None:
    image = noise(600, 200)
    file = io.BytesIO()
    image.resize((512, 171), Image.Resampling.LANCZOS).save(file, "JPEG", quality=40)
    expected = np.asarray(Image.open(file).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(deliver(image, TIERS["messenger"])), expected)
    np.testing.assert_array_equal(np.asarray(deliver(image, TIERS["clean"])), np.asarray(image))


def test_harder_tiers_lose_more() -> None:
    image = noise(400, 400)
    before = np.asarray(image, dtype=float)
    losses = [np.abs(np.asarray(deliver(image, tier), dtype=float) - before).mean() for tier in TIERS.values()]
    assert losses[0] == 0 < losses[1] < losses[2]
