"""Metrics agree with scikit-learn, their intervals cover the truth, and odd input gives reasons, not crashes."""

import json
import math

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from rexnet_ai_real.metrics.binary import METRICS, evaluate, plain_values, resampled_metrics
from rexnet_ai_real.metrics.bootstrap import resampling_weights
from rexnet_ai_real.metrics.comparison import Predictions, compare
from rexnet_ai_real.metrics.definitions import Metric
from rexnet_ai_real.metrics.scores import FloatArray, IntArray, Scores


def draw(random: np.random.Generator, n: int, separation: float = 2.0) -> tuple[IntArray, FloatArray]:
    """Labels and logits whose class densities are unit normals `separation` apart."""
    labels = random.integers(0, 2, n)
    return labels, random.normal(size=n) + separation * (labels - 0.5)


def sklearn_values(labels: IntArray, logits: FloatArray, threshold: float) -> dict[str, float]:
    probability = expit(logits)
    called = (probability >= threshold).astype(int)
    fpr, tpr, _ = sk.roc_curve(labels, logits, drop_intermediate=False)
    return {
        "accuracy": sk.accuracy_score(labels, called),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, called),
        "precision": sk.precision_score(labels, called),
        "recall": sk.recall_score(labels, called),
        "specificity": sk.recall_score(labels, called, pos_label=0),
        "f1": sk.f1_score(labels, called),
        "auroc": sk.roc_auc_score(labels, logits),
        "average_precision": sk.average_precision_score(labels, logits),
        "nll": sk.log_loss(labels, probability),
        "brier": sk.brier_score_loss(labels, probability),
        "equal_error_rate": brentq(lambda x: 1 - x - interp1d(fpr, tpr)(x), 0.0, 1.0),
        "tpr_at_fpr5": tpr[fpr <= 0.05].max(),
        "tpr_at_fpr1": tpr[fpr <= 0.01].max(),
    }


@pytest.mark.parametrize("decimals", [12, 1, 0], ids=["distinct", "ties", "few-scores"])
@pytest.mark.parametrize(("n", "threshold"), [(25, 0.5), (400, 0.5), (1000, 0.31)])
def test_values_agree_with_scikit_learn(n: int, threshold: float, decimals: int) -> None:
    labels, logits = draw(np.random.default_rng(n), n)
    logits = np.round(2 * logits, decimals)
    found = evaluate(labels, logits, threshold=threshold, resamples=20).estimates
    for name, expected in sklearn_values(labels, logits, threshold).items():
        assert found[name].value == pytest.approx(expected, abs=1e-6), name


def test_calibration_error_agrees_with_scikit_learns_bins() -> None:
    def reference(labels: IntArray, logits: FloatArray) -> float:
        observed, predicted = calibration_curve(labels, expit(logits), n_bins=15)
        counts = np.histogram(expit(logits), bins=15, range=(0, 1))[0]
        return float(np.average(np.abs(observed - predicted), weights=counts[counts > 0]))

    labels, logits = draw(np.random.default_rng(3), 600)
    logits *= 1.7
    real, ai = np.flatnonzero(labels == 0)[:200], np.flatnonzero(labels == 1)[:100]
    chosen = np.concatenate([real, ai])
    even = np.concatenate([real, ai, ai])  # each AI image twice: both classes weigh the same
    found = dict(zip(METRICS, plain_values(Scores.of(labels[chosen], logits[chosen]), 0.5), strict=True))
    assert found["ece"] == pytest.approx(reference(labels[chosen], logits[chosen]), abs=1e-6)
    assert found["ece_balanced"] == pytest.approx(reference(labels[even], logits[even]), abs=1e-6)


