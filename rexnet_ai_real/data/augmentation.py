"""Random changes to whole batches of training images, on the device where the network runs.

Rotation, crop and mirroring are one affine map per image, so that pixels are interpolated once. Only the JPEG round
trip goes image by image, through Pillow.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor

from rexnet_ai_real.config import AugmentConfig

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luminance (ITU-R BT.601)."""
BLUR_SIGMA = (0.1, 2.0)
"""Pixels."""
JPEG_QUALITY = (50, 95)
ERASED_AREA = (0.02, 0.33)
"""Share of the image (Zhong et al. 2020, Random Erasing Data Augmentation, section 3)."""
ASPECT = (0.3, 10 / 3)
CROP_ASPECT = (3 / 4, 4 / 3)
"""Of the crop, as width to height (Szegedy et al. 2015)."""


@dataclass(frozen=True)
class BatchAugmentation:
    """The random changes that the settings ask for, drawn for every image from PyTorch's generator."""

    config: AugmentConfig
    size: int
    """Side of the images that come out, in pixels."""

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, S, S), float32, 0 to 1 -> (N, 3, size, size) of the same range. S is `size` or more.

        Order: mirror, rotate and crop in one step; brightness, contrast and saturation; blur; JPEG.
        """
        config = self.config
        if config.flip or config.rotation or config.crop_scale < 1:
            images = self._warped(images)
        if config.brightness or config.contrast or config.saturation:
            images = self._relit(images)
        if config.blur:
            images = _blurred(images, _chosen(images, config.blur))
        if config.jpeg:
            images = _compressed(images, _chosen(images, config.jpeg))
        return images

    def erase(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W): a random rectangle of some is set to 0, the mean colour, in place."""
        height, width = images.shape[-2:]
        for index in _chosen(images, self.config.erasing).tolist():
            area = _uniform(1, ERASED_AREA).item() * height * width
            aspect = math.exp(_uniform(1, (math.log(ASPECT[0]), math.log(ASPECT[1]))).item())
            tall = min(height, max(1, round(math.sqrt(area / aspect))))
            wide = min(width, max(1, round(math.sqrt(area * aspect))))
            top = int(torch.randint(height - tall + 1, ()))
            left = int(torch.randint(width - wide + 1, ()))
            images[index, :, top : top + tall, left : left + wide] = 0
        return images

    def _warped(self, images: Tensor) -> Tensor:
        """Each image warped by its own map from output to input positions, in coordinates from -1 to 1."""
        n, config = len(images), self.config
        angle = _uniform(n, (-config.rotation, config.rotation)).deg2rad()
        scale = _uniform(n, (config.crop_scale, 1.0))
        aspect = _uniform(n, (math.log(CROP_ASPECT[0]), math.log(CROP_ASPECT[1]))).exp()
        # A crop that keeps the whole image leaves no room for another aspect ratio.
        wide = (scale * aspect).sqrt().clamp(max=1.0) if config.crop_scale < 1 else torch.ones(n)
        tall = (scale / aspect).sqrt().clamp(max=1.0) if config.crop_scale < 1 else torch.ones(n)
        across, down = (1 - wide) * _uniform(n, (-1, 1)), (1 - tall) * _uniform(n, (-1, 1))
        mirror = torch.where(torch.rand(n) < config.flip, -1.0, 1.0)
        cos, sin = angle.cos(), angle.sin()
        maps = torch.stack(
            [
                torch.stack([mirror * wide * cos, -tall * sin, across], dim=1),
                torch.stack([mirror * wide * sin, tall * cos, down], dim=1),
            ],
            dim=1,
        ).to(images.device)
        grid = F.affine_grid(maps, [n, 3, self.size, self.size], align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _relit(self, images: Tensor) -> Tensor:
        """Brightness, then contrast about the mean luminance, then saturation about each pixel's luminance."""
        n, device = len(images), images.device

        def factors(strength: float) -> Tensor:
            return _uniform(n, (max(0.0, 1 - strength), 1 + strength)).view(n, 1, 1, 1).to(device)

        grey = torch.tensor(GREY, device=device).view(1, 3, 1, 1)
        brightness, contrast = factors(self.config.brightness), factors(self.config.contrast)
        saturation = factors(self.config.saturation)
        images = (images * brightness).clamp(0, 1)
        mean = (images * grey).sum(1, keepdim=True).mean((2, 3), keepdim=True)
        images = torch.lerp(mean.expand_as(images), images, contrast).clamp(0, 1)
        luminance = (images * grey).sum(1, keepdim=True)
        return torch.lerp(luminance.expand_as(images), images, saturation).clamp(0, 1)


def _chosen(images: Tensor, probability: float) -> Tensor:
    return (torch.rand(len(images)) < probability).nonzero()[:, 0]


def _uniform(n: int, span: tuple[float, float]) -> Tensor:
    return span[0] + (span[1] - span[0]) * torch.rand(n)


def _blurred(images: Tensor, chosen: Tensor) -> Tensor:
    """Gaussian blur of the chosen images, each with its own sigma, by rows and then by columns."""
    if not len(chosen):
        return images
    reach = math.ceil(3 * BLUR_SIGMA[1])
    sigma = _uniform(len(chosen), BLUR_SIGMA).view(-1, 1)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum(1, keepdim=True)).to(images.device).repeat_interleave(3, 0)
    n, (height, width) = len(weights), images.shape[-2:]
    rows = images[chosen].reshape(1, n, height, width)
    rows = F.conv2d(F.pad(rows, (reach, reach, 0, 0), "reflect"), weights.view(n, 1, 1, -1), groups=n)
    rows = F.conv2d(F.pad(rows, (0, 0, reach, reach), "reflect"), weights.view(n, 1, -1, 1), groups=n)
    return images.index_copy(0, chosen.to(images.device), rows.reshape(-1, 3, height, width))


def _compressed(images: Tensor, chosen: Tensor) -> Tensor:
    """A JPEG round trip of the chosen images, each at its own quality."""
    images = images.clone()
    for index in chosen.tolist():
        pixels = (images[index].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        stored = io.BytesIO()
        quality = int(torch.randint(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1, ()))
        PIL.Image.fromarray(pixels).save(stored, "JPEG", quality=quality)
        again = torch.from_numpy(np.array(PIL.Image.open(stored)))
        images[index] = (again.permute(2, 0, 1).float() / 255).to(images.device)
    return images
