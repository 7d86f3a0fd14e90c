"""Scenes drawn by NumPy and turned into pixels in two ways: as a camera does, and as the decoder of a generator does.

Both classes share the distribution of scene and lens. What differs is how light becomes pixels:

- real: a camera. Bayer mosaic, shot and read noise, bilinear demosaicking.
- ai: a decoder. A latent of half the resolution, upsampled by a stride-2 transposed convolution whose four phases
  answer unevenly, which leaves the periodic trace known from learned upsamplers (Odena et al. 2016, "Deconvolution and
  checkerboard artifacts"; Frank et al. 2020, "Leveraging frequency analysis for deep fake image recognition").
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.labels import REAL

Plane = NDArray[np.float32]  # (H, W)
Planes = NDArray[np.float32]  # (3, H, W): red, green, blue

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


def render(label: int, index: int, *, size: int, seed: int) -> NDArray[np.uint8]:
    """Image `index` of class `label` (REAL or AI): RGB bytes (size, size, 3) that depend on the arguments alone."""
    # How many numbers are drawn never depends on a pixel (normal noise stands in for Poisson's, which is drawn by
    # rejection): where processors differ in the last digit, a pixel moves by one level and the scene stays.
    rng = np.random.default_rng((seed, label, index))
    light = _through_lens(_draw_scene(rng, size), rng)
    pixels = _photograph(light, rng) if label == REAL else _generate(light, rng)
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


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