def test_weighted_resamples_equal_metrics_of_repeated_images() -> None:
    random = np.random.default_rng(5)
    labels, logits = draw(random, 90)
    logits = np.round(logits, 1)
    scores = Scores.of(labels, logits, random.integers(0, 60, 90))
    samples = resampled_metrics(scores, threshold=0.4, resamples=10, seed=7)
    weights = np.concatenate(list(resampling_weights(scores.groups, 10, 7))).astype(int)
    for weight, sample in zip(weights, samples, strict=True):
        expected = sklearn_values(np.repeat(labels, weight), np.repeat(logits, weight), 0.4)
        assert dict(zip(METRICS, sample, strict=True)) == pytest.approx(expected | _not_in(expected, sample), abs=1e-5)


def _not_in(expected: dict[str, float], sample: FloatArray) -> dict[str, float]:
    return {name: value for name, value in zip(METRICS, sample, strict=True) if name not in expected}


def test_groups_are_drawn_whole() -> None:
    groups = np.random.default_rng(0).integers(0, 8, 40)
    groups = np.unique(groups, return_inverse=True)[1]
    weights = np.concatenate(list(resampling_weights(groups, 50, 0)))
    first = np.array([np.flatnonzero(groups == g)[0] for g in range(groups.max() + 1)])
    assert np.array_equal(weights, weights[:, first][:, groups])
    assert (weights[:, first].sum(axis=1) == first.size).all()


def test_duplicates_widen_the_interval_as_if_they_were_one_image() -> None:
    labels, logits = draw(np.random.default_rng(2), 200)
    once = evaluate(labels, logits).accuracy
    copies = (np.repeat(labels, 4), np.repeat(logits, 4))
    grouped, pretending = evaluate(*copies, np.repeat(np.arange(200), 4)).accuracy, evaluate(*copies).accuracy
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)
    assert pretending.high - pretending.low == pytest.approx((once.high - once.low) / 2, rel=0.15)


def test_names_of_groups_and_the_seed_decide_the_interval() -> None:
    labels, logits = draw(np.random.default_rng(4), 120)
    numbers = np.arange(120) // 2
    names = [f"g{number:03}" for number in numbers]
    assert evaluate(labels, logits, numbers, resamples=50) == evaluate(labels, logits, names, resamples=50)
    assert evaluate(labels, logits, resamples=50, seed=1).auroc != evaluate(labels, logits, resamples=50, seed=2).auroc


def test_intervals_cover_the_truth() -> None:
    """120 draws of 150 images, some twice: 95 % intervals should hold the known truth about 95 % of the time."""
    separation, draws = 1.8, 120
    truth = {"auroc": norm.cdf(separation / math.sqrt(2)), "accuracy": norm.cdf(separation / 2)}
    random = np.random.default_rng(11)
    covered = dict.fromkeys(truth, 0)
    for repeat in range(draws):
        labels, logits = draw(random, 150, separation)
        copies = np.repeat(np.arange(150), random.integers(1, 3, 150))
        found = evaluate(labels[copies], logits[copies], copies, resamples=200, seed=repeat).estimates
        for name, value in truth.items():
            covered[name] += found[name].low <= value <= found[name].high
    for name, count in covered.items():
        assert 0.90 <= count / draws <= 0.99, name


def test_perfect_scores_leave_room_for_error() -> None:
    labels = np.repeat([0, 1], [20, 30])
    found = evaluate(labels, np.where(labels == 1, 3.0, -3.0))
    assert found.recall.value == 1.0
    assert found.recall.low == pytest.approx(0.025 ** (1 / 30))  # Clopper and Pearson's bound for 30 of 30
    assert found.specificity.low == pytest.approx(0.025 ** (1 / 20))
    assert found.accuracy.low == pytest.approx(0.025 ** (1 / 50))
    assert found.auroc.low == pytest.approx(0.025 ** (1 / 20))
    assert found.equal_error_rate.value == 0.0
    assert found.equal_error_rate.high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_warns_where_real_images_cannot_support_a_low_rate() -> None:
    def warned(n_real: int) -> str:
        labels = np.repeat([0, 1], [n_real, 40])
        return " ".join(evaluate(labels, np.linspace(-1, 1, labels.size), resamples=5).warnings)

    assert "5% FPR" in warned(59)
    assert "1% FPR" in warned(59)
    assert "5% FPR" not in warned(60)
    assert "could be 1.0%" in warned(299)
    assert warned(300) == ""


