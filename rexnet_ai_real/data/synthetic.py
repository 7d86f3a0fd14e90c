"""The synthetic stand-in: seeded scenes, either "photographed" or "generated", drawn by numpy in seconds.

It stands in for real data only to show that everything works without a download. It says nothing about how well a
detector does on real images: its two classes are nothing but the two simulations below.

Scene, lens, resolution, file format and file size have one distribution for both classes, so that neither content nor
bytes tell them apart. What differs is how the light became pixels:

- real: a camera. Bayer mosaic, shot and read noise, bilinear demosaicking.
- ai: a decoder. A latent of half the resolution, upsampled by a stride-2 transposed convolution whose four phases
  answer unevenly, which leaves the periodic trace known from learned upsamplers (Odena et al. 2016, "Deconvolution and
  checkerboard artifacts"; Frank et al. 2020, "Leveraging frequency analysis for deep fake image recognition").
"""

import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from rich.console import Console
from rich.progress import track

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import LABELS, REAL

Plane = NDArray[np.float32]  # (H, W)
Planes = NDArray[np.float32]  # (3, H, W): red, green, blue

VERSION: Final = 1  # raised whenever the images change, so that folders of an older version are made again
RECIPE: Final = "Recipe"  # the text chunk of each PNG that holds what it was made from

LEAVES: Final = 90  # at r^-3 from 1/24 to 1/2 of the side, they cover most of the ground
GAMMA: Final = 2.2

