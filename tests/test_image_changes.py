"""Which part of an image the network is shown: against Pillow's own crops and resizing."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.config import AugmentConfig
from rexnet_ai_real.data.image_changes import ImageChange, is_by_image
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.random_delivery import randomly_delivered

PREPROCESSING = Preprocessing(32, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def noise() -> Image.Image:
    """No two places of it are alike."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))


def change(seed: int = 0, preprocessing: Preprocessing = PREPROCESSING, **settings: Any) -> ImageChange:
    return ImageChange.drawn(AugmentConfig(**settings), preprocessing, (0, seed))


@pytest.mark.parametrize("resize", ["squash", "crop", "native"])
def test_nothing_asked_for_is_what_validation_sees(noise: Image.Image, resize: str) -> None:
    preprocessing = Preprocessing(32, resize, "bicubic", (0.5,) * 3, (0.5,) * 3)
    found = change(preprocessing=preprocessing)
    assert np.array_equal(found(noise), preprocessing.to_array(noise))
    assert found.enough == (None if resize == "native" else 64)
    assert not is_by_image(AugmentConfig(flip=1, jpeg=1))


def test_native_crops_are_pixels_of_the_image_from_everywhere(noise: Image.Image) -> None:
    pixels, seen = np.asarray(noise), set()
    for seed in range(80):
        drawn = change(seed, native=1.0, crop_scale=0.2)
        assert drawn.enough is None
        found = drawn(noise)
        rows, columns = (pixels[:19, :39] == found[0, 0]).all(2).nonzero()
        [place] = [
            (top, left)
            for top, left in zip(rows, columns, strict=True)
            if np.array_equal(pixels[top : top + 32, left : left + 32], found)
        ]
        seen.add(place)
    assert len(seen) > 60
    assert (min(top for top, _ in seen), max(top for top, _ in seen)) == (0, 18)
    assert min(left for _, left in seen) <= 1
    assert max(left for _, left in seen) >= 37


def test_small_images_are_enlarged_by_their_short_side(noise: Image.Image) -> None:
    strip = noise.crop((0, 0, 70, 16))
    found = change(native=1.0)(strip)
    larger = np.asarray(strip.resize((140, 32), Image.Resampling.BILINEAR))
    assert any(np.array_equal(found, larger[:, 2 * left : 2 * left + 32]) for left in range(55))


def test_frames_keep_the_share_asked_for() -> None:
    ramp = np.linspace(0, 255, 200)  # each pixel tells where it was: red across, green down
    place = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:100, None] * 199 / 99, 0.0), axis=2)
    image = Image.fromarray(place.round().astype(np.uint8))
    shares = []
    for seed in range(60):
        found = change(seed, crop_scale=0.5)(image).astype(float)
        wide, tall = np.ptp(found[16, :, 0]) / 255 * 32 / 31, np.ptp(found[:, 16, 1]) / 255 * 32 / 31
        shares.append(wide * tall)
    assert 0.45 < min(shares) < 0.62
    assert 0.85 < max(shares) < 1.05


def test_the_shares_of_changed_images_are_those_asked_for() -> None:
    drawn = [change(seed, native=0.3, delivery=0.7) for seed in range(400)]
    assert 0.23 < np.mean([one.is_native for one in drawn]) < 0.37
    assert 0.63 < np.mean([one.is_delivered for one in drawn]) < 0.77
    assert 0.15 < np.mean([one.is_delivered and one.is_native for one in drawn]) < 0.27


def test_a_delivered_frame_is_delivery_and_then_preprocessing(noise: Image.Image) -> None:
    found = change(5, delivery=1.0)
    expected = randomly_delivered(noise, np.random.default_rng([0, 5, 1]))
    assert np.array_equal(found(noise), PREPROCESSING.to_array(expected))
    assert found.enough is None


def test_two_images_change_alike(noise: Image.Image) -> None:
    for seed in range(6):
        one, other = (change(seed, native=0.5, delivery=0.5, crop_scale=0.5) for _ in range(2))
        assert np.array_equal(one(noise), other(noise.copy()))
        assert np.array_equal(one(noise), one(noise))


def test_a_frame_may_be_decoded_smaller_but_not_smaller_than_its_smallest_crop() -> None:
    assert change(crop_scale=0.25).enough == 128
