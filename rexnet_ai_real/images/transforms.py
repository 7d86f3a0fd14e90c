"""From decoded images and 8-bit pixels to what the network sees, and back."""

from collections.abc import Callable, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from rexnet_ai_real.images.preprocessing import Preprocessing

Transform = Callable[[Image], Tensor]
"""RGB image of any size -> (3, image_size, image_size), float32, normalised."""


def evaluation_transform(preprocessing: Preprocessing) -> Transform:
    """What validation, testing and prediction see: resized and normalised."""

    def transform(image: Image) -> Tensor:
        pixels = torch.from_numpy(preprocessing.to_array(image))
        return normalise(unit_range(pixels[None]), preprocessing)[0]

    return transform


def unit_range(pixels: Tensor) -> Tensor:
    """Pixels (N, H, W, 3), uint8 -> images (N, 3, H, W), float32, 0 to 1, in channels_last memory format."""
    return pixels.permute(0, 3, 1, 2).float() / 255


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, 3, H, W) of values from 0 to 1 -> what the network sees."""
    mean, std = _channels(preprocessing, images)
    return (images - mean) / std


def denormalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, 3, H, W) as the network sees it -> the same images with values from 0 to 1, for showing them."""
    mean, std = _channels(preprocessing, images)
    return (images * std + mean).clamp(0, 1)


def to_tensor(images: Sequence[Image], preprocessing: Preprocessing) -> Tensor:
    """A batch (N, 3, image_size, image_size) from decoded images."""
    transform = evaluation_transform(preprocessing)
    return torch.stack([transform(image) for image in images])


def _channels(preprocessing: Preprocessing, like: Tensor) -> tuple[Tensor, Tensor]:
    mean = torch.tensor(preprocessing.mean, device=like.device).view(1, 3, 1, 1)
    return mean, torch.tensor(preprocessing.std, device=like.device).view(1, 3, 1, 1)