# Bilinear demosaicking: red and blue from every fourth pixel, green from every other.
DEMOSAIC: Final = np.array(
    [
        [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
        [[0, 1, 0], [1, 4, 1], [0, 1, 0]],
        [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
    ],
    np.float32,
) / np.float32(4)

# How far each weight of the decoder's kernel is off bilinear (standard deviation), the same in every image. At 0.8 %
# ReXNet was at 67 % after six epochs of 560 images of 64 px, at 2 % it passed 95 % in three.
UNEVENNESS: Final = 0.02
DETAIL: Final = np.array([[-1, -2, -1], [-2, 12, -2], [-1, -2, -1]], np.float32) / np.float32(16)  # less a 3 x 3 blur


def _uneven_upsampling() -> NDArray[np.float32]:
    """One 4 x 4 kernel per colour, (3, 4, 4), that keeps the mean brightness."""
    weights = np.random.default_rng(20).normal(1, UNEVENNESS, (3, 4, 4)) * np.outer([1, 3, 3, 1], [1, 3, 3, 1])
    kernels: NDArray[np.float32] = (4 * weights / weights.sum((1, 2), keepdims=True)).astype(np.float32)
    return kernels


UPSAMPLE: Final = _uneven_upsampling()


class SyntheticError(UserError, ValueError):
    """The synthetic images cannot be made as asked: an impossible number, or a folder that holds something else."""


def make_images(
    root: Path, *, count: int = 600, size: int = 96, seed: int = 0, workers: int | None = None, progress: bool = True
) -> Path:
    """Fill `root` with `real/NNNNN.png` and `ai/NNNNN.png`, `count` in all, `size` x `size` px each; return `root`.

    The same `count`, `size` and `seed` give the same images. A folder that holds them already is left as it is; one
    that was made from other values, or lacks an image, is made again. The folder appears whole or not at all: an
    interruption leaves nothing half-made, and several processes may ask for the same folder at once.

    Args:
        root: folder to fill.
        count: images of both classes together, an even number.
        size: side in pixels, an even number, at least 32.
        seed: another seed, other images; not negative.
        workers: threads that draw; None: one per core.
        progress: show a progress bar on stderr.

    Raises:
        SyntheticError: count, size or seed is impossible, or `root` holds other files, which are left alone.
    """
    if count < 2 or count % 2:
        raise SyntheticError(f"count={count}: an even number of images is expected, half of them for each class")
    if size < 32 or size % 2:
        raise SyntheticError(f"size={size}: an even number of pixels is expected, at least 32")
    if seed < 0:
        raise SyntheticError(f"seed={seed}: a number that is not negative is expected")
    recipe = json.dumps({"version": VERSION, "count": count, "size": size, "seed": seed})
    if _is_made(root, recipe, count):
        return root
    _check_replaceable(root)
    place = root.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as folder:
            made, old = Path(folder, "made"), Path(folder, "old")
            _write_images(made, recipe, count, size, seed, workers, progress)
            if place.exists() and not _is_made(place, recipe, count):
                place.rename(old)
            made.rename(place)
    except OSError as error:
        if not _is_made(root, recipe, count):  # else another process was faster
            raise SyntheticError(
                f"The synthetic images cannot be made in {root}: {error}. "
                "Name a folder whose parent folder can be written to, on a disk with room"
            ) from error
    return root


def render(label: int, index: int, *, size: int, seed: int) -> NDArray[np.uint8]:
    """Image `index` of class `label` (REAL or AI): RGB bytes (size, size, 3) that depend on the arguments alone."""
    # How many numbers are drawn never depends on a pixel (normal noise stands in for Poisson's, which is drawn by
    # rejection): where processors differ in the last digit, a pixel moves by one level and the scene stays.
    rng = np.random.default_rng((seed, label, index))
    light = _through_lens(_draw_scene(rng, size), rng)
    pixels = _photograph(light, rng) if label == REAL else _generate(light, rng)
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


# The folder


def _names(count: int) -> list[str]:
    return [f"{index:05d}.png" for index in range(count // 2)]


def _is_made(root: Path, recipe: str, count: int) -> bool:
    names = _names(count)
    return all(
        (root / label).is_dir()
        and set(names).issubset(os.listdir(root / label))
        and _recipe(root / label / names[0]) == recipe
        for label in LABELS
    )


def _recipe(file: Path) -> str | None:
    try:
        with Image.open(file) as image:
            return image.info.get(RECIPE)
    except OSError:
        return None


def _check_replaceable(root: Path) -> None:
    """Only a folder with nothing but this module's images in it may go."""
    if not root.exists():
        return
    foreign = root if root.is_file() else next(filter(_is_foreign, sorted(root.rglob("*"))), None)
    if foreign:
        raise SyntheticError(
            f"The synthetic images cannot be made in {root}: {foreign} is not one of them, and is left alone. "
            "Name a new or an empty folder, such as data.root=data/synthetic-2"
        )


def _is_foreign(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        return path.name not in LABELS
    return not re.fullmatch(r"\d{5,}\.png", path.name) or _recipe(path) is None


def _write_images(
    root: Path, recipe: str, count: int, size: int, seed: int, workers: int | None, progress: bool
) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text(RECIPE, recipe)
    for label in LABELS:
        (root / label).mkdir(parents=True)

    def write(number: int) -> None:
        index, label = divmod(number, len(LABELS))
        image = Image.fromarray(render(label, index, size=size, seed=seed))
        # Not compressed, so that every file has the same number of bytes: a smooth image would make a smaller one.
        image.save(root / LABELS[label] / f"{index:05d}.png", compress_level=0, pnginfo=text)

    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        written = pool.map(write, range(count))
        for _ in track(written, "Drawing images", count, disable=not progress, console=Console(stderr=True)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


# The scene: what both classes look at


def _draw_scene(rng: np.random.Generator, size: int) -> Planes:
    """Linear light of shapes that hide one another, their sizes by a power law, as in natural images.

    "Dead leaves": Lee, Mumford and Huang 2001, "Occlusion models for natural images".
    """
    texture = _pink_noise(rng, 2 * size)
    warmth = rng.normal(0, 0.1)
    lamp = rng.uniform(0.15, 0.4) * np.exp([warmth, 0, -warmth])
    scene = _surface(rng, lamp, texture, (size, size))
    smallest, largest = size / 24, size / 2
    for chance in rng.random(LEAVES):
        radius = 1 / np.sqrt(chance / largest**2 + (1 - chance) / smallest**2)  # inverse distribution of r^-3
        _lay_leaf(scene, rng, radius, lamp, texture)
    return np.clip(scene, 0, 1).astype(np.float32)


def _lay_leaf(
    scene: Planes, rng: np.random.Generator, radius: float, lamp: NDArray[np.float64], texture: Plane
) -> None:
    """Paint an ellipse or a stretched polygon over `scene`, darker towards its rim."""
    size = scene.shape[-1]
    y, x = rng.random(2) * size
    turn, stretch, shade = rng.uniform(0, np.pi), rng.uniform(0.4, 1), rng.uniform(0, 0.5)
    corners = rng.integers(2, 6)  # 2 stands for an ellipse
    blur = rng.choice([1.0, 1.0, 4.0])  # px over which the rim fades: a third of the leaves is out of focus
    rows = slice(max(int(y - radius - 1), 0), min(int(y + radius + 2), size))
    columns = slice(max(int(x - radius - 1), 0), min(int(x + radius + 2), size))
    down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - y
    right = np.arange(columns.start, columns.stop, dtype=np.float32) - x
    along = right * np.cos(turn) + down * np.sin(turn)
    across = (down * np.cos(turn) - right * np.sin(turn)) / stretch
    if corners == 2:
        distance = np.sqrt(along**2 + across**2)
    else:
        sides = [along * np.cos(angle) + across * np.sin(angle) for angle in 2 * np.pi * np.arange(corners) / corners]
        distance = np.maximum.reduce(sides) / np.cos(np.pi / corners)  # the corners lie on the circle
    cover = np.clip(0.5 + (radius - distance) * stretch / blur, 0, 1)
    leaf = _surface(rng, lamp, texture, distance.shape) * (1 - shade * np.minimum(distance / radius, 1) ** 2)
    ground = scene[:, rows, columns]
    ground += cover * (leaf - ground)


def _surface(rng: np.random.Generator, lamp: NDArray[np.float64], texture: Plane, shape: tuple[int, ...]) -> Planes:
    """A patch (3, height, width) of one colour under the lamp, with a gradient and a grain of 1/f noise."""
    height, width = shape
    warmth, green = rng.normal(0.06, 0.14), rng.normal(0, 0.07)  # hues vary less than brightness, as in nature
    colour = lamp * np.exp(rng.normal(0, 0.5) + np.array([warmth, green, -warmth]))
    slope_down, slope_right = rng.normal(0, 1, 2) / len(texture)
    top, left = rng.integers(len(texture) // 2, size=2)
    relief = rng.uniform(0.02, 0.2) * texture[top : top + height, left : left + width]
    relief += slope_down * np.arange(height)[:, None] + slope_right * np.arange(width)
    patch: Planes = (colour[:, None, None] * np.exp(relief)).astype(np.float32)
    return patch


def _pink_noise(rng: np.random.Generator, size: int) -> Plane:
    """Noise of amplitude 1/f, mean 0, standard deviation 1; (size, size)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) / frequency, s=(size, size))
    standard: Plane = (noise / noise.std()).astype(np.float32)
    return standard


def _through_lens(light: Planes, rng: np.random.Generator) -> Planes:
    """Slightly blurred, and up to 20 % darker in the corners."""
    share = rng.uniform(0.1, 0.3)
    blur = np.array([share, 1 - 2 * share, share], np.float32)
    across = np.linspace(-1, 1, light.shape[-1], dtype=np.float32)
    vignette = 1 - np.float32(rng.uniform(0, 0.1)) * (across**2 + across[:, None] ** 2)
    return _convolve(light, np.outer(blur, blur)) * vignette


# The two ways from light to pixels


def _photograph(light: Planes, rng: np.random.Generator) -> Planes:
    """What a camera makes of it: every pixel sees one colour, with noise, and the other two are interpolated."""
    # Grainy, so that the decoder's trace makes its images no sharper than these (standard deviation of the Laplacian:
    # 0.042 and 0.042).
    gain, read_noise = rng.uniform(0.002, 0.005), rng.uniform(0.001, 0.003)
    noise = np.sqrt(gain * light + read_noise**2) * rng.standard_normal(light.shape[1:])
    mosaic = np.zeros_like(light)  # RGGB
    mosaic[0, ::2, ::2] = mosaic[1, ::2, 1::2] = mosaic[1, 1::2, ::2] = mosaic[2, 1::2, 1::2] = 1
    return _brightness(_convolve(mosaic * (light + noise).astype(np.float32), DEMOSAIC))


def _generate(light: Planes, rng: np.random.Generator) -> Planes:
    """What a decoder makes of it: half the resolution, upsampled by UPSAMPLE, sharpened by a saturating layer."""
    size = light.shape[-1]
    latent = _brightness(light).reshape(3, size // 2, 2, size // 2, 2).mean((2, 4))
    spread = np.zeros_like(light)
    spread[:, 1::2, 1::2] = latent + rng.uniform(0.004, 0.012) * rng.standard_normal(latent.shape)
    image = _convolve(spread, UPSAMPLE)
    detail: Planes = np.tanh(4 * _convolve(image, DETAIL))
    return image + np.float32(0.2) * detail


def _brightness(light: Planes) -> Planes:
    """From linear light to pixel values."""
    pixels: Planes = np.clip(light, 0, 1) ** np.float32(1 / GAMMA)
    return pixels


def _convolve(planes: Planes, kernels: NDArray[np.float32]) -> Planes:
    """Each plane with its kernel (3, h, w), or all with the same (h, w); borders are mirrored."""
    height, width = kernels.shape[-2:]
    top, left = (height - 1) // 2, (width - 1) // 2
    # Without repeating the outermost pixel, so that odd stays odd: the mosaic goes on beyond the border.
    padded = np.pad(planes, ((0, 0), (top, height - 1 - top), (left, width - 1 - left)), mode="reflect")
    result = np.zeros_like(planes)
    for y, x in np.ndindex(height, width):
        window = padded[:, y : y + planes.shape[1], x : x + planes.shape[2]]
        result += kernels[..., y, x].reshape(-1, 1, 1) * window
    return result
