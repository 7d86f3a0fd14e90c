"""Rows of an ablation table as numbers: metrics of out-of-fold predictions, their intervals, the step between two rows.

One resample draws the same duplicate groups for every row and seed, so that differences are taken within a resample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from rexnet_ai_real.data.left_out import generators
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.binary import METRICS, plain_values, resampled_metrics
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval, resampling_weights
from rexnet_ai_real.metrics.definitions import Summation
from rexnet_ai_real.metrics.left_out import ranked_against
from rexnet_ai_real.metrics.scores import BoolArray, FloatArray, IntArray, Scores

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
    groups: IntArray
    """(images,) numbers of their near-duplicate groups: what a resample draws."""
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


def groups_of(table: pd.DataFrame) -> "pd.Series[str]":
    """The near-duplicate group of each path of a table (path, group)."""
    return table.set_index("path")["group"].astype(str)


def at_home(
    seeds: Sequence[pd.DataFrame], images: Sequence[str], groups: "pd.Series[str]", *, resamples: int = 2000
) -> Measured:
    """The metrics of HOME.

    Args:
        seeds: out-of-fold predictions (path, label, logit) of each seed.
        images: paths that all of them have.
        groups: as `groups_of` gives them; the same for all that is compared, so that it is paired.
        resamples: of the bootstrap.
    """
    chosen = [list(METRICS).index(name) for name in HOME]
    scores = [_scores(table, images, groups) for table in seeds]
    values = np.stack([plain_values(of_seed, 0.5)[chosen] for of_seed in scores])
    samples = [resampled_metrics(s, threshold=0.5, resamples=resamples, seed=0)[:, chosen] for s in scores]
    return Measured(HOME, tuple(images), scores[0].groups, values, np.mean(samples, axis=0))


def abroad(
    seeds: Sequence[pd.DataFrame],
    images: Sequence[str],
    groups: "pd.Series[str]",
    *,
    by: str,
    resamples: int = 2000,
) -> Measured:
    """AUROC of each collection, or of each generator, and, under MEAN, their mean.

    Each is ranked as `metrics.left_out` says.

    Args:
        seeds: out-of-fold predictions (path, label, fold, logit, source, collection) of each seed.
        images: paths that all of them have.
        groups: as `groups_of` gives them; the same for all that is compared, so that it is paired.
        by: collection; or source, for the generators of AI images.
        resamples: of the bootstrap.

    Raises:
        UserError: no image has such a name.
    """
    rows = [table.set_index("path").loc[list(images)] for table in seeds]
    scores = [_scores(table, images, groups) for table in seeds]
    names = generators(rows[0]).where(rows[0]["label"] == AI, "") if by == "source" else rows[0]["collection"]
    found = sorted(set(names) - {""})
    if not found:
        raise UserError(f"the out-of-fold predictions name no {by} of any image: were the folds made by data.split_by?")
    values, samples = [], []
    for of_seed, fold in zip(scores, (table["fold"] for table in rows), strict=True):
        owned = [(names == name).to_numpy() for name in found]
        chosen = [own | ranked_against(own, of_seed.labels, fold) for own in owned]
        summations = [Summation.of(of_seed.rows(np.flatnonzero(mask)), 0.5) for mask in chosen]
        values.append(_auroc_of_each(summations, chosen, np.ones((1, len(images)))))
        drawn = resampling_weights(of_seed.groups, resamples, seed=0)
        samples.append(np.concatenate([_auroc_of_each(summations, chosen, weights) for weights in drawn]))
    means = _with_mean(np.concatenate(values)), _with_mean(np.mean(samples, axis=0))
    return Measured((MEAN, *found), tuple(images), scores[0].groups, *means)


def step(row: Measured, before: Measured, name: str) -> Estimate:
    """How much one metric changed from the row before, with its paired 95 % interval.

    Raises:
        UserError: they are of different images or groups, so that their resamples differ.
    """
    if row.images != before.images or not np.array_equal(row.groups, before.groups):
        raise UserError("two rows were measured on different images or near-duplicate groups: they cannot be paired")
    k, j = row.names.index(name), before.names.index(name)
    low, high = percentile_interval((row.samples[:, k] - before.samples[:, j])[:, None])
    return Estimate(row.estimate(name).value - before.estimate(name).value, float(low[0]), float(high[0]))


def _scores(table: pd.DataFrame, images: Sequence[str], groups: "pd.Series[str]") -> Scores:
    rows = table.set_index("path").loc[list(images)]
    return Scores.of(rows["label"], rows["logit"], groups.loc[list(images)])


def _auroc_of_each(summations: Sequence[Summation], chosen: Sequence[BoolArray], weights: FloatArray) -> FloatArray:
    """Weights (r, n) -> AUROC of each choice of images, (r, choices)."""
    of_each = zip(summations, chosen, strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample without one class
        return np.stack([METRICS["auroc"].compute(s(weights[:, mask])) for s, mask in of_each], axis=1)


def _with_mean(values: FloatArray) -> FloatArray:
    """Prepend the mean over the collections that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    sums, counts = np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1)
    mean = np.where(counts, sums / np.maximum(counts, 1), np.nan)
    return np.concatenate([mean[:, None], values], axis=1)
