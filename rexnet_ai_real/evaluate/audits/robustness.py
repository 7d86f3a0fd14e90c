"""How the detector holds up when images are compressed, resized, blurred, cropped and passed on.

Both classes go through every corruption, at full size and before preprocessing; the threshold is fixed beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from rexnet_ai_real.evaluate.cached_logits import Predict, Prepare, corrupted_logits
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE, Corruption
from rexnet_ai_real.evaluate.part import LabelledImage
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.metrics.binary import METRICS, evaluate_scores, resampled_metrics
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.metrics.scores import FloatArray, Scores

CELL_METRICS: Final = ("accuracy", "auroc", "recall", "specificity")
"""What the table tells of each corruption; recall and specificity are TPR and TNR at the fixed threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What `evaluate_robustness` found.

    `table` has one row per corruption and metric: corruption, family, severity, setting, n, metric, value, low, high,
    and drop, drop_low, drop_high: by how much the metric is lower than on the untouched images (paired bootstrap).
    """

    table: pd.DataFrame
    logits: FloatArray
    """(images, corruptions)"""
    worst: Corruption
    """The corruption under which the accuracy is lowest."""

    @property
    def verdict(self) -> str:
        """The finding in words."""
        accuracy = self._of("accuracy")
        others = [name for name in accuracy.index if name != NONE.name]
        before, after = accuracy.loc[NONE.name], accuracy.loc[self.worst.name]
        rates = "; ".join(
            f"{said} from {rows.value[NONE.name]:.2f} to {rows.value[self.worst.name]:.2f}"
            for said, rows in (("TPR", self._of("recall")), ("TNR", self._of("specificity")))
            if rows.value.notna().all()
        )
        clearly = int((accuracy.drop_low[others] > 0).sum())
        return (
            f"Accuracy on {before.n} images is {_interval(before)} untouched and lowest under {self.worst.title}, "
            f"{_interval(after)}{f' ({rates})' if rates else ''}. "
            f"The 95% interval of the loss lies above zero under {clearly} of {len(others)} corruptions."
        )

    def _of(self, metric: str) -> pd.DataFrame:
        return self.table[self.table.metric == metric].set_index("corruption")


def evaluate_robustness(
    images: Sequence[LabelledImage],
    predict: Predict,
    *,
    threshold: float,
    fingerprint: str,
    cache: Path,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    prepare: Prepare = lambda image: image,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    resamples: int = 2000,
    seed: int = 0,
    progress: bool = True,
) -> Robustness:
    """Accuracy, AUROC, TPR and TNR with 95 % intervals under every corruption, all at the same threshold.

    Args:
        images: what to look at; both classes for a full table, metrics that need a missing class are NaN.
        predict: takes what `prepare` gives, lazily and in order; returns one calibrated logit of "AI-generated" for
            each, (n,).
        threshold: on the probability; chosen before, on other images.
        fingerprint: of weights, preprocessing and temperature; predictions are kept under it.
        cache: folder of finished predictions; an interrupted call goes on where it stopped.
        corruptions: the grid; must hold `NONE`, which the others are compared with.
        prepare: from a corrupted RGB image to what `predict` takes; runs in the worker threads. Up to 64 of its
            results wait for `predict`, so let it make large images small.
        workers: threads that decode, corrupt and prepare ahead of the network; None: one per core.
        max_pixels: most pixels that an image may have.
        resamples: of the bootstrap by duplicate group.
        seed: of the bootstrap; the corruptions depend on each image's sha256 only.
        progress: show a bar on stderr.

    Raises:
        UnreadableImage: an image cannot be decoded; the message begins with its path.
        ValueError: no images, a grid without `NONE` or another corruption, or `predict` returned the wrong number of
            logits or non-finite ones.
    """
    if not images:
        raise ValueError("no images to corrupt: the part of the data that is evaluated is empty")
    if NONE not in corruptions or len(corruptions) < 2:
        raise ValueError(f"the grid needs {NONE.name!r}, which the others are compared with, and at least one other")
    logits = corrupted_logits(
        images,
        predict,
        fingerprint=fingerprint,
        cache=cache,
        corruptions=corruptions,
        prepare=prepare,
        workers=workers,
        max_pixels=max_pixels,
        progress=progress,
    )
    return summarise_robustness(
        images, logits, corruptions=corruptions, threshold=threshold, resamples=resamples, seed=seed
    )


def summarise_robustness(
    images: Sequence[LabelledImage],
    logits: FloatArray,
    *,
    threshold: float,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    resamples: int = 2000,
    seed: int = 0,
) -> Robustness:
    """What `evaluate_robustness` finds, from logits (images, corruptions) that are there already."""
    labels, groups = [image.label for image in images], [image.group for image in images]
    table = robustness_table(
        labels, logits, groups, corruptions=corruptions, threshold=threshold, resamples=resamples, seed=seed
    )
    accuracy = dict(table[table.metric == "accuracy"][["corruption", "value"]].itertuples(index=False))
    worst = min((corruption for corruption in corruptions if corruption != NONE), key=lambda each: accuracy[each.name])
    return Robustness(table, logits, worst)


def robustness_table(
    labels: Sequence[int],
    logits: FloatArray,
    groups: Sequence[str],
    *,
    corruptions: Sequence[Corruption],
    threshold: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """The table of `Robustness` from labels (n,), logits (n, corruptions) and groups (n,)."""

    def measured(column: int) -> tuple[dict[str, Estimate], FloatArray]:
        scores = Scores.of(labels, logits[:, column], groups)
        metrics = evaluate_scores(scores, threshold=threshold, resamples=resamples, seed=seed)
        samples = resampled_metrics(scores, threshold=threshold, resamples=resamples, seed=seed)
        return metrics.estimates(), samples

    base, base_samples = measured(list(corruptions).index(NONE))
    rows = []
    for column, corruption in enumerate(corruptions):
        estimates, samples = measured(column)
        # The same groups and seed give the same resamples, so the differences are paired.
        lows, highs = percentile_interval(np.subtract(base_samples, samples))
        for metric in CELL_METRICS:
            value, low, high = (getattr(estimates[metric], end) for end in ("value", "low", "high"))
            drop, at = base[metric].value - value, METRICS.index(metric)
            named = (corruption.name, corruption.family, corruption.severity, corruption.setting, len(labels), metric)
            rows.append((*named, value, low, high, drop, lows[at], highs[at]))
    columns = "corruption family severity setting n metric value low high drop drop_low drop_high"
    return pd.DataFrame(rows, columns=columns.split())


def _interval(row: "pd.Series[Any]") -> str:
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
