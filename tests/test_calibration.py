"""Temperature and threshold agree with independent solvers; their promises hold in simulation."""

import json
import math
import re

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from rexnet_ai_real.detector.calibration import NEVER_AI, Calibration
from rexnet_ai_real.evaluate.calibration import fit_calibration, fit_temperature
from rexnet_ai_real.metrics.scores import FloatArray, IntArray, Scores
from rexnet_ai_real.metrics.threshold import fpr_threshold

SEPARATION = 1.9  # AUROC 0.91, accuracy 83 %
SCALE = 3.8  # the calibrated logit of normals 1.9 apart is 1.9 x: these are twice too sure


def draw(random: np.random.Generator, n: int) -> tuple[IntArray, FloatArray]:
    labels = (random.random(n) < 0.5).astype(np.int64)
    return labels, SCALE * (random.normal(size=n) + SEPARATION * (labels - 0.5))


def true_error_rate(low: float, high: float) -> float:
    """Error rate among answered images of `draw`, from the normal law; logits below `low` are called real."""
    real, ai = norm(-SCALE * SEPARATION / 2, SCALE), norm(SCALE * SEPARATION / 2, SCALE)
    wrong = real.sf(high) + ai.cdf(low)
    return float(wrong / (wrong + ai.sf(high) + real.cdf(low)))


def logit_edges(found: Calibration) -> tuple[float, float]:
    def logit(p: float) -> float:
        return found.temperature * math.log(p / (1 - p)) if p < 1 else math.inf

    return logit(found.unsure_low) if found.unsure_low > 0 else -math.inf, logit(found.unsure_high)


def test_temperature_agrees_with_logistic_regression() -> None:
    labels, logits = draw(np.random.default_rng(0), 500)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logits[:, None], labels).coef_[0, 0]
    assert fit_temperature(Scores.of(labels, logits))[0] == pytest.approx(1 / slope, rel=1e-4)


def test_temperature_undoes_overconfidence() -> None:
    labels, logits = draw(np.random.default_rng(1), 20_000)
    assert fit_temperature(Scores.of(labels, logits))[0] == pytest.approx(2.0, rel=0.05)


def test_temperature_of_separated_or_reversed_logits_says_so() -> None:
    labels = np.array([0, 0, 1, 1])
    temperature, notes = fit_temperature(Scores.of(labels, [-2.0, -0.1, 0.2, 3.0]))
    assert (temperature, len(notes)) == (1.0, 1)
    assert "without error" in notes[0]
    temperature, notes = fit_temperature(Scores.of(labels, [2.0, 1.0, -1.0, -3.0]))
    assert temperature == pytest.approx(20, rel=0.01)
    assert "reversed" in notes[0]


def test_false_positive_rate_is_kept_on_average_and_not_wasted() -> None:
    random = np.random.default_rng(2)
    rates = []
    for _ in range(400):
        cut, _ = fpr_threshold(Scores.of(*draw(random, 120)), 0.10)
        rates.append(norm.sf(cut, -SCALE * SEPARATION / 2, SCALE))
    # The conformal rate lies between target - 1 / (n + 1) and target; here n is about 60, the mean's own error 0.002.
    assert 0.10 - 1 / 45 < np.mean(rates) < 0.10 + 0.005


def test_duplicates_do_not_count_as_further_real_images() -> None:
    labels, logits = draw(np.random.default_rng(3), 60)
    copies = np.repeat(np.arange(60), 5)
    once, _ = fpr_threshold(Scores.of(labels, logits), 0.05)
    again, words = fpr_threshold(Scores.of(labels[copies], logits[copies], copies), 0.05)
    assert once == again
    assert f"{np.sum(labels == 0)} real images" in words


def test_too_few_real_images_for_the_rate_is_an_error_that_says_how_many() -> None:
    labels = np.repeat([0, 1], [18, 40])
    with pytest.raises(ValueError, match=r"5\.0% needs at least 19 independent real images .* got 18"):
        fpr_threshold(Scores.of(labels, np.arange(58.0)), 0.05)
    labels = np.repeat([0, 1], [19, 40])
    cut, _ = fpr_threshold(Scores.of(labels, np.arange(59.0)), 0.05)
    assert cut == 18.5  # above all 19: the 19th smallest of 19 is the quantile


def test_best_balanced_accuracy_agrees_with_exhaustive_search() -> None:
    labels, logits = draw(np.random.default_rng(4), 150)
    logits = np.round(logits, 1)
    found = fit_calibration(labels, logits, rule="balanced_accuracy", error_target=None)
    p = found.probabilities(logits)
    best = max(balanced_accuracy_score(labels, logits >= cut) for cut in np.arange(-15, 15, 0.05))
    assert balanced_accuracy_score(labels, p >= found.threshold) == pytest.approx(best)
    assert found.unsure_low == found.unsure_high == found.threshold
    assert found.coverage == 1.0


@pytest.mark.parametrize("rule", ["fpr", "balanced_accuracy"])
def test_error_rate_among_answered_keeps_its_promise(rule: str) -> None:
    """200 calibration sets of 500: the true error rate may exceed the target in 10 % of them, not more."""
    random = np.random.default_rng(5)
    broken, coverages = 0, []
    for repeat in range(200):
        found = fit_calibration(*draw(random, 500), rule=rule, error_target=0.10, seed=repeat)  # type: ignore[arg-type]
        coverages.append(found.coverage)
        if found.coverage:
            broken += true_error_rate(*logit_edges(found)) > 0.10
    assert broken <= binom.ppf(0.99, 200, 0.10)
    assert np.mean(coverages) > 0.40  # a band that answers nothing would keep any promise


