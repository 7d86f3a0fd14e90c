"""From an RGB picture to what the network trains on: the common preprocessing, and random changes before it."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import PIL.Image
import torch
from PIL.Image import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from rexnet_ai_real.config import AugmentConfig
from rexnet_ai_real.preprocessing import ENOUGH, Preprocessing

Transform = Callable[[Image], Tensor]
"""RGB picture of any size -> (3, image_size, image_size), float32, normalised."""


def evaluation_transform(preprocessing: Preprocessing) -> Transform:
    """What validation, testing and prediction see: resized and normalised."""
    return v2.Compose([v2.Lambda(preprocessing.to_array), v2.ToImage(), *_normalised(preprocessing)])  # type: ignore[no-any-return]


def training_transform(preprocessing: Preprocessing, augment: AugmentConfig) -> Transform:
    """The same, with the random changes that `augment` asks for in between."""
    resized = [v2.Lambda(preprocessing.to_array), v2.ToImage()]
    if augment.crop_scale < 1:
        mode = InterpolationMode(preprocessing.interpolation)
        scale = (augment.crop_scale, 1.0)
        resized = [v2.ToImage(), v2.RandomResizedCrop(preprocessing.image_size, scale, interpolation=mode)]
    changes = [*resized, *_changes(augment), *_normalised(preprocessing), *_erase(augment)]
    return v2.Compose(changes)  # type: ignore[no-any-return]


def enough_for_training(preprocessing: Preprocessing, augment: AugmentConfig) -> int:
    """Pixels a side that suffice (`decode`): as many as for prediction, in the smallest random crop too."""
    return math.ceil(ENOUGH * preprocessing.image_size / math.sqrt(augment.crop_scale))


def denormalise(pictures: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, 3, H, W) as the network sees it -> the same pictures with values from 0 to 1, for showing them."""
    mean = torch.tensor(preprocessing.mean, device=pictures.device).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std, device=pictures.device).view(1, 3, 1, 1)
    return (pictures * std + mean).clamp(0, 1)


def to_tensor(pictures: Sequence[Image], preprocessing: Preprocessing) -> Tensor:
    """A batch (N, 3, image_size, image_size) from decoded pictures."""
    transform = evaluation_transform(preprocessing)
    return torch.stack([transform(picture) for picture in pictures])


class JpegRoundTrip(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Compress a uint8 picture with a random JPEG quality and decompress it (Pillow: torchvision retires its own)."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, lowest: int, highest: int) -> None:
        """Both qualities are possible."""
        super().__init__()
        self.lowest = lowest
        self.highest = highest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """One quality for the picture."""
        return {"quality": int(torch.randint(self.lowest, self.highest + 1, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Encode and decode in memory."""
        stored = io.BytesIO()
        v2.functional.to_pil_image(inpt).save(stored, "JPEG", quality=params["quality"])
        return v2.functional.to_image(PIL.Image.open(stored))


def _changes(augment: AugmentConfig) -> list[v2.Transform]:
    changes: list[v2.Transform] = []
    if augment.flip:
        changes.append(v2.RandomHorizontalFlip(augment.flip))
    if augment.rotation:
        changes.append(v2.RandomRotation([-augment.rotation, augment.rotation], InterpolationMode.BILINEAR))
    if augment.brightness or augment.contrast or augment.saturation:
        changes.append(v2.ColorJitter(augment.brightness, augment.contrast, augment.saturation))
    if augment.blur:
        changes.append(v2.RandomApply([v2.GaussianBlur(9, sigma=(0.1, 2.0))], augment.blur))
    if augment.jpeg:
        changes.append(v2.RandomApply([JpegRoundTrip(50, 95)], augment.jpeg))
    return changes


def _erase(augment: AugmentConfig) -> Sequence[v2.Transform]:
    # After normalisation, so that the blank is the mean colour (0).
    return [v2.RandomErasing(augment.erasing)] if augment.erasing else []


def _normalised(preprocessing: Preprocessing) -> list[v2.Transform]:
    mean, std = list(preprocessing.mean), list(preprocessing.std)
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std), v2.ToPureTensor()]
