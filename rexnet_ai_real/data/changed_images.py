"""Training images that are decoded and changed one by one in every epoch, in the loader's processes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from rexnet_ai_real.config import AugmentConfig, PairsConfig
from rexnet_ai_real.data.image_changes import ImageChange
from rexnet_ai_real.data.prepared import Original
from rexnet_ai_real.data.reconstruction import Reconstructions, blended
from rexnet_ai_real.images.decode import decode_then
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing
from rexnet_ai_real.labels import AI, REAL


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


@dataclass(frozen=True)
class Pairs:
    """What some real images bring along: their reconstruction, labelled AI."""

    reconstructions: Reconstructions
    config: PairsConfig

    def drawn(self, original: Original, seed: Sequence[int]) -> tuple[Image.Image, Image.Image] | None:
        """The photograph and its copy; None where these numbers bring none."""
        random = np.random.default_rng([*seed, 2])  # others than those of the changes
        if random.random() >= self.config.share:
            return None
        photograph, copy = self.reconstructions.pair(original)
        return photograph, blended(photograph, copy, self.config.blend, random)


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
        pairs: Pairs | None = None,
    ) -> None:
        """`rows` of the manifest, whose index holds the row numbers, and the files of the images, in the same order."""
        self.originals = originals
        self.labels = torch.tensor(rows["label"].astype(int).tolist())
        self.indices = torch.tensor(rows.index.tolist())
        self.preprocessing = preprocessing
        self.augment = augment
        self.seed = seed
        self.max_pixels = max_pixels
        self.pairs = pairs

    def __len__(self) -> int:
        """Number of images."""
        return len(self.originals)

    def __getitems__(self, draws: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """One batch, as `datamodule.Batch` is; the copies come last.

        Raises:
            UnreadableImage: a file changed or vanished since the manifest was made.
        """
        positions = [draw % len(self) for draw in draws]
        pixels: list[Pixels] = []
        copies: dict[int, Pixels] = {}
        for place, (draw, position) in enumerate(zip(draws, positions, strict=True)):
            change = ImageChange.drawn(self.augment, self.preprocessing, (self.seed, draw))
            original, pair = self.originals[position], None
            if self.pairs and self.labels[position] == REAL:
                pair = self.pairs.drawn(original, change.seed)
            if pair is None:
                pixels.append(self._changed(original, change))
            else:
                pixels.append(change(pair[0]))
                copies[place] = change(pair[1])
        labels = torch.cat([self.labels[positions], torch.full((len(copies),), AI)])
        rows = torch.cat([self.indices[positions], -1 - torch.tensor(list(copies), dtype=torch.long)])
        return torch.from_numpy(np.stack([*pixels, *copies.values()])), labels, rows

    def _changed(self, original: Original, change: ImageChange) -> Pixels:
        return original.read(lambda data: decode_then(change, data, max_pixels=self.max_pixels, enough=change.enough))