def test_promise_counts_groups_not_copies() -> None:
    """Ten copies of each of 30 images are not 300 trials: 15 error-free ones cannot show an error rate below 10 %."""
    labels = np.tile([0, 1], 30)
    logits = np.where(labels == 1, 4.0, -4.0) + np.random.default_rng(6).normal(size=60) / 10
    copies = np.repeat(np.arange(60), 10)
    pretending = fit_calibration(labels[copies], logits[copies], rule="balanced_accuracy", error_target=0.05)
    honest = fit_calibration(labels[copies], logits[copies], copies, rule="balanced_accuracy", error_target=0.05)
    assert pretending.coverage == 1.0
    assert honest.coverage == 0.0


def test_unreachable_promise_leaves_everything_unsure_and_says_why() -> None:
    random = np.random.default_rng(7)
    found = fit_calibration(random.integers(0, 2, 300), random.normal(size=300), error_target=0.05)
    assert (found.unsure_low, found.unsure_high, found.coverage) == (0.0, NEVER_AI, 0.0)
    assert set(found.decide([0.0, 0.5, 1.0]).tolist()) == {"unsure"}
    assert found.band_rule.startswith("No threshold keeps errors at or below 5% on images like these (n = 150), where ")
    assert re.search(r"where \d+ of the \d+ surest answers are wrong\. ", found.band_rule)
    assert found.band_rule.endswith(". The detector answers 'unsure' unless you ask for --answer always")
    assert f"{found.band_rule}." in found.notes
    assert 0 < found.threshold < 1  # the answer that --answer always gives


def test_a_promise_that_needs_more_images_says_how_many() -> None:
    labels, logits = draw(np.random.default_rng(12), 60)
    found = fit_calibration(labels, logits, rule="balanced_accuracy", error_target=0.05)
    assert found.coverage == 0
    assert found.band_rule.startswith(
        "Too few images to promise errors at or below 5%: 30 independent ones, and at least 45 are needed"
    )
    assert binom.cdf(0, 45, 0.05) <= 0.10 < binom.cdf(0, 44, 0.05)


def test_reported_coverage_and_verdicts_agree() -> None:
    labels, logits = draw(np.random.default_rng(8), 900)
    found = fit_calibration(labels, logits)
    verdicts = found.decide(found.probabilities(logits))
    assert np.mean(verdicts != "unsure") == pytest.approx(found.coverage)
    assert set(verdicts.tolist()) == {"ai", "real", "unsure"}
    assert found.unsure_low <= found.threshold <= found.unsure_high
    wrong = ((verdicts == "ai") & (labels == 0)) | ((verdicts == "real") & (labels == 1))
    assert wrong.sum() / (verdicts != "unsure").sum() <= 0.10


def test_probabilities_are_the_sigmoid_of_scaled_logits_and_do_not_overflow() -> None:
    found = fit_calibration(*draw(np.random.default_rng(9), 400))
    logits = np.array([[-1e4, -1.0], [0.5, 1e4]])
    assert found.probabilities(logits) == pytest.approx(expit(logits / found.temperature))


def test_fitting_is_deterministic_and_survives_json() -> None:
    labels, logits = draw(np.random.default_rng(10), 400)
    found = fit_calibration(labels, logits)
    assert fit_calibration(labels, logits) == found
    assert Calibration.from_plain(json.loads(json.dumps(found.plain(), allow_nan=False))) == found


def test_a_damaged_stored_calibration_is_refused() -> None:
    plain = fit_calibration(*draw(np.random.default_rng(10), 400)).plain()
    with pytest.raises(ValueError, match="missing temperature, unknown heat"):
        Calibration.from_plain({("heat" if k == "temperature" else k): v for k, v in plain.items()})
    with pytest.raises(ValueError, match="threshold in a stored calibration must be a number"):
        Calibration.from_plain(plain | {"threshold": "0.5"})
    with pytest.raises(ValueError, match="expected 0 <= unsure_low"):
        Calibration.from_plain(plain | {"unsure_low": 0.99})
    with pytest.raises(ValueError, match="positive and finite"):
        Calibration.from_plain(plain | {"temperature": 0.0})


def test_bad_input_is_refused_by_name() -> None:
    labels, logits = draw(np.random.default_rng(11), 100)
    with pytest.raises(ValueError, match="needs real and AI-generated images, got 0 real and 100"):
        fit_calibration(np.ones(100, dtype=int), logits)
    with pytest.raises(ValueError, match="fpr_target must lie between"):
        fit_calibration(labels, logits, fpr_target=5)
    with pytest.raises(ValueError, match="1 of 100 logits are NaN"):
        fit_calibration(labels, np.where(np.arange(100) == 3, np.nan, logits))
    with pytest.raises(ValueError, match="not be NaN"):
        fit_calibration(labels, logits, rule="balanced_accuracy").decide([0.1, np.nan])


def test_a_rule_of_its_own_chooses_on_the_half_that_proves_nothing() -> None:
    labels, logits = draw(np.random.default_rng(5), 400)
    asked: list[IntArray] = []

    def rule(rows: IntArray) -> tuple[float, str]:
        asked.append(rows)
        return 0.7, "mine"

    found = fit_calibration(labels, logits, rule=rule)
    assert len(asked[0]) == 200
    assert found.threshold == pytest.approx(1 / (1 + np.exp(-0.7 / found.temperature)))
    assert found.threshold_rule == "mine"
    fit_calibration(labels, logits, rule=rule, error_target=None)
    assert asked[1].tolist() == list(range(400))
