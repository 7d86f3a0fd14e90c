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


def test_chance_alone_is_taken_for_no_error_and_the_value_lies_within_its_interval() -> None:
    """A calibrated detector at 200 images: the plain sum is 0.07 on average, of which less than half may be left."""
    random = np.random.default_rng(2)
    values, plain = [], []
    for repeat in range(60):
        labels, logits = draw(random, 200, 1.0)
        found = evaluate(labels, logits, resamples=20, seed=repeat).ece
        assert found.low <= found.value <= found.high
        assert found.value < found.high  # not on the edge of its interval
        values.append(found.value)
        plain.append(np.abs(bin_gaps(labels, expit(logits)).mean(axis=0)).sum())
    assert np.mean(plain) > 0.06
    assert np.mean(values) < 0.45 * np.mean(plain)


@pytest.mark.parametrize("overconfidence", [1.5, 3.0])
def test_an_error_that_is_there_stays(overconfidence: float) -> None:
    random = np.random.default_rng(3)
    labels, logits = draw(random, 500_000, overconfidence)
    truth = np.abs(bin_gaps(labels, expit(logits)).mean(axis=0)).sum()
    values = [evaluate(*draw(random, 1000, overconfidence), resamples=20).ece.value for _ in range(30)]
    assert np.mean(values) == pytest.approx(truth, abs=0.01)


def test_bins_are_equal_and_the_last_holds_one() -> None:
    assert bin_numbers(np.array([0.0, 1 / 30, 0.5, 14.5 / 15, 1.0])).tolist() == [0, 0, 7, ECE_BINS - 1, ECE_BINS - 1]


def test_class_weights_give_each_class_one_half() -> None:
    weights = class_balanced(np.array([0, 1, 1, 1]))
    assert weights[0] == pytest.approx(0.5)
    assert weights[1:].sum() == pytest.approx(0.5)
