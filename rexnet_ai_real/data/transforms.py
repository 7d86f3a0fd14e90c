"""From an RGB picture to what the network sees: one preprocessing for every use, random changes for training."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import PIL.Image
import torch
from PIL.Image import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from rexnet_ai_real.config import AugmentConfig, DataConfig


@dataclass(frozen=True)
class Preprocessing:
    """Resize and normalise. Travels with the trained weights, so that every later use sees pictures the same way."""

    image_size: int
    resize: str
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, data: DataConfig) -> "Preprocessing":
        """The part of the data settings that the network depends on."""
        return cls(data.image_size, data.resize, data.interpolation, tuple(data.mean), tuple(data.std))

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Preprocessing":
        """The inverse of `to_plain`."""
        return cls(**{**plain, "mean": tuple(plain["mean"]), "std": tuple(plain["std"])})

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for checkpoints and JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    def transform(self) -> v2.Transform:
        """RGB picture -> float tensor (3, image_size, image_size), normalised."""
        return v2.Compose([v2.ToImage(), *self._resize(), *self._normalise()])

    def training_transform(self, augment: AugmentConfig) -> v2.Transform:
        """The same, with the random changes that `augment` asks for in between."""
        return v2.Compose(
            [v2.ToImage(), *self._crop(augment), *_changes(augment), *self._normalise(), *_erase(augment)]
        )

    def denormalise(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) as the network sees it -> the same pictures with values from 0 to 1, for showing them."""
        mean = torch.tensor(self.mean, device=pictures.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=pictures.device).view(1, 3, 1, 1)
        return (pictures * std + mean).clamp(0, 1)

    def _mode(self) -> InterpolationMode:
        return InterpolationMode(self.interpolation)

    def _resize(self) -> list[v2.Transform]:
        size = self.image_size
        if self.resize == "squash":
            return [v2.Resize((size, size), self._mode(), antialias=True)]
        return [v2.Resize(size, self._mode(), antialias=True), v2.CenterCrop(size)]

    def _crop(self, augment: AugmentConfig) -> list[v2.Transform]:
        if augment.crop_scale == 1:
            return self._resize()
        scale = (augment.crop_scale, 1.0)
        return [v2.RandomResizedCrop(self.image_size, scale, interpolation=self._mode(), antialias=True)]

    def _normalise(self) -> list[v2.Transform]:
        return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(self.mean), list(self.std)), v2.ToPureTensor()]


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


def to_tensor(pictures: Sequence[Image], preprocessing: Preprocessing) -> Tensor:
    """A batch (N, 3, image_size, image_size) from decoded pictures."""
    transform = preprocessing.transform()
    return torch.stack([transform(picture) for picture in pictures])
