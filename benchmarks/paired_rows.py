"""Rows of an ablation table as numbers: metrics of out-of-fold predictions, their intervals, the step between two rows.

One resample draws the same duplicate groups for every row and seed, so that differences are taken within a resample.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.binary import METRICS, plain_values, resampled_metrics
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval, resampling_weights
from rexnet_ai_real.metrics.definitions import Summation
from rexnet_ai_real.metrics.scores import BoolArray, FloatArray, Scores

HOME: Final = ("accuracy", "f1", "auroc")
"""Metrics of all out-of-fold predictions together, at a threshold of 0.5."""
MEAN: Final = "mean"
"""Of the AUROC over collections, beside which `Measured` has each collection under its own name."""


@dataclass(frozen=True)
class Measured:
    """Metrics of one row of the table: means over its seeds."""

    names: tuple[str, ...]
    """Of the metrics, or of collections."""
    images: tuple[str, ...]
    """Paths of the images measured, sorted."""
    by_seed: FloatArray
    """(seeds, names)"""
    samples: FloatArray
    """(resamples, names) of the means over seeds; NaN where a resample does not define one."""

    def estimate(self, name: str) -> Estimate:
        """The mean over seeds with the 95 % interval of resampled images."""
        k = self.names.index(name)
        low, high = percentile_interval(self.samples[:, [k]])
        return Estimate(float(self.by_seed[:, k].mean()), float(low[0]), float(high[0]))

    def spread(self, name: str) -> float | None:
        """Standard deviation (n - 1) over seeds; None of a single one."""
        values = self.by_seed[:, self.names.index(name)]
        return float(values.std(ddof=1)) if len(values) > 1 else None

    @property
    def worst(self) -> str:
        """The collection with the lowest AUROC, of what `abroad` measured."""
        values = self.by_seed.mean(axis=0)
        return self.names[1 + int(np.nanargmin(values[1:]))]


def at_home(seeds: Sequence[pd.DataFrame], images: Sequence[str], *, resamples: int = 2000) -> Measured:
    """The metrics of HOME.

    Args:
        seeds: out-of-fold predictions (path, label, group, logit) of each seed.
        images: paths that all of them have.
        resamples: of the bootstrap.
    """
    chosen = [list(METRICS).index(name) for name in HOME]
    scores = [_scores(table, images) for table in seeds]
    values = np.stack([plain_values(of_seed, 0.5)[chosen] for of_seed in scores])
    samples = [resampled_metrics(s, threshold=0.5, resamples=resamples, seed=0)[:, chosen] for s in scores]
    return Measured(HOME, tuple(images), values, np.mean(samples, axis=0))


def abroad(seeds: Sequence[pd.DataFrame], images: Sequence[str], *, by: str, resamples: int = 2000) -> Measured:
    """AUROC of each collection, or of each generator, and, under MEAN, their mean.

    One with a single class is held against the left-out images of the other class of all.

    Args:
        seeds: out-of-fold predictions (path, label, group, logit and the column `by`) of each seed.
        images: paths that all of them have.
        by: collection; or source, of which those of AI images count.
        resamples: of the bootstrap.

    Raises:
        UserError: no image has such a name.
    """
    scores = [_scores(table, images) for table in seeds]
    labels = scores[0].labels
    origins = seeds[0].set_index("path").loc[list(images), by].to_numpy(dtype=object)
    names = sorted(set(origins[labels == AI] if by == "source" else origins) - {""})
    if not names:
        raise UserError(f"the out-of-fold predictions name no {by} of any image: were the folds made by data.split_by?")
    chosen = [_opposed(origins == name, labels) for name in names]
    values = np.concatenate([_auroc_of_each(s, chosen, [np.ones((1, len(images)))]) for s in scores])
    samples = [
        _auroc_of_each(of_seed, chosen, resampling_weights(of_seed.groups, resamples, seed=0)) for of_seed in scores
    ]
    return Measured((MEAN, *names), tuple(images), _with_mean(values), _with_mean(np.mean(samples, axis=0)))


def step(row: Measured, before: Measured, name: str) -> Estimate:
    """How much one metric changed from the row before, with its paired 95 % interval.

    Both are of the same images.
    """
    k, j = row.names.index(name), before.names.index(name)
    low, high = percentile_interval((row.samples[:, k] - before.samples[:, j])[:, None])
    return Estimate(row.estimate(name).value - before.estimate(name).value, float(low[0]), float(high[0]))


def _scores(table: pd.DataFrame, images: Sequence[str]) -> Scores:
    rows = table.set_index("path").loc[list(images)]
    return Scores.of(rows["label"], rows["logit"], rows["group"].astype(str))


def _opposed(own: BoolArray, labels: npt.NDArray[np.int64]) -> BoolArray:
    """The images of a collection, with all of the class that it lacks."""
    lacking = [label for label in (REAL, AI) if not (labels[own] == label).any()]
    return own | np.isin(labels, lacking)


def _auroc_of_each(scores: Scores, chosen: Sequence[BoolArray], drawn: Iterable[FloatArray]) -> FloatArray:
    """Chunks of weights (r, n) -> AUROC of each choice of images, (all r, choices)."""
    summations = [Summation.of(scores.rows(np.flatnonzero(rows)), 0.5) for rows in chosen]
    chunks = []
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample without one class
        for weights in drawn:
            of_each = zip(summations, chosen, strict=True)
            chunks.append(np.stack([METRICS["auroc"].compute(s(weights[:, rows])) for s, rows in of_each], axis=1))
    return np.concatenate(chunks)


def _with_mean(values: FloatArray) -> FloatArray:
    """Prepend the mean over the collections that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    sums, counts = np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1)
    mean = np.where(counts, sums / np.maximum(counts, 1), np.nan)
    return np.concatenate([mean[:, None], values], axis=1)
