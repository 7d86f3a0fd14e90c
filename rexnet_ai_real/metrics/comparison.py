"""Two detectors compared on the same images: a paired bootstrap, and the images on which they disagree.

Pairing matters: both are right and wrong about much the same images, so the interval of the difference is far
narrower than the two single intervals suggest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.binary import METRICS, plain_values, resampled_metrics, summarise
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.metrics.scores import FloatArray, Scores


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """One detector's scores of named images; the names (paths, hashes) tell which are the same."""

    images: tuple[str, ...]
    scores: Scores

    @classmethod
    def of(
        cls,
        images: Sequence[str],
        labels: npt.ArrayLike,
        logits: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
    ) -> "Predictions":
        """Check the columns, n entries each.

        Raises:
            ValueError: as `Scores.of`, or names that repeat or differ in number.
        """
        scores = Scores.of(labels, logits, groups)
        if len(images) != len(scores):
            raise ValueError(f"{len(images)} names for {len(scores)} images; expected one each")
        repeated = len(images) - len(set(images))
        if repeated:
            raise ValueError(f"{repeated} image names are repeated; a comparison needs one prediction per image")
        return cls(tuple(images), scores)


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of A and of B. `difference` is A - B; `a_better` the share of resamples in which A is better."""

    a: Estimate
    b: Estimate
    difference: Estimate
    a_better: float
    """NaN where the metric is undefined; ties count half. Lower is better for losses and error rates."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An image that one detector calls AI and the other real."""

    image: str
    label: int
    probability_a: float
    probability_b: float
    a_is_right: bool


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What `compare` found."""

    n: int
    differences: dict[str, Difference]
    """By metric, in the order of `METRICS`."""
    disagreements: tuple[Disagreement, ...]
    """Largest difference in probability first."""

    @property
    def finding(self) -> str:
        """One sentence on AUROC and on the images that the two call differently."""
        right = sum(d.a_is_right for d in self.disagreements)
        calls = f"they call {len(self.disagreements)} of {self.n} images differently, A is right on {right} of these"
        auroc = self.differences["auroc"]
        if not auroc.difference.defined:
            return f"AUROC cannot be compared ({auroc.difference.reason}); {calls}."
        d = auroc.difference
        known = "A ranks better" if d.low > 0 else "B ranks better" if d.high < 0 else "neither is shown to rank better"
        interval = f"AUROC A - B {d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
        return f"{known}: {interval}, A better in {auroc.a_better:.0%} of resamples; {calls}."


def compare(
    a: Predictions,
    b: Predictions,
    *,
    threshold_a: float = 0.5,
    threshold_b: float = 0.5,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two detectors on the same images, in whatever order each lists them; groups are taken from A.

    Every resample draws the same groups for both, so that the difference is taken within the resample.

    Raises:
        ValueError: images that only one of them has, or that have another label there.
    """
    b = _in_order_of(a, b)
    first, second = a.scores, Scores(a.scores.labels, b.scores.logits, a.scores.groups)
    samples_a = resampled_metrics(first, threshold=threshold_a, resamples=resamples, seed=seed)
    samples_b = resampled_metrics(second, threshold=threshold_b, resamples=resamples, seed=seed)
    metrics_a = summarise(first, samples_a, threshold=threshold_a).estimates
    metrics_b = summarise(second, samples_b, threshold=threshold_b).estimates
    samples = samples_a - samples_b
    lows, highs = percentile_interval(samples)
    # What chance adds to the formula of a metric is the same in the resamples, and is taken from their difference too.
    plain = plain_values(first, threshold_a) - plain_values(second, threshold_b)
    differences = {}
    for k, (name, metric) in enumerate(METRICS.items()):
        pair = (metrics_a[name], metrics_b[name])
        undefined = next((m.reason for m in pair if not m.defined), None)
        if undefined is None:
            value = pair[0].value - pair[1].value
            shift = value - float(plain[k])
            d = Estimate(value, float(lows[k]) + shift, float(highs[k]) + shift)
            differences[name] = Difference(*pair, d, _share_better(samples[:, k], metric.lower_is_better))
        else:
            differences[name] = Difference(*pair, Estimate.undefined(undefined), np.nan)
    return Comparison(len(first), differences, _disagreements(a, b, threshold_a, threshold_b))


def _in_order_of(a: Predictions, b: Predictions) -> Predictions:
    only_a, only_b = sorted(set(a.images) - set(b.images)), sorted(set(b.images) - set(a.images))
    if only_a or only_b:
        examples = "; ".join(f"only in {x}: {', '.join(o[:3])}" for x, o in (("A", only_a), ("B", only_b)) if o)
        raise ValueError(
            f"the two detectors were not run on the same images: {len(only_a)} are only in A and {len(only_b)} only "
            f"in B ({examples}). Predict the same images with both, or compare over their common folds"
        )
    row_of = {image: k for k, image in enumerate(b.images)}
    order = np.array([row_of[image] for image in a.images], dtype=np.int64)
    ordered = b.scores.rows(order)
    differing = np.flatnonzero(ordered.labels != a.scores.labels)
    if differing.size:
        raise ValueError(
            f"{differing.size} images have different labels in A and B, the first is {a.images[differing[0]]}; "
            "expected the same truth for both"
        )
    return Predictions(a.images, ordered)


def _share_better(differences: FloatArray, lower_is_better: bool) -> float:
    gains = -differences if lower_is_better else differences
    gains = gains[~np.isnan(gains)]
    return float(np.mean((gains > 0) + 0.5 * (gains == 0)))


def _disagreements(a: Predictions, b: Predictions, threshold_a: float, threshold_b: float) -> tuple[Disagreement, ...]:
    p_a, p_b, labels = a.scores.probabilities, b.scores.probabilities, a.scores.labels
    called_a, called_b = p_a >= threshold_a, p_b >= threshold_b
    rows = np.flatnonzero(called_a != called_b)
    rows = rows[np.argsort(-np.abs(p_a - p_b)[rows], kind="stable")]
    return tuple(
        Disagreement(a.images[k], int(labels[k]), float(p_a[k]), float(p_b[k]), bool(called_a[k] == (labels[k] == AI)))
        for k in rows
    )
