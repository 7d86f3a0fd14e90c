"""The expected calibration error in equal bins, and an interval for it that holds where it is near zero.

The plain bootstrap fails here. An ECE is a sum of absolute values, so chance alone lifts it: at 200 images a
perfectly calibrated detector shows 0.07, a resample of them still more, and the percentile interval never covered
the truth (0 of 300 simulations).
"""

import numpy as np

from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.bootstrap import LEVEL, Estimate
from rexnet_ai_real.metrics.scores import FloatArray, IntArray

ECE_BINS = 15


def bin_numbers(probability: FloatArray) -> IntArray:
    """In which of the 15 bins each probability lies; 1.0 belongs to the last."""
    return np.minimum((probability * ECE_BINS).astype(np.int64), ECE_BINS - 1)


def bin_gaps(labels: IntArray, probability: FloatArray) -> FloatArray:
    """What an image adds to its bin's "observed minus predicted", (n, bins): label - P(AI), 0 elsewhere."""
    return np.asarray((bin_numbers(probability)[:, None] == np.arange(ECE_BINS)) * (labels - probability)[:, None])


def ece_estimate(
    value: float,
    resampled: tuple[float, float],
    shares: FloatArray,
    groups: IntArray,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Estimate:
    """The value with an interval made of two parts.

    The ends of the percentile interval `resampled` are reflected about the value. This removes the upward bias twice:
    once for the resamples and once for the sample. The lower end is 0 where a perfectly calibrated detector
    would show as much by chance (consistency resampling, Broecker and Smith 2007; here the sums of the bins are drawn
    as normal, with the variance seen between duplicate groups). Over 300 simulations each, with 100, 200 and 1,000
    images of a calibrated and two overconfident detectors, 90 to 99 % of the intervals held the truth.

    Args:
        value: sum over bins of the absolute column sums of `shares`.
        resampled: the percentile interval of the same sum over bootstrap resamples.
        shares: (n, bins) what each image adds to the sum of its bin, weights included.
        groups: (n,) numbers of duplicate groups from 0.
        draws: of a perfectly calibrated detector.
        seed: of the drawing.
    """
    by_group = np.zeros((int(groups.max()) + 1, shares.shape[1]))
    np.add.at(by_group, groups, shares)
    spread = np.sqrt((by_group**2).sum(axis=0))
    by_chance = np.abs(np.random.default_rng(seed).normal(size=(draws, spread.size)) * spread).sum(axis=1)
    low = 0.0 if value <= np.quantile(by_chance, (1 + LEVEL) / 2) else max(0.0, 2 * value - resampled[1])
    return Estimate(value, low, max(value, 2 * value - resampled[0]))


def class_balanced(labels: IntArray) -> FloatArray:
    """Weights (n,) that sum to one half over each class."""
    ai = labels == AI
    return np.asarray(np.where(ai, 1 / max(2 * ai.sum(), 1), 1 / max(2 * (~ai).sum(), 1)))
