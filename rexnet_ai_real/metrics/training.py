"""The metrics of training, one entry each. Whatever measures, writes, draws or ranks runs reads this table."""

import math
from dataclasses import dataclass
from typing import Final

from rexnet_ai_real.labels import AI, REAL


@dataclass(frozen=True, slots=True)
class TrainingMetric:
    """How one metric is computed and shown."""

    title: str
    """For figures."""
    torchmetrics_class: str | None
    """In torchmetrics.classification, over probabilities and labels; None: the loss itself, which training computes."""
    binary: str
    """The same metric in `metrics.binary.Metrics`, which has intervals."""
    needs: tuple[int, ...] = ()
    """Classes without which the metric is undefined: NaN in memory, null in files, a dash for people."""
    higher_is_better: bool = True
    is_percentage: bool = False
    """Shown as a percentage."""
    is_headline: bool = True
    """Has a learning curve among the figures of a run, and a column in the ranking of a sweep on the terminal."""


METRICS: Final = {
    "loss": TrainingMetric("cross-entropy loss", None, "nll", higher_is_better=False),
    "accuracy": TrainingMetric("accuracy", "BinaryAccuracy", "accuracy", is_percentage=True),
    "f1": TrainingMetric("F1 of the AI class", "BinaryF1Score", "f1", needs=(AI,)),
    "auroc": TrainingMetric("AUROC", "BinaryAUROC", "auroc", needs=(REAL, AI), is_headline=False),
}
"""By the name in history.csv (after train_ or val_), in metrics.json and in TensorBoard."""


def readable(name: str, value: float | None) -> str:
    """The value of a metric as people read it: a percentage or a rounded number; a dash where it is undefined."""
    metric = METRICS[name]
    if value is None or math.isnan(value):
        return "–"
    if metric.is_percentage:
        return f"{value:.1%}"
    return f"{value:.3f}" if metric.higher_is_better else f"{value:.4f}"


def columns(part: str) -> tuple[str, ...]:
    """The columns of all metrics of one part: train, val or test."""
    return tuple(f"{part}_{name}" for name in METRICS)
