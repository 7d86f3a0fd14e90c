"""How well each collection or generator was judged by the network that had never seen it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from rexnet_ai_real.data.left_out import generators
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.binary import evaluate
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.runs.jobs import Job

FALSE_ALARMS: Final = 0.05
"""Of the real validation images of a fold, at its second threshold."""
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
    with FALSE_ALARMS of the validation images. What needs a class that it lacks is NaN."""
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

    One with a single class is compared with the images of the other class that the same fold held out, and generators
    always with the real ones: logits of one network alone can be compared.

    Args:
        jobs: finished folds.
        out_of_fold: as `runs.folds.out_of_fold` gives it.
        by: collection or source.
    """
    thresholds = {int(job.config["data"]["fold"]): _threshold(job) for job in jobs}
    rows = out_of_fold.assign(above=out_of_fold["logit"] - out_of_fold["fold"].map(thresholds))
    units = rows[rows["label"] == AI] if by == "source" else rows
    names = generators(units) if by == "source" else units["collection"]
    table = pd.DataFrame([_row(own, rows, by) for _, own in units.groupby(names)], columns=list(COLUMNS))
    return LeftOut(by, table.sort_values(["auroc", "name"], ignore_index=True), _rates(rows))


def _row(own: pd.DataFrame, rows: pd.DataFrame, by: str) -> dict[str, object]:
    fold, labels = int(own["fold"].iloc[0]), own["label"]
    missing = [label for label in (REAL, AI) if not (labels == label).any()]
    others = rows[(rows["fold"] == fold) & rows["label"].isin(missing)]
    compared = pd.concat([own, others])
    auroc = evaluate(compared["label"], compared["logit"], compared["group"], resamples=_RESAMPLES).auroc
    source, collection = sorted(zip(own["source"], own["collection"], strict=True))[0]
    return {
        "name": (source or collection) if by == "source" else collection,
        "fold": fold,
        "ai": int((labels == AI).sum()),
        "real": int((labels == REAL).sum()),
        "against": len(others),
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
    """The logit that a new real image reaches with probability FALSE_ALARMS at most; NaN with too few to tell.

    The conformal quantile of the real validation images of the fold (Vovk et al. 2005).
    """
    rows = pd.read_csv(job.run.predictions_file, keep_default_na=False)
    is_real = (rows["split"] == "val") & (rows["label"] == REAL)
    real = np.sort(rows.loc[is_real, "logit"].to_numpy(dtype=float))
    rank = math.ceil((len(real) + 1) * (1 - FALSE_ALARMS) - 1e-9)
    return float(np.nextafter(real[rank - 1], np.inf)) if rank <= len(real) else math.nan
