"""Scores: true labels, logits and duplicate groups of the same images, checked once and trusted after."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from rexnet_ai_real.labels import AI, REAL

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Logits of n images with their labels and groups. Build it with `Scores.of`, which checks them."""

    labels: IntArray
    """(n,) 0 real, 1 AI-generated."""
    logits: FloatArray
    """(n,) finite log-odds of "AI-generated"."""
    groups: IntArray
    """(n,) numbers 0 ... n_groups - 1; images of one group are near-duplicates and are drawn together."""

    @classmethod
    def of(cls, labels: npt.ArrayLike, logits: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> "Scores":
        """Check and convert three columns of equal length; groups may hold numbers or names, None: each image alone.

        Raises:
            ValueError: columns that are not flat or differ in length, labels other than 0 and 1, logits not finite.
        """
        label_column, logit_column = np.asarray(labels), np.asarray(logits, dtype=np.float64)
        group_column = np.arange(label_column.size) if groups is None else np.asarray(groups)
        shapes = [column.shape for column in (label_column, logit_column, group_column)]
        if label_column.ndim != 1 or len(set(shapes)) > 1:
            raise ValueError(
                f"labels, logits and groups have the shapes {', '.join(map(str, shapes))}; "
                "expected three flat columns with one entry per image"
            )
        strange = sorted({str(label) for label in label_column[~np.isin(label_column, (REAL, AI))].tolist()})
        if strange:
            raise ValueError(f"labels must be {REAL} (real) or {AI} (AI-generated), found {', '.join(strange[:5])}")
        broken = np.flatnonzero(~np.isfinite(logit_column))
        if broken.size:
            rows = ", ".join(map(str, broken[:5])) + (" ..." if broken.size > 5 else "")
            raise ValueError(
                f"{broken.size} of {logit_column.size} logits are NaN or infinite (rows {rows}, counted from 0); "
                "leave these images out or predict them again"
            )
        group_numbers = np.unique(group_column, return_inverse=True)[1]
        return cls(label_column.astype(np.int64), logit_column, group_numbers.astype(np.int64))

    @property
    def probabilities(self) -> FloatArray:
        """(n,) P(AI-generated)."""
        return np.asarray(expit(self.logits), dtype=np.float64)

    @property
    def n_real(self) -> int:
        """Real images."""
        return int(np.sum(self.labels == REAL))

    @property
    def n_ai(self) -> int:
        """AI-generated images."""
        return int(np.sum(self.labels == AI))

    @property
    def n_groups(self) -> int:
        """Duplicate groups: independent observations."""
        return int(self.groups.max()) + 1 if self.groups.size else 0

    def rows(self, chosen: IntArray) -> "Scores":
        """The images in these rows, with their groups renumbered."""
        groups = np.unique(self.groups[chosen], return_inverse=True)[1].astype(np.int64)
        return Scores(self.labels[chosen], self.logits[chosen], groups)

    def groups_among(self, chosen: BoolArray) -> int:
        """How many groups the chosen images (mask, (n,)) come from: the number of independent observations."""
        return int(np.unique(self.groups[chosen]).size)

    def one_per_group(self, among: BoolArray) -> IntArray:
        """Rows of the first image of each group among some (mask, (n,)): near-duplicates are not independent trials."""
        rows = np.flatnonzero(among)
        return rows[np.unique(self.groups[rows], return_index=True)[1]]

    def __len__(self) -> int:
        return self.labels.size
