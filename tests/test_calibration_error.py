"""The interval of the expected calibration error holds the truth, for calibrated and overconfident detectors."""

import numpy as np
import pytest
from scipy.special import expit

from rexnet_ai_real.metrics.binary import evaluate
from rexnet_ai_real.metrics.calibration_error import ECE_BINS, bin_gaps, bin_numbers, class_balanced
from rexnet_ai_real.metrics.scores import FloatArray, IntArray


def draw(random: np.random.Generator, n: int, overconfidence: float) -> tuple[IntArray, FloatArray]:
    """Normals two apart: the calibrated logit is twice the value."""
    labels = random.integers(0, 2, n)
    return labels, overconfidence * 2 * (random.normal(size=n) + 2 * (labels - 0.5))


@pytest.mark.parametrize("overconfidence", [1.0, 1.5, 3.0])
def test_interval_covers_the_error_of_the_population(overconfidence: float) -> None:
    random = np.random.default_rng(1)
    labels, logits = draw(random, 500_000, overconfidence)
    truth = np.abs(bin_gaps(labels, expit(logits)).sum(axis=0)).sum() / labels.size
    covered = 0
    for repeat in range(100):
        estimate = evaluate(*draw(random, 250, overconfidence), resamples=200, seed=repeat).ece
        covered += estimate.low <= truth <= estimate.high
    assert covered >= 85  # 300 simulations gave 90 to 99 %; below 85 of 100 has a chance of 6 % even at 90 %


def test_bins_are_equal_and_the_last_holds_one() -> None:
    assert bin_numbers(np.array([0.0, 1 / 30, 0.5, 14.5 / 15, 1.0])).tolist() == [0, 0, 7, ECE_BINS - 1, ECE_BINS - 1]


def test_class_weights_give_each_class_one_half() -> None:
    weights = class_balanced(np.array([0, 1, 1, 1]))
    assert weights[0] == pytest.approx(0.5)
    assert weights[1:].sum() == pytest.approx(0.5)
