"""The unsure band on other images: how many of them are answered, and how many of the answers are wrong."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval, perfect_bound, resampling_weights
from rexnet_ai_real.metrics.scores import Scores


@dataclass(frozen=True, slots=True)
class Answers:
    """Shares with intervals by duplicate group."""

    answered: int
    wrong: int
    coverage: Estimate
    """Share of the images that is answered."""
    error: Estimate
    """Share of the answers that is wrong."""


def measure_answers(scores: Scores, verdicts: npt.NDArray[np.str_], *, resamples: int, seed: int) -> Answers:
    """Coverage and error rate of verdicts (n,) "ai", "real" or "unsure"."""
    if not len(scores):
        return Answers(0, 0, *(Estimate.undefined("no images"),) * 2)
    answered = verdicts != "unsure"
    wrong = answered & ((verdicts == "ai") != (scores.labels == AI))
    columns = np.stack([np.ones(len(scores)), answered, wrong], axis=1)
    drawn = np.concatenate([weights @ columns for weights in resampling_weights(scores.groups, resamples, seed)])
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0: a resample in which nothing is answered
        low, high = percentile_interval(np.stack([drawn[:, 1] / drawn[:, 0], drawn[:, 2] / drawn[:, 1]], axis=1))
    n, k, errors = columns.sum(axis=0).astype(int).tolist()
    coverage = _rate(k, n, low[0], high[0], scores.n_groups)
    error = _rate(errors, k, low[1], high[1], scores.groups_among(answered))
    return Answers(k, errors, coverage, error)


def _rate(k: int, n: int, low: float, high: float, independent: int) -> Estimate:
    if not n:
        return Estimate.undefined("no image is answered")
    if k in (0, n):  # every resample gives the same, which is no proof of certainty
        room = perfect_bound(independent)
        return Estimate(k / n, 1 - room, 1.0) if k else Estimate(0.0, 0.0, room)
    return Estimate(k / n, float(low), float(high))