def test_one_class_leaves_what_can_be_computed() -> None:
    found = evaluate([1, 1, 1, 1], [2.0, -1.0, 0.5, 3.0])
    assert found.accuracy.value == found.recall.value == 0.75
    assert found.nll.defined
    for name in ("auroc", "specificity", "balanced_accuracy", "equal_error_rate", "tpr_at_fpr5", "ece_balanced"):
        estimate = found.estimates[name]
        assert not estimate.defined, name
        assert "0 real and 4 AI-generated" in estimate.reason
    only_real = evaluate([0, 0, 0], [-1.0, -2.0, 1.0])
    assert only_real.specificity.value == pytest.approx(2 / 3)
    assert not only_real.recall.defined
    assert not only_real.average_precision.defined


def test_no_images_and_one_group_give_reasons() -> None:
    assert evaluate([], []).accuracy.reason == "no images"
    single = evaluate([0, 1], [-1.0, 1.0], ["a", "a"]).accuracy
    assert (single.value, math.isnan(single.low)) == (1.0, True)
    assert "one duplicate group" in single.reason
    assert "no image was called" in evaluate([0, 1], [-1.0, -2.0]).precision.reason


def test_plain_form_is_strict_json() -> None:
    plain = json.loads(json.dumps(evaluate([1, 1], [0.5, 1.0]).plain(), allow_nan=False))
    assert plain["auroc"]["value"] is None
    assert plain["recall"]["value"] == 1.0
    assert set(METRICS) <= set(plain)


@pytest.mark.parametrize(
    ("labels", "logits", "groups", "message"),
    [
        ([0, 1, 1], [0.1, math.nan, math.inf], None, r"2 of 3 logits are NaN or infinite \(rows 1, 2"),
        ([0, 2], [0.1, 0.2], None, "found 2"),
        ([0, 1], [0.1, 0.2, 0.3], None, "one entry per image"),
        ([0, 1], [0.1, 0.2], ["a"], "one entry per image"),
        ([[0, 1]], [[0.1, 0.2]], None, "one entry per image"),
    ],
)
def test_bad_columns_are_refused(
    labels: list[int], logits: list[float], groups: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(labels, logits, groups)


def test_a_metric_needs_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry alone gives it a value with an interval and a row in comparisons (the report: test_evaluate.py)."""
    entry = Metric(
        "miss_rate",
        "AI images missed",
        lambda sums: sums.fn / sums.n_ai,
        lower_is_better=True,
        at_threshold=True,
        rests_on="ai",
    )
    monkeypatch.setitem(METRICS, "miss_rate", entry)
    labels, logits = draw(np.random.default_rng(6), 200)
    found = evaluate(labels, logits, threshold=0.6, resamples=100)
    assert found.miss_rate.value == pytest.approx(1 - found.recall.value)
    assert found.miss_rate.low == pytest.approx(1 - found.recall.high)
    assert found.miss_rate.high == pytest.approx(1 - found.recall.low)
    perfect = evaluate([0, 1, 1], [-9.0, 9.0, 9.0], resamples=20).miss_rate
    assert perfect.value == 0
    assert perfect.high == pytest.approx(1 - 0.025 ** (1 / 2))

    chosen = found.with_decisions_of(evaluate(labels, logits, threshold=0.9, resamples=100))
    assert chosen.miss_rate.value > found.miss_rate.value
    assert chosen.auroc == found.auroc
    names = [str(number) for number in range(200)]
    a, b = Predictions.of(names, labels, logits), Predictions.of(names, labels, logits - 1)
    difference = compare(a, b, resamples=50).differences["miss_rate"]
    assert difference.difference.high < 0  # A finds more
    assert difference.a_better == 1


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(AttributeError, match="no metric or count 'acuracy': expected one of accuracy, balanced"):
        evaluate([0, 1], [-1.0, 1.0], resamples=5).acuracy  # noqa: B018
