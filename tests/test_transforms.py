"""Preprocessing against Pillow, torchvision and plain arithmetic."""

import io

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from rexnet_ai_real.config import DataConfig, preprocessing_of
from rexnet_ai_real.images.decode import UnreadableImage, decode
from rexnet_ai_real.images.preprocessing import Preprocessing, read_pixels
from rexnet_ai_real.images.transforms import denormalise, evaluation_transform

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


@pytest.fixture
def image() -> Image.Image:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8))
    return coarse.resize((130, 90), Image.Resampling.BICUBIC)


def preprocessing(**changes: object) -> Preprocessing:
    return preprocessing_of(DataConfig(name="folder", **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "filter_"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_squash_equals_pillow(image: Image.Image, name: str, filter_: Image.Resampling) -> None:
    ours = evaluation_transform(preprocessing(image_size=48, interpolation=name))(image)
    expected = (np.asarray(image.resize((48, 48), filter_)) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    assert ours.shape == (3, 48, 48)
    np.testing.assert_allclose(ours.permute(1, 2, 0), expected, atol=1e-6)


def test_crop_keeps_the_centre(image: Image.Image) -> None:
    image.paste((255, 0, 0), (0, 0, 15, 90))  # a red strip that a centre crop leaves out
    ours = evaluation_transform(preprocessing(image_size=45, resize="crop"))(image)
    rgb = denormalise(ours[None], preprocessing())[0]
    red = (rgb[0] > 0.9) & (rgb[1] < 0.1) & (rgb[2] < 0.1)
    assert ours.shape == (3, 45, 45)
    assert not red.any()


def test_denormalise_is_the_inverse(image: Image.Image) -> None:
    settings = preprocessing(image_size=32)
    shown = denormalise(evaluation_transform(settings)(image)[None], settings)[0]
    expected = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)) / 255
    np.testing.assert_allclose(shown.permute(1, 2, 0), expected, atol=1.01 / 255)


def test_preprocessing_survives_plain_values() -> None:
    settings = preprocessing(image_size=96, resize="crop", interpolation="bicubic")
    assert Preprocessing.from_plain(settings.to_plain()) == settings


@pytest.mark.parametrize(
    "change",
    [
        {"views": [["frame"]]},
        {"views": ["frame", {}]},
        {"views": ["flip"]},
        {"views": ["frame", "frame"]},
        {"views": []},
        {"interpolation": []},
        {"resize": {}},
    ],
)
def test_values_of_other_types_are_impossible(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="impossible preprocessing"):
        Preprocessing.from_plain({**preprocessing().to_plain(), **change})


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_resizing_differs_from_torchvision_by_a_grey_level_at_most(image: Image.Image, resize: str) -> None:
    image = image.resize((126, 90))  # twice the size, and an even number of columns to cut
    ours = preprocessing(image_size=45, resize=resize).to_array(image)
    size = [45, 45] if resize == "squash" else 45
    theirs = v2.Compose([v2.ToImage(), v2.Resize(size, antialias=True), v2.CenterCrop(45)])(image)
    difference = np.abs(theirs.permute(1, 2, 0).numpy().astype(int) - ours)
    # A square cut first does not see the pixels beyond its edge.
    assert (difference if resize == "squash" else difference[:, 2:-2]).max() <= 1


@pytest.mark.parametrize("size", [(130, 90), (91, 64), (33, 200)])
def test_native_is_the_centre_as_it_is(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    settings = preprocessing(image_size=33, resize="native", interpolation="bicubic")
    left, top = (size[0] - 33) // 2, (size[1] - 33) // 2
    ours = settings.to_array(Image.fromarray(noise))
    assert np.array_equal(ours, noise[top : top + 33, left : left + 33])
    stored = io.BytesIO()
    Image.fromarray(noise).resize((500, 400)).save(stored, "JPEG")
    whole = np.asarray(Image.open(stored))  # not decoded at a reduced size
    assert np.array_equal(read_pixels(stored.getvalue(), settings), whole[183:216, 233:266])


def test_native_enlarges_only_what_is_smaller(image: Image.Image) -> None:
    small = image.resize((40, 24))
    ours = preprocessing(image_size=48, resize="native").to_array(small).astype(int)
    assert np.abs(ours - np.asarray(small.resize((80, 48), Image.Resampling.BILINEAR))[:, 16:64]).max() <= 1


def test_views_are_the_frame_its_mirror_image_and_the_centre(image: Image.Image) -> None:
    settings = preprocessing(image_size=48, views=["frame", "flip", "native"])
    frame, flip, native = settings.to_views(image)
    assert np.array_equal(frame, settings.to_array(image))
    assert np.array_equal(flip, frame[:, ::-1])
    assert np.array_equal(native, preprocessing(image_size=48, resize="native").to_array(image))
    assert Preprocessing.from_plain(settings.to_plain()) == settings
    assert settings.enough is None
    assert preprocessing(image_size=48, views=["frame", "flip"]).enough == 96
    assert "views" not in preprocessing().to_plain()  # so that fingerprints made before there were views still hold
    for views in ([], ["flip"], ["frame", "frame"], ["frame", "up"]):
        with pytest.raises(ValueError, match="impossible preprocessing"):
            Preprocessing.from_plain({**settings.to_plain(), "views": views})


def test_a_strip_is_cut_before_it_is_enlarged() -> None:
    strip = Image.new("RGB", (20_000, 20), "teal")
    pixels = preprocessing(resize="crop").to_array(strip)
    assert pixels.shape == (224, 224, 3)
    assert (pixels == (0, 128, 128)).all()


def test_a_large_jpeg_is_decoded_only_as_large_as_needed(image: Image.Image) -> None:
    stored = io.BytesIO()
    image.resize((900, 1300), Image.Resampling.BICUBIC).save(stored, "JPEG", quality=95)
    settings = preprocessing(image_size=100)
    sizes = [decode(stored.getvalue(), enough=enough).size for enough in (None, 901, 450, 200, 1)]
    assert sizes == [(900, 1300), (900, 1300), (450, 650), (225, 325), (113, 163)]
    whole = settings.to_array(decode(stored.getvalue())).astype(int)
    assert np.abs(read_pixels(stored.getvalue(), settings) - whole).max() <= 3
    with pytest.raises(UnreadableImage, match="900 x 1300 pixels"):
        decode(stored.getvalue(), enough=1, max_pixels=1_000_000)
