"""Preprocessing against Pillow and plain arithmetic; augmentation keeps shape and range."""

import numpy as np
import pytest
import torch
from PIL import Image

from rexnet_ai_real.config import AugmentConfig, DataConfig
from rexnet_ai_real.data.transforms import Preprocessing

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


@pytest.fixture
def picture() -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8))
    return coarse.resize((130, 90), Image.Resampling.BICUBIC)


def preprocessing(**changes: object) -> Preprocessing:
    return Preprocessing.of(DataConfig(name="folder", **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "filter_"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_squash_equals_pillow(picture: Image.Image, name: str, filter_: Image.Resampling) -> None:
    ours = preprocessing(image_size=48, interpolation=name).transform()(picture)
    expected = (np.asarray(picture.resize((48, 48), filter_)) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    assert ours.shape == (3, 48, 48)
    # One grey level, after division by the smallest deviation, is 0.0175.
    np.testing.assert_allclose(ours.permute(1, 2, 0), expected, atol=0.018)


def test_crop_keeps_the_centre(picture: Image.Image) -> None:
    picture.paste((255, 0, 0), (0, 0, 15, 90))  # a red strip that a centre crop leaves out
    ours = preprocessing(image_size=45, resize="crop").transform()(picture)
    rgb = preprocessing().denormalise(ours[None])[0]
    red = (rgb[0] > 0.9) & (rgb[1] < 0.1) & (rgb[2] < 0.1)
    assert ours.shape == (3, 45, 45)
    assert not red.any()


def test_denormalise_is_the_inverse(picture: Image.Image) -> None:
    settings = preprocessing(image_size=32)
    shown = settings.denormalise(settings.transform()(picture)[None])[0]
    expected = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(shown.permute(1, 2, 0), expected, atol=1.01 / 255)


def test_no_augmentation_trains_on_what_validation_sees(picture: Image.Image) -> None:
    settings = preprocessing(image_size=32)
    assert torch.equal(settings.training_transform(AugmentConfig())(picture), settings.transform()(picture))


def test_every_augmentation_changes_pictures_and_keeps_their_form(picture: Image.Image) -> None:
    settings = preprocessing(image_size=64)
    plain = settings.transform()(picture)
    alone: list[dict[str, float]] = [
        {"flip": 1.0},
        {"rotation": 45.0},
        {"crop_scale": 0.3},
        {"brightness": 0.9},
        {"contrast": 0.9},
        {"saturation": 0.9},
        {"jpeg": 1.0},
        {"blur": 1.0},
        {"erasing": 1.0},
    ]
    assert {key for change in alone for key in change} == set(vars(AugmentConfig()))
    for change in alone:
        torch.manual_seed(1)
        changed = settings.training_transform(AugmentConfig(**change))(picture)
        assert changed.shape == plain.shape, change
        assert changed.dtype == torch.float32
        assert not torch.equal(changed, plain), change


def test_preprocessing_survives_plain_values() -> None:
    settings = preprocessing(image_size=96, resize="crop", interpolation="bicubic")
    assert Preprocessing.from_plain(settings.to_plain()) == settings
