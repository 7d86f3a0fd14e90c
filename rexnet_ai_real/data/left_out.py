"""Held out whole: collections or generators dealt to the parts of a split, each to one side of it.

Computed from SHA-256 and whole numbers alone, like the rest of the split.
"""

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from rexnet_ai_real.images.layouts import plain_name
from rexnet_ai_real.labels import AI, REAL

IntArray = npt.NDArray[np.int64]


def generators(images: pd.DataFrame) -> "pd.Series[str]":
    """The generator of each image: its source without what spellings differ in, or else its collection.

    Args:
        images: rows of a manifest; source and collection are used.
    """
    names = images["source"].map(lambda source: "/".join(plain_name(folder) for folder in str(source).split("/")))
    return names.where(names != "", images["collection"])


def counts_of(images: pd.DataFrame, units: "pd.Series[str]") -> pd.DataFrame:
    """How many `real` and `ai` images each unit holds, by its name. Of one class alone, both are its count.

    Args:
        images: rows of a manifest; label is used.
        units: the collection or generator of each image.
    """
    ai = (images["label"] == AI).groupby(units).sum()
    real = (images["label"] == REAL).groupby(units).sum()
    return pd.DataFrame({"real": real if real.any() else ai, "ai": ai if ai.any() else real})


def most_parts(counts: pd.DataFrame) -> int:
    """Among how many parts the units can be dealt so that each part gets both classes.

    Args:
        counts: as `counts_of` gives them.
    """
    return _Supply.of(counts.to_numpy()).pairs


def dealt_whole(counts: pd.DataFrame, shares: Mapping[str, Fraction], key: str) -> dict[str, str]:
    """The part of each unit, so that every part gets both classes, and of each about its share.

    The largest units first, each to the part that it fits best: where the squared excess over the share grows least,
    summed over both classes, among the parts that leave enough units for those that still lack a class. Units of about
    the same size (within a factor of two) come in the order of a hash, so that another key gives other parts.

    Args:
        counts: as `counts_of` gives them.
        shares: of each part, above 0; at most `most_parts` of them.
        key: of the hashes.
    """
    sizes = {str(name): size for name, size in zip(counts.index, counts.to_numpy(), strict=True)}
    totals = counts.sum().to_numpy()
    order = sorted(sizes, key=lambda name: (-_magnitude(sizes[name], totals), _hash(key, name)))
    filled = {part: np.zeros(2, dtype=np.int64) for part in shares}
    part_of: dict[str, str] = {}
    for position, name in enumerate(order, 1):
        waiting = _Supply.of(_stacked(sizes[later] for later in order[position:]))
        costs = [
            (_growth(filled[part], sizes[name], totals, share), _hash(key, f"{part}/{name}"), part)
            for part, share in shares.items()
            if waiting.completes(_stacked({**filled, part: filled[part] + sizes[name]}.values()))
        ]
        part_of[name] = best = min(costs)[-1]
        filled[best] = filled[best] + sizes[name]
    return part_of


class _Supply(NamedTuple):
    """Units still to be dealt, by the classes that they hold."""

    both: int
    real: int
    ai: int

    @classmethod
    def of(cls, sizes: IntArray) -> "_Supply":
        """Sizes (n, 2): real, AI."""
        real, ai = sizes[:, 0] > 0, sizes[:, 1] > 0
        return cls(int((real & ai).sum()), int((real & ~ai).sum()), int((ai & ~real).sum()))

    @property
    def pairs(self) -> int:
        """How many empty parts they can give both classes."""
        return self.both + min(self.real, self.ai)

    def completes(self, filled: IntArray) -> bool:
        """Whether they can give every part (p, 2) the classes that it lacks."""
        lacking = _Supply.of(filled)  # of one class only: the other is needed
        empty = len(filled) - sum(lacking)
        ai, real = self.ai - lacking.real, self.real - lacking.ai
        both = self.both + min(ai, 0) + min(real, 0)  # a unit with both classes stands in for one that is missing
        return both >= 0 and _Supply(both, max(real, 0), max(ai, 0)).pairs >= empty


def _stacked(sizes: Iterable[IntArray]) -> IntArray:
    return np.array(list(sizes), dtype=np.int64).reshape(-1, 2)


def _growth(filled: IntArray, size: IntArray, totals: IntArray, share: Fraction) -> Fraction:
    """How much the sum over the classes of (share held)^2 / (share wanted) grows; least at the part furthest behind."""
    classes = zip(filled.tolist(), size.tolist(), totals.tolist(), strict=True)
    return sum((Fraction((2 * held + more) * more, total**2) for held, more, total in classes), Fraction(0)) / share


def _magnitude(size: IntArray, totals: IntArray) -> int:
    """The larger share of a class, to a factor of two."""
    parts = [(more << 16) // total for more, total in zip(size.tolist(), totals.tolist(), strict=True)]
    return int(max(parts)).bit_length()


def _hash(key: str, name: str) -> str:
    return hashlib.sha256(f"{key}/{name}".encode(errors="surrogateescape")).hexdigest()
