"""Corruptions against SciPy, Pillow and arithmetic; the same image always gets the same treatment."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter

from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE, Corruption

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
RANDOM = {name for name in BY_NAME if name.startswith(("noise", "rotation", "crop", "ai-genbench"))}


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """Smooth colours under fine texture, 120 x 80, far from black and white so that nothing is clipped by chance."""
    noise = np.random.default_rng(3).normal(0, 12, (80, 120, 3))
    slope = np.linspace(70, 180, 120)[None, :, None] * np.array([1.0, 0.9, 0.8])
    return Image.fromarray((slope + noise).clip(20, 235).astype(np.uint8))


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(float)


def keys(count: int = 40) -> Iterator[str]:
    return (f"image {number}" for number in range(count))


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
class TestEvery:
    """What holds for each cell of the grid."""

    def test_is_rgb_repeatable_and_leaves_its_input_alone(self, corruption: Corruption, image: Image.Image) -> None:
        before = image.tobytes()
        first, again = corruption(image, "a"), corruption(image, "a")
        assert first.mode == "RGB"
        assert (first.size, first.tobytes()) == (again.size, again.tobytes())
        assert image.tobytes() == before

    def test_changes_the_image(self, corruption: Corruption, image: Image.Image) -> None:
        changed = [(out.size, out.tobytes()) != (image.size, image.tobytes()) for out in self.some(corruption, image)]
        assert not any(changed) if corruption is NONE else any(changed)

    def test_takes_any_size(self, corruption: Corruption) -> None:
        for size in ((1, 1), (1, 300), (2000, 3), (32, 32)):
            out = corruption(Image.new("RGB", size, (200, 100, 50)), "a")
            assert min(out.size) >= 1

    @staticmethod
    def some(corruption: Corruption, image: Image.Image) -> list[Image.Image]:
        return [corruption(image, key) for key in keys(8)]


def test_the_grid_names_each_cell_once_and_orders_each_family() -> None:
    assert len({corruption.name for corruption in CORRUPTIONS}) == len(CORRUPTIONS) == 47
    assert len({(corruption.family, corruption.severity) for corruption in CORRUPTIONS}) == 47
    assert [corruption for corruption in CORRUPTIONS if corruption.severity == 0] == [NONE]


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_chance_depends_on_the_image_only_where_there_is_chance(name: str, image: Image.Image) -> None:
    outcomes = {BY_NAME[name](image, key).tobytes() for key in keys(12)}
    assert (len(outcomes) > 1) == (name in RANDOM)


def test_two_corruptions_of_one_image_draw_apart(image: Image.Image) -> None:
    weak, strong = (array(BY_NAME[name](image, "a")) - array(image) for name in ("noise-0.025", "noise-0.05"))
    assert abs(np.corrcoef(weak.ravel(), strong.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("quality", [95, 90, 75, 50, 30])
def test_jpeg_writes_the_tables_of_its_quality(quality: int, image: Image.Image) -> None:
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=quality)
    assert BY_NAME[f"jpeg-{quality}"](image, "a").tobytes() == Image.open(memory).convert("RGB").tobytes()


@pytest.mark.parametrize("container", ["jpeg", "webp"])
def test_lower_quality_is_further_from_the_original(container: str, image: Image.Image) -> None:
    cells = sorted((cell for cell in CORRUPTIONS if cell.name.startswith(container)), key=lambda cell: cell.severity)
    errors = [np.abs(array(cell(image, "a")) - array(image)).mean() for cell in cells]
    assert errors == sorted(errors)
    assert errors[0] > 0


@pytest.mark.parametrize(("factor", "size"), [(0.25, (30, 20)), (0.5, (60, 40)), (0.75, (90, 60)), (1.5, (180, 120))])
def test_resize_changes_the_size(factor: float, size: tuple[int, int], image: Image.Image) -> None:
    assert BY_NAME[f"resize-{factor}"](image, "a").size == size


@pytest.mark.parametrize("sigma", [1, 2, 3, 4])
def test_blur_is_gaussian_in_pixels(sigma: int) -> None:
    edge = Image.new("RGB", (90, 20), (20, 20, 20))
    edge.paste((235, 235, 235), (45, 0, 90, 20))
    ours = array(BY_NAME[f"blur-{sigma}"](edge, "a"))
    theirs = gaussian_filter(array(edge), (sigma, sigma, 0))
    # Three passes of a box filter in whole numbers stand for the Gaussian. A blur of sigma + 1 is off by 9 or more.
    assert np.abs(ours - theirs).max() < 4


@pytest.mark.parametrize("deviation", [0.01, 0.025, 0.05, 0.075])
def test_noise_has_its_deviation_in_each_channel_apart(deviation: float) -> None:
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    noise = array(BY_NAME[f"noise-{deviation}"](grey, "a")) - 128
    np.testing.assert_allclose(noise.std(axis=(0, 1)), np.hypot(255 * deviation, 1 / np.sqrt(12)), rtol=0.03)
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.03


def test_crop_is_a_window_of_the_original_that_moves(image: Image.Image) -> None:
    pixels, corners = np.asarray(image), set()
    for key in keys(10):
        window = np.asarray(BY_NAME["crop-60"](image, key))
        assert window.shape == (48, 72, 3)
        found = np.argwhere(
            (np.lib.stride_tricks.sliding_window_view(pixels, window.shape) == window).all(axis=(3, 4, 5))
        )
        corners.add(tuple(found[0][:2].tolist()))
    assert len(corners) > 5


def test_letterbox_adds_black_bars_and_nothing_else(image: Image.Image) -> None:
    out = BY_NAME["letterbox"](image, "a")
    assert out.size == (120, 80 + 2 * 13)
    assert out.getbbox() == (0, 13, 120, 93)
    assert out.crop((0, 13, 120, 93)).tobytes() == image.tobytes()


@pytest.mark.parametrize("degrees", [5, 15, 45, 90])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (256, 256), (640, 90)])
def test_rotation_shows_no_empty_corner(degrees: int, size: tuple[int, int]) -> None:
    for key in keys(4):
        out = BY_NAME[f"rotation-{degrees}"](Image.new("RGB", size, "white"), key)
        assert out.getextrema() == ((255, 255),) * 3


def test_rotation_turns_both_ways_by_its_angle() -> None:
    """A ramp along x, turned, still is a ramp: its direction is the angle."""
    ramp = Image.merge("RGB", [Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90)] * 3)
    for degrees in (5, 15, 45, 90):
        seen = set()
        for key in keys(12):
            down, across = np.gradient(array(BY_NAME[f"rotation-{degrees}"](ramp, key))[..., 0])
            seen.add(round(np.degrees(np.arctan2(down.mean(), across.mean()))) % 180)
        expected = {degrees % 180, -degrees % 180}
        assert all(min(abs(angle - each) for each in expected) <= 1 for angle in seen)
        assert len(seen) >= len(expected)


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.25, 1.5])
def test_brightness_multiplies(factor: float, image: Image.Image) -> None:
    out = array(BY_NAME[f"brightness-{factor}"](image, "a"))
    assert np.abs(out - (factor * array(image)).clip(0, 255)).max() <= 1


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.5, 2.0])
def test_contrast_stretches_about_the_mean_grey(factor: float, image: Image.Image) -> None:
    mean = round(np.asarray(ImageOps.grayscale(image)).mean())
    out = array(BY_NAME[f"contrast-{factor}"](image, "a"))
    assert np.abs(out - (mean + factor * (array(image) - mean)).clip(0, 255)).max() <= 2


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.5, 2.0])
def test_gamma_is_a_power_law(exponent: float, image: Image.Image) -> None:
    out = array(BY_NAME[f"gamma-{exponent}"](image, "a"))
    np.testing.assert_allclose(out, 255 * (array(image) / 255) ** exponent, atol=0.5001)


def test_colour_temperature_warms_and_cools_a_grey_without_changing_its_luminance() -> None:
    grey = Image.new("RGB", (1, 1), (120, 120, 120))
    seen = {kelvin: array(BY_NAME[f"temperature-{kelvin}"](grey, "a"))[0, 0] for kelvin in (4000, 5000, 8000, 10000)}
    redness = [red - blue for red, _, blue in seen.values()]
    assert redness == sorted(redness, reverse=True)
    assert redness[1] > 0 > redness[2]
    for colour in seen.values():
        assert ((colour / 255) ** 2.2) @ (0.2126, 0.7152, 0.0722) == pytest.approx((120 / 255) ** 2.2, rel=0.03)


def test_messengers_scale_down_but_never_up() -> None:
    large, small = Image.new("RGB", (1600, 900)), Image.new("RGB", (300, 200))
    assert BY_NAME["messenger-768-q60"](large, "a").size == (768, 432)
    assert BY_NAME["messenger-512-q40"](large, "a").size == (512, 288)
    assert BY_NAME["messenger-512-q40"](small, "a").size == (300, 200)


def test_screenshot_has_its_length_and_bars(image: Image.Image) -> None:
    out = BY_NAME["screenshot"](image, "a")
    assert out.size == (1080, 720 + 2 * 50)
    assert array(out)[:40].mean() == pytest.approx(242, abs=1)


def test_ai_genbench_steps_come_as_often_as_published() -> None:
    grid = np.random.default_rng(0).integers(60, 200, (1200, 1300, 3), dtype=np.uint8)
    large = Image.fromarray(np.kron(grid[:40, :40], np.ones((30, 32, 1), dtype=np.uint8)))
    small = large.crop((0, 0, 96, 96))
    assert BY_NAME["ai-genbench"](large, "b").size in {(1080, 1080)} | {(side, side) for side in range(256, 513)}
    outputs = [BY_NAME["ai-genbench"](small, key) for key in keys(400)]
    squared = np.mean([out.size != small.size for out in outputs])
    as_is = np.mean([out.tobytes() == small.tobytes() for out in outputs])
    assert squared == pytest.approx(0.25, abs=0.08)
    assert as_is == pytest.approx(0.9 * 0.5 * 0.7 * 0.8 * 0.75 * 0.9, abs=0.08)


def test_images_too_long_for_webp_are_scaled_to_fit() -> None:
    assert BY_NAME["webp-80"](Image.new("RGB", (20_000, 40)), "a").size == (16_383, 33)
