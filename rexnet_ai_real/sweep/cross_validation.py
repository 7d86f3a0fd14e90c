"""Cross-validation: the test predictions of every fold's network, put together into one table."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rexnet_ai_real.data.split import GROUP
from rexnet_ai_real.metrics.binary import Metrics, evaluate
from rexnet_ai_real.runs.folds import out_of_fold, split_by
from rexnet_ai_real.runs.jobs import Job
from rexnet_ai_real.sweep.left_out import LeftOut, left_out


@dataclass(frozen=True)
class CrossValidation:
    """Folds that differ in nothing but which part is held out."""

    jobs: tuple[Job, ...]
    """Finished ones, by fold."""
    folds: int
    """How many parts the images were divided into."""
    out_of_fold: pd.DataFrame
    """One row per image of the finished folds, in the order of the manifest; columns as in `runs.folds.COLUMNS`."""
    pooled: Metrics
    """Of all out-of-fold predictions together, with intervals by duplicate group."""
    left_out: LeftOut | None = None
    """Each collection or generator, where the folds held these out whole."""

    @property
    def missing(self) -> list[int]:
        """Folds without a finished job."""
        return sorted(set(range(self.folds)) - set(self.out_of_fold["fold"]))

    @property
    def val_loss(self) -> float:
        """Mean over the folds of the best validation loss: settings are chosen by it."""
        return sum(job.val_loss for job in self.jobs) / len(self.jobs)

    def spread(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation (n - 1) over the folds' values of one training metric on the test part."""
        values = pd.Series([job.metrics["test"].get(name) for job in self.jobs], dtype=float)
        return float(values.mean()), float(values.std())


def cross_validate(jobs: Sequence[Job]) -> CrossValidation:
    """Merge and measure the test predictions of finished jobs whose settings differ in data.fold alone.

    Raises:
        FoldsDiffer: as `out_of_fold`.
    """
    table = out_of_fold(jobs)
    pooled = evaluate(table["label"], table["logit"], table["group"])
    by = split_by(jobs[0])
    whole = None if by == GROUP else left_out(jobs, table, by)
    return CrossValidation(tuple(jobs), int(jobs[0].config["data"]["folds"]), table, pooled, whole)
