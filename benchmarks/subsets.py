"""Nested subsets of many collections: more collections, more generators or more images, the rest held fixed.

What a larger subset holds, the next one holds too. Classes are of equal size, and collections (or generators) take
turns, so that a subset is not that of its largest collection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.left_out import generators
from rexnet_ai_real.data.sources import listing, locate
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import AI, LABELS, REAL

AXES: Final = ("collections", "generators", "images")
"""What grows from subset to subset."""


@dataclass(frozen=True, eq=False)
class Subset:
    """The training images of one point of a curve."""

    axis: str
    size: int
    """Collections, generators or images."""
    images: pd.DataFrame
    """As `read_collections` gives them."""

    @property
    def name(self) -> str:
        """Of its files: collections-4."""
        return f"{self.axis}-{self.size}"


def read_collections(roots: Sequence[Path]) -> pd.DataFrame:
    """Every image of known class: path (absolute), label, collection and generator; near-duplicates are still there.

    A collection is named by its root's folder, with that of its parent where two are called the same. Spellings of one
    generator are one; images of an unknown one are that of their collection.

    Raises:
        MissingImagesError: a root holds no images of a known class.
    """
    names = [root.name for root in roots]
    rows = []
    for root in roots:
        collection = root.name if names.count(root.name) == 1 else f"{root.parent.name}/{root.name}"
        data = DataConfig(name="folder", root=str(root))
        for file in listing(data, locate(data)):
            if file.label is not None:
                path = str((root if root.is_dir() else root.parent).absolute() / file.path)
                rows.append((path, file.label, collection, file.source))
    images = pd.DataFrame(rows, columns=["path", "label", "collection", "source"])
    return images.assign(generator=generators(images)).drop(columns="source")


def subsets(images: pd.DataFrame, axis: str, *, count: int, points: int, seed: int = 0) -> list[Subset]:
    """The subsets of one curve, the smallest first, in equal ratios of their sizes.

    Args:
        images: all that may be trained on.
        axis: one of AXES.
        count: images of each subset, where their number is held fixed; else those of the smallest one.
        points: subsets at most.
        seed: of the order of images.

    Raises:
        UserError: there are not `count` images, half of them of each class.
    """
    counts = images["label"].value_counts()
    smaller = min(int(counts.get(REAL, 0)), int(counts.get(AI, 0)))
    if count > 2 * smaller:
        raise UserError(f"--images {count}: with both classes alike there are {2 * smaller}; give at most that")
    shuffled = images.sample(frac=1, random_state=seed)
    if axis == "images":
        return [Subset(axis, size, _balanced(shuffled, size)) for size in _sizes(count, 2 * smaller, points, step=2)]
    column = axis.removesuffix("s")
    grown = shuffled if axis == "collections" else shuffled[shuffled["label"] == AI]
    wanted = (REAL, AI) if axis == "collections" else (AI,)
    order = _largest_first(grown, column)
    first = next(k for k in range(1, len(order) + 1) if _has(grown[grown[column].isin(order[:k])], count, wanted))
    made = []
    for size in _sizes(first, len(order), points):
        chosen = shuffled[column].isin(order[:size])
        # Real images have no generator: they are the same at every point.
        pool = shuffled[chosen | (shuffled["label"] == REAL)] if axis == "generators" else shuffled[chosen]
        made.append(Subset(axis, size, _balanced(pool, count, by=column)))
    return made


def write_list(file: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
    """A table that `data=folder data.root=FILE` reads: the images to train on, and the test part."""
    from rexnet_ai_real.files import write_csv

    table = pd.concat([train.assign(part="train"), test.assign(part="test")])
    labels = table["label"].map(dict(enumerate(LABELS)))
    named = {"file_name": table["path"], "label": labels, "source": table["generator"], "part": table["part"]}
    write_csv(file, pd.DataFrame(named))


def _largest_first(images: pd.DataFrame, column: str) -> list[str]:
    """Those of both classes first, then by size, so that even the smallest subset holds enough images."""
    sizes = images.groupby(column)["label"].agg(["nunique", "size"]).reset_index()
    ordered = sizes.sort_values(["nunique", "size", column], ascending=[False, False, True])
    return [str(name) for name in ordered[column]]


def _has(images: pd.DataFrame, count: int, wanted: Sequence[int]) -> bool:
    """Whether each of the classes wanted has its half of the images."""
    classes = images["label"].value_counts()
    return all(int(classes.get(label, 0)) >= count // 2 for label in wanted)


def _balanced(images: pd.DataFrame, count: int, by: str = "collection") -> pd.DataFrame:
    """Half of each class; the groups of `by` take turns."""
    parts = []
    for label in (REAL, AI):
        own = images[images["label"] == label]
        turns = own.groupby(by if label == AI else "collection").cumcount()
        parts.append(own.loc[turns.sort_values(kind="stable").index[: count // 2]])
    return pd.concat(parts)


def _sizes(first: int, last: int, points: int, step: int = 1) -> list[int]:
    """From first to last in equal ratios, in multiples of `step`."""
    ratios = np.geomspace(first, last, points)
    return sorted({first, last // step * step, *(round(size / step) * step for size in ratios[1:-1])})
