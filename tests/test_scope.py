"""Out of scope: screens, text and charts are, as PNG and JPEG; pictures and the synthetic data set are not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rexnet_ai_real.data.synthetic import make_images
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.remarks import read_with_remarks
from rexnet_ai_real.images.scope import Flatness, out_of_scope

WHITE, INK, RED, BLUE = (255, 255, 255), (20, 20, 20), (200, 40, 40), (30, 90, 200)


def screen() -> Image.Image:
    image = Image.new("RGB", (320, 200), (246, 247, 249))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 320, 24), fill=BLUE)
    draw.rectangle((0, 24, 70, 200), fill=(228, 230, 234))
    draw.rounded_rectangle((240, 160, 305, 185), 5, fill=RED)
    for row in range(6):
        draw.text((80, 34 + 20 * row), "An answer is no proof", INK)
    return image


def chart() -> Image.Image:
    image = Image.new("RGB", (320, 200), WHITE)
    draw = ImageDraw.Draw(image)
    for bar, height in enumerate((60, 120, 90, 150, 40)):
        draw.rectangle((30 + 55 * bar, 180 - height, 70 + 55 * bar, 180), fill=(RED, BLUE)[bar % 2])
    draw.line((20, 10, 20, 180, 310, 180), INK, 2)
    return image


def text() -> Image.Image:
    image = Image.new("RGB", (320, 200), WHITE)
    draw = ImageDraw.Draw(image)
    for row in range(14):
        draw.text((15, 10 + 13 * row), "it depends on images like those it was trained on", INK)
    return image


def ball(ground: int) -> Image.Image:
    """A shaded ball with a sharp outline on an exactly plain ground, as shops show their goods."""
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    inside = x**2 + y**2 < 0.5
    light = np.clip(0.55 + 0.5 * x - 0.4 * y + 0.1 * np.sin(40 * x) * np.cos(33 * y), 0, 1)
    colours = np.stack([220 * light, 160 * light, 90 * light], axis=-1)
    return Image.fromarray(np.where(inside[..., None], colours, ground).astype(np.uint8))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=quality)
    return Image.open(memory).convert("RGB")


@pytest.mark.parametrize("draw", [screen, chart, text])
def test_graphics_are_out_of_scope_whatever_their_format(draw: Callable[[], Image.Image]) -> None:
    for image in (draw(), as_jpeg(draw(), 90), as_jpeg(draw(), 75)):
        reason = out_of_scope(image)
        assert reason is not None
        assert reason.startswith(("a screenshot or flat graphic: ", "text or a line drawing: "))
        assert "%" in reason


def test_pictures_are_in_scope_on_a_plain_ground_too() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    sky = np.broadcast_to(np.linspace(90, 230, 160).astype(np.uint8)[:, None, None], (160, 200, 3))
    for picture in (Image.fromarray(noise), Image.fromarray(sky.copy()), ball(255), ball(0)):
        assert out_of_scope(picture) is None
        assert out_of_scope(as_jpeg(picture, 75)) is None


def test_shares_are_those_counted_by_hand() -> None:
    """Three columns of ground, a black one, two of ground; the first row and column are no one's neighbours."""
    pixels = np.full((5, 6, 3), 255, dtype=np.uint8)
    pixels[:, 3] = 0
    found = Flatness.of(Image.fromarray(pixels))
    assert found.flat == pytest.approx(3 / 5)  # of columns 1 to 5 the third and fourth differ from the one before
    assert (found.shades, found.two_shades) == (1.0, 1.0)
    assert (found.shaded, found.sharp) == (0.0, 1.0)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_the_smallest_images_are_measured(size: tuple[int, int]) -> None:
    assert out_of_scope(Image.new("RGB", size, "teal")) is None


def test_the_synthetic_data_set_is_in_scope(tmp_path: Path) -> None:
    root = make_images(tmp_path / "synthetic", count=40, workers=1, progress=False)
    preprocessing = Preprocessing(96, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)
    files = sorted(root.rglob("*.png"))
    assert len(files) == 40
    assert {read_with_remarks(file, preprocessing).outside for file in files} == {None}
