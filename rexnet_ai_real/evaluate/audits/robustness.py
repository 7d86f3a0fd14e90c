"""How the detector holds up when images are compressed, resized, blurred, cropped and shared.

Both classes go through every corruption, at full size and before preprocessing; the threshold is fixed beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE, Corruption
from rexnet_ai_real.metrics.binary import METRICS, resampled_metrics, summarise
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.metrics.scores import FloatArray, Scores

CELL_METRICS: Final = ("accuracy", "auroc", "recall", "specificity")
"""What the table gives for each corruption; recall and specificity are TPR and TNR at the fixed threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """What `summarise_robustness` found.

    `table` has one row per corruption and metric: corruption, family, severity, setting, n, metric, value, low, high,
    and drop, drop_low, drop_high: by how much the metric is lower than on the untouched images (paired bootstrap).
    """

    table: pd.DataFrame
    worst: Corruption
    """The corruption under which the accuracy is lowest."""

    @property
    def finding(self) -> str:
        """In plain words."""
        accuracy = self._of("accuracy")
        others = [name for name in accuracy.index if name != NONE.name]
        before, after = accuracy.loc[NONE.name], accuracy.loc[self.worst.name]
        rates = "; ".join(
            f"{title} from {rows.value[NONE.name]:.2f} to {rows.value[self.worst.name]:.2f}"
            for title, rows in (("TPR", self._of("recall")), ("TNR", self._of("specificity")))
            if rows.value.notna().all()
        )
        clearly = int((accuracy.drop_low[others] > 0).sum())
        return (
            f"Accuracy on {before.n} untouched images is {_interval(before)}. It is lowest under {self.worst.title}, "
            f"{_interval(after)}{f' ({rates})' if rates else ''}. "
            f"The loss is beyond chance (95% interval above zero) under {clearly} of {len(others)} corruptions."
        )

    def _of(self, metric: str) -> pd.DataFrame:
        return self.table[self.table.metric == metric].set_index("corruption")


def summarise_robustness(
    labels: npt.ArrayLike,
    logits: FloatArray,
    groups: npt.ArrayLike,
    *,
    threshold: float,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    resamples: int = 2000,
    seed: int = 0,
) -> Robustness:
    """Accuracy, AUROC, TPR and TNR with 95 % intervals under every corruption, all at the same threshold.

    Args:
        labels: (n,) 0 real, 1 AI-generated; metrics that need a missing class are NaN.
        logits: (n, corruptions) calibrated log-odds of "AI-generated".
        groups: (n,) near-duplicate groups, drawn together by the bootstrap.
        threshold: on the probability; chosen before, on other images.
        corruptions: the columns of `logits`; `NONE`, which the others are compared with, must be one of them.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: no images.
    """
    if not len(logits):
        raise ValueError("no images to corrupt: the part of the data that is evaluated is empty")

    def measured(column: int) -> tuple[Mapping[str, Estimate], FloatArray]:
        scores = Scores.of(labels, logits[:, column], groups)
        samples = resampled_metrics(scores, threshold=threshold, resamples=resamples, seed=seed)
        return summarise(scores, samples, threshold=threshold).estimates, samples

    base, base_samples = measured(list(corruptions).index(NONE))
    rows = []
    for column, corruption in enumerate(corruptions):
        estimates, samples = measured(column)
        # The same groups and seed give the same resamples, so the differences are paired.
        lows, highs = percentile_interval(np.subtract(base_samples, samples))
        for metric in CELL_METRICS:
            value, low, high = (getattr(estimates[metric], end) for end in ("value", "low", "high"))
            drop, at = base[metric].value - value, list(METRICS).index(metric)
            named = (corruption.name, corruption.family, corruption.severity, corruption.setting, len(logits), metric)
            rows.append((*named, value, low, high, drop, lows[at], highs[at]))
    columns = "corruption family severity setting n metric value low high drop drop_low drop_high"
    table = pd.DataFrame(rows, columns=columns.split())
    accuracy = dict(table[table.metric == "accuracy"][["corruption", "value"]].itertuples(index=False))
    worst = min((corruption for corruption in corruptions if corruption != NONE), key=lambda each: accuracy[each.name])
    return Robustness(table, worst)


def _interval(row: "pd.Series[Any]") -> str:
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
