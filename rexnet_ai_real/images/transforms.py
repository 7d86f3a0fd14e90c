"""Decoded pictures and bytes of pixels to what the network sees, and back."""

from collections.abc import Callable, Sequence

import torch
from PIL.Image import Image
from torch import Tensor

from rexnet_ai_real.images.preprocessing import Preprocessing

Transform = Callable[[Image], Tensor]
"""RGB picture of any size -> (3, image_size, image_size), float32, normalised."""


def evaluation_transform(preprocessing: Preprocessing) -> Transform:
    """What validation, testing and prediction see: resized and normalised."""

    def transform(picture: Image) -> Tensor:
        pixels = torch.from_numpy(preprocessing.to_array(picture))
        return normalise(unit_range(pixels[None]), preprocessing)[0]

    return transform


def unit_range(pixels: Tensor) -> Tensor:
    """Pixels (N, H, W, 3), uint8 -> pictures (N, 3, H, W), float32, 0 to 1, in memory as before (channels_last)."""
    return pixels.permute(0, 3, 1, 2).float() / 255


def normalise(pictures: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, 3, H, W) of values from 0 to 1 -> what the network sees."""
    mean, std = _channels(preprocessing, pictures)
    return (pictures - mean) / std


def denormalise(pictures: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, 3, H, W) as the network sees it -> the same pictures with values from 0 to 1, for showing them."""
    mean, std = _channels(preprocessing, pictures)
    return (pictures * std + mean).clamp(0, 1)


def to_tensor(pictures: Sequence[Image], preprocessing: Preprocessing) -> Tensor:
    """A batch (N, 3, image_size, image_size) from decoded pictures."""
    transform = evaluation_transform(preprocessing)
    return torch.stack([transform(picture) for picture in pictures])


def _channels(preprocessing: Preprocessing, like: Tensor) -> tuple[Tensor, Tensor]:
    mean = torch.tensor(preprocessing.mean, device=like.device).view(1, 3, 1, 1)
    return mean, torch.tensor(preprocessing.std, device=like.device).view(1, 3, 1, 1)
