"""Training images that are decoded and changed one by one in every epoch, in the loader's processes."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rexnet_ai_real.config import AugmentConfig
from rexnet_ai_real.data.image_changes import ImageChange
from rexnet_ai_real.data.prepared import Original
from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.preprocessing import Preprocessing


class Draws(Sampler[int]):
    """Another sampler's positions, each with a number of its own in all of the training: turn * count + position.

    What is random about an image depends on this number alone: not on the process that decodes it, nor on whether the
    run was resumed. A sampler may give the same position several times in an epoch.
    """

    def __init__(self, sampler: Sampler[int], count: int) -> None:
        """`count`: how many images there are to take positions of."""
        self.sampler = sampler
        self.count = count
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch
        self.sampler.set_epoch(epoch)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        """Number of images in an epoch."""
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        """The draws of this epoch, in its order."""
        for place, position in enumerate(self.sampler):
            yield (self.epoch * len(self) + place) * self.count + position


class ChangedImages(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Whole batches of training images, by draw; plain positions are the draws of a first turn."""

    def __init__(
        self,
        rows: pd.DataFrame,
        originals: Sequence[Original],
        preprocessing: Preprocessing,
        augment: AugmentConfig,
        *,
        seed: int,
        max_pixels: int,
    ) -> None:
        """`rows` of the manifest, whose index holds the row numbers, and the files of the images, in the same order."""
        self.originals = originals
        self.labels = torch.tensor(rows["label"].astype(int).tolist())
        self.indices = torch.tensor(rows.index.tolist())
        self.preprocessing = preprocessing
        self.augment = augment
        self.seed = seed
        self.max_pixels = max_pixels

    def __len__(self) -> int:
        """Number of images."""
        return len(self.originals)

    def __getitems__(self, draws: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """One batch, as `datamodule.Batch` is.

        Raises:
            UnreadableImage: a file changed or vanished since the manifest was made.
        """
        positions, pixels = [draw % len(self) for draw in draws], []
        for draw, position in zip(draws, positions, strict=True):
            change = ImageChange.drawn(self.augment, self.preprocessing, (self.seed, draw))
            pixels.append(
                self.originals[position].read(
                    lambda data, change=change: decode_then(  # type: ignore[misc]
                        change, data, max_pixels=self.max_pixels, enough=change.enough
                    )
                )
            )
        return torch.from_numpy(np.stack(pixels)), self.labels[positions], self.indices[positions]
