"""Balanced batches: as many real as AI images in each, and every collection in its turn."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch.utils.data import Sampler

from rexnet_ai_real.labels import AI, REAL

IntArray = npt.NDArray[np.int64]
_GOLDEN: Final = (5**0.5 - 1) / 2


class BalancedByEpoch(Sampler[int]):
    """Pairs of a real and an AI image, in random order, as many images an epoch as there are.

    Within a class a collection gets a share in proportion to the square root of its size: of two collections with 900
    and 9 images the small one is a tenth of what is drawn, not a hundredth and not half, so that its images come ten
    times as often as the others, and not a hundred times. Whose turn it is follows the golden ratio's sequence, which
    keeps these shares in any stretch of it, and so in every batch. Within a collection, images come in a random order,
    each once before any comes again, from one epoch to the next. All follows from the seed and the epoch, so that a
    resumed run goes on as if it had not been interrupted.
    """

    def __init__(self, rows: pd.DataFrame, seed: int) -> None:
        """`rows` of the manifest: label and collection are used; their positions are what is drawn."""
        self.count = len(rows)
        self.seed = seed
        self.epoch = 0
        labels, collections = rows["label"].to_numpy(), rows["collection"].to_numpy()
        self.classes = [_Class(labels == label, collections, seed * 2 + label) for label in (REAL, AI)]

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of images."""
        return self.count

    def __iter__(self) -> Iterator[int]:
        """Positions, in this epoch's order."""
        pairs = (self.count + 1) // 2
        drawn = np.stack([of_class.drawn(self.epoch * pairs, pairs) for of_class in self.classes], axis=1)
        # Else each of two processes, which take every second image, would get one class.
        swapped = _generator(self.seed, -1, self.epoch).random(pairs) < 0.5
        drawn[swapped] = drawn[swapped][:, ::-1]
        yield from drawn.ravel()[: self.count].tolist()


class _Class:
    """The endless sequence of the images of one class."""

    def __init__(self, is_mine: "npt.NDArray[np.bool_]", collections: "npt.NDArray[np.object_]", seed: int) -> None:
        self.seed = seed
        names = sorted(set(collections[is_mine]))
        self.members = [np.flatnonzero(is_mine & (collections == name)) for name in names]
        weights = np.sqrt([len(members) for members in self.members])
        self.edges = np.cumsum(weights / weights.sum())[:-1]
        self.start = _generator(seed, -2, 0).random()

    def drawn(self, start: int, count: int) -> IntArray:
        """The positions (count,) from the one numbered `start` on."""
        turns = np.searchsorted(self.edges, (self.start + np.arange(start + count) * _GOLDEN) % 1, side="right")
        before, now = turns[:start], turns[start:]
        result = np.empty(count, dtype=np.int64)
        for number, members in enumerate(self.members):
            here = np.flatnonzero(now == number)
            first = int((before == number).sum())
            rounds, places = np.divmod(first + np.arange(len(here)), len(members))
            for round_ in np.unique(rounds):
                order = _generator(self.seed, number, int(round_)).permutation(members)
                result[here[rounds == round_]] = order[places[rounds == round_]]
        return result


def _generator(*numbers: int) -> np.random.Generator:
    return np.random.default_rng([number + 2 for number in numbers])
