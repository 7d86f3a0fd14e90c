"""Random changes to batches against torchvision, Pillow and plain arithmetic."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from rexnet_ai_real.config import AugmentConfig
from rexnet_ai_real.data import augmentation
from rexnet_ai_real.data.augmentation import BatchAugmentation


@pytest.fixture
def images() -> Tensor:
    """Six smooth ones of 40 px."""
    coarse = torch.rand(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(40, 40), mode="bicubic").clamp(0, 1)


def changed(images: Tensor, *, size: int = 40, seed: int = 1, **settings: Any) -> Tensor:
    torch.manual_seed(seed)
    return BatchAugmentation(AugmentConfig(**settings), size)(images)


def test_nothing_asked_for_changes_nothing(images: Tensor) -> None:
    assert torch.equal(changed(images), images)
    assert torch.equal(BatchAugmentation(AugmentConfig(), 40).erase(images.clone()), images)


@pytest.mark.parametrize(
    "settings",
    [
        {"flip": 1.0},
        {"rotation": 45.0},
        {"crop_scale": 0.3},
        {"brightness": 0.9},
        {"contrast": 0.9},
        {"saturation": 0.9},
        {"jpeg": 1.0},
        {"blur": 1.0},
    ],
)
def test_every_change_keeps_form_and_range_and_differs_between_images(images: Tensor, settings: dict[str, Any]) -> None:
    same = images[:1].expand(6, -1, -1, -1).clone()
    before = same.clone()
    found = changed(same, **settings)
    assert found.shape == same.shape
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(same, before)
    assert not any(torch.equal(image, same[0]) for image in found)
    assert len(torch.unique(found, dim=0)) == (1 if settings == {"flip": 1.0} else 6)
    assert torch.equal(changed(same, **settings), found)
    assert not torch.equal(changed(same, seed=2, **settings), found) or settings == {"flip": 1.0}


def test_a_flip_is_a_mirror_image(images: Tensor) -> None:
    torch.testing.assert_close(changed(images, flip=1.0), images.flip(-1), atol=1e-5, rtol=0)
    torch.manual_seed(0)
    halves = changed(images.repeat(50, 1, 1, 1), flip=0.5)
    mirrored = [
        torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(halves, images.repeat(50, 1, 1, 1), strict=True)
    ]
    assert 0.4 < np.mean(mirrored) < 0.6


def test_a_turn_is_that_of_torchvision(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "_uniform", lambda n, span: torch.full((n,), float(span[1])))
    expected = v2.functional.rotate(images, 30.0, v2.InterpolationMode.BILINEAR)
    torch.testing.assert_close(changed(images, rotation=30.0), expected, atol=1e-4, rtol=0)


def test_crops_lie_inside_and_keep_the_share_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each pixel tells where it was: red across, green down.
    ramp = (torch.arange(64) + 0.5) / 64
    place = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)])
    found = changed(place.expand(200, -1, -1, -1), size=32, crop_scale=0.5)
    assert found.shape == (200, 3, 32, 32)
    wide = (found[:, 0, 16, -1] - found[:, 0, 16, 0]) * 32 / 31
    tall = (found[:, 1, -1, 16] - found[:, 1, 0, 16]) * 32 / 31
    assert (found[:, :2] > 0.005).all()  # nothing from outside, which is black
    areas = wide * tall
    assert 0.48 < areas.min() < 0.6
    assert 0.85 < areas.max() < 1.01
    shapes = wide / tall
    assert 0.74 < shapes.min() < 0.85
    assert 1.2 < shapes.max() < 1.35


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("brightness", v2.functional.adjust_brightness),
        ("contrast", v2.functional.adjust_contrast),
        ("saturation", v2.functional.adjust_saturation),
    ],
)
def test_lighting_is_that_of_torchvision(
    images: Tensor, name: str, theirs: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augmentation, "_uniform", lambda n, span: torch.full((n,), float(span[1])))
    expected = theirs(images, 1.4)  # type: ignore[operator]
    torch.testing.assert_close(BatchAugmentation(AugmentConfig(**{name: 0.4}), 40)(images), expected, atol=2e-3, rtol=0)


def test_blur_is_that_of_torchvision(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "_uniform", lambda n, span: torch.full((n,), 1.3))
    expected = v2.functional.gaussian_blur(images, [13, 13], [1.3, 1.3])
    torch.testing.assert_close(changed(images, blur=1.0), expected, atol=1e-4, rtol=0)


def test_compression_is_pillows(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "JPEG_QUALITY", (60, 60))
    found = changed(images, jpeg=1.0)
    stored = io.BytesIO()
    Image.fromarray((images[2].permute(1, 2, 0) * 255).round().byte().numpy()).save(stored, "JPEG", quality=60)
    expected = torch.from_numpy(np.asarray(Image.open(stored)).copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(found[2], expected)


def test_erasing_blanks_one_rectangle(images: Tensor) -> None:
    torch.manual_seed(3)
    blanked = BatchAugmentation(AugmentConfig(erasing=1.0), 40).erase(images + 1)
    for image in blanked:
        gone = (image == 0).all(0)
        rows, columns = gone.any(1).nonzero(), gone.any(0).nonzero()
        assert gone[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
        assert 0.01 < gone.float().mean() < 0.36
        assert ((image == 0).any(0) == gone).all()
