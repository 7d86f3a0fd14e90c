"""How well each collection or generator was judged by the network that had never seen it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from rexnet_ai_real.data.left_out import generators
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.binary import evaluate
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.metrics.left_out import ranked_against
from rexnet_ai_real.metrics.scores import BoolArray, Scores
from rexnet_ai_real.metrics.threshold import fpr_threshold
from rexnet_ai_real.runs.jobs import Job

FALSE_ALARMS: Final = 0.05
"""Of new real images like those of the validation part of a fold, at its second threshold."""
RATES: Final = ("accuracy", "tpr", "fpr")
AT: Final = ("at_half", "at_fpr")
COLUMNS: Final = (
    *("name", "fold", "ai", "real", "against", "auroc", "auroc_low", "auroc_high"),
    *(f"{rate}_{at}" for at in AT for rate in RATES),
)
_RESAMPLES: Final = 1000


@dataclass(frozen=True)
class LeftOut:
    """The collections or generators that folds held out whole."""

    by: str
    """collection or source."""
    table: pd.DataFrame
    """One row each (COLUMNS), the worst AUROC first: counts of its images, `against` how many images of the other class
    it is compared with, AUROC with its 95 % interval, and shares of its images, at probability 0.5 and at the threshold
    with FALSE_ALARMS, chosen on the validation images. What needs a class that it lacks is NaN."""
    total: Mapping[str, float]
    """The same shares (accuracy_at_half ...) of all the images together."""

    @property
    def noun(self) -> str:
        """What was held out, in a word."""
        return "generator" if self.by == "source" else "collection"

    @property
    def mean(self) -> Estimate:
        """AUROC, the mean over all of them; the interval says what other collections like these might have given."""
        values = self.table["auroc"].to_numpy(dtype=float)
        drawn = np.random.default_rng(0).choice(values, (_RESAMPLES, len(values))).mean(axis=1, keepdims=True)
        low, high = percentile_interval(drawn)
        return Estimate(float(values.mean()), float(low[0]), float(high[0]))


def left_out(jobs: Sequence[Job], out_of_fold: pd.DataFrame, by: str) -> LeftOut:
    """Measure each collection or generator.

    Each is ranked as `metrics.left_out` says; generators, which are AI images alone, so always against real ones.

    Args:
        jobs: finished folds.
        out_of_fold: as `runs.folds.out_of_fold` gives it.
        by: collection or source.
    """
    thresholds = {int(job.config["data"]["fold"]): _threshold(job) for job in jobs}
    rows = out_of_fold.assign(above=out_of_fold["logit"] - out_of_fold["fold"].map(thresholds))
    units = rows[rows["label"] == AI] if by == "source" else rows
    names = generators(units) if by == "source" else units["collection"]
    found = [_row(rows, rows.index.isin(own.index), by) for _, own in units.groupby(names)]
    table = pd.DataFrame(found, columns=list(COLUMNS))
    return LeftOut(by, table.sort_values(["auroc", "name"], ignore_index=True), _rates(rows))


def _row(rows: pd.DataFrame, here: BoolArray, by: str) -> dict[str, object]:
    own, others = rows[here], ranked_against(here, rows["label"], rows["fold"])
    compared = rows[here | others]
    auroc = evaluate(compared["label"], compared["logit"], compared["group"], resamples=_RESAMPLES).auroc
    source, collection = sorted(zip(own["source"], own["collection"], strict=True))[0]
    return {
        "name": (source or collection) if by == "source" else collection,
        "fold": int(own["fold"].iloc[0]),
        "ai": int((own["label"] == AI).sum()),
        "real": int((own["label"] == REAL).sum()),
        "against": int(others.sum()),
        **{"auroc": auroc.value, "auroc_low": auroc.low, "auroc_high": auroc.high},
        **_rates(own),
    }


def _rates(rows: pd.DataFrame) -> dict[str, float]:
    """Accuracy, TPR and FPR at both thresholds; NaN where there is no image, or no threshold."""
    is_ai = rows["label"] == AI
    found: dict[str, float] = {}
    for at, column in zip(AT, ("logit", "above"), strict=True):
        called = (rows[column] >= 0).astype(float).where(rows[column].notna())
        shares = (called.where(is_ai, 1 - called), called[is_ai], called[~is_ai])
        found |= {f"{name}_{at}": float(share.mean(skipna=False)) for name, share in zip(RATES, shares, strict=True)}
    return found


def _threshold(job: Job) -> float:
    """The logit that a new real image reaches with probability FALSE_ALARMS at most; NaN with too few to tell."""
    rows = pd.read_csv(job.run.predictions_file, keep_default_na=False)
    rows = rows[rows["split"] == "val"].merge(read_manifest(job.run.manifest_file)[["path", "group"]], on="path")
    scores = Scores.of(rows["label"], rows["logit"], rows["group"])
    try:
        return fpr_threshold(scores, FALSE_ALARMS)[0]
    except ValueError:
        return math.nan
