"""The operating point of an evaluation, fitted on other images than those it is measured on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pandas as pd

from rexnet_ai_real.config import WORST_TIER, EvaluateConfig
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import UNCALIBRATED
from rexnet_ai_real.evaluate.audits.delivery import worst_tier
from rexnet_ai_real.evaluate.calibration import ThresholdRule, fit_calibration
from rexnet_ai_real.evaluate.corruptions import DELIVERIES
from rexnet_ai_real.evaluate.part import ONE, Part
from rexnet_ai_real.evaluate.prediction import predicted_logits
from rexnet_ai_real.evaluate.subject import Subject
from rexnet_ai_real.labels import REAL
from rexnet_ai_real.metrics.scores import FloatArray, IntArray


@dataclass(frozen=True)
class Fitted:
    """Operating points: one for each fold's measurement, and the one that users of the detector get (`ONE`)."""

    calibrations: Mapping[int, Calibration]
    source: str
    """On which images it was fitted, and what follows, in words."""
    is_new: bool
    """Whether it was fitted here, and is to be stored with the detector."""
    failed: str | None = None
    """Why none could be fitted."""


def fit(subject: Subject, settings: EvaluateConfig, cache: Path) -> Fitted:
    """The operating points of a subject; 0.5 without an unsure band, and the reason, where none can be fitted.

    Args:
        subject: what is evaluated.
        settings: of the report.
        cache: folder of finished predictions.
    """
    folds = subject.held_out.folds if subject.held_out else []
    try:
        if subject.is_cross_validation:
            return _cross_fitted(subject, settings, _delivered(subject, settings, cache))
        if subject.fitting is not None:
            return _on_validation(subject.fitting, settings, _delivered(subject, settings, cache))
        return _stored(subject)
    except ValueError as error:
        uncalibrated = dict.fromkeys([ONE, *folds], UNCALIBRATED)
        return Fitted(uncalibrated, "No operating point could be fitted: 0.5 is used instead.", False, str(error))


def choosing(subject: Subject, settings: EvaluateConfig) -> Part | None:
    """Real images that may choose a threshold on delivered images: out-of-fold, or for validation.

    As many as settings.sample, and at least three times what the rate needs, so that other folds alone suffice; twice
    as many for an operating point, which half of them choose. None: the detector knows no images.
    """
    if subject.held_out is None or subject.manifest is None:
        return None
    part = subject.held_out
    if not subject.is_cross_validation:
        if subject.fitting is None:
            return None
        rows = subject.manifest.merge(subject.fitting[["path", "logit"]], on="path").assign(fold=ONE)
        part = replace(part, title="validation images", rows=rows)
    real = part.only((part.rows["label"] == REAL) & np.isfinite(part.rows["logit"]))
    count, least = settings.sample, (6 if settings.threshold == WORST_TIER else 3) * math.ceil(1 / settings.fpr)
    return real.drawn(None if count is None else max(count, least))


def delivered_logits(part: Part, subject: Subject, settings: EvaluateConfig, cache: Path) -> FloatArray:
    """Logits of the images that choose a threshold, (n, tiers) in the order of `TIERS`, before any temperature."""
    return predicted_logits(
        part,
        subject.detector,
        corruptions=DELIVERIES,
        cache=cache,
        settings=settings.data,
        title="Delivered images that choose the threshold",
    )


def _delivered(subject: Subject, settings: EvaluateConfig, cache: Path) -> pd.DataFrame | None:
    """Logits of the tiers by path, where they choose the threshold."""
    part = choosing(subject, settings) if settings.threshold == WORST_TIER else None
    if part is None:
        return None
    return pd.DataFrame(delivered_logits(part, subject, settings, cache), index=part.rows["path"])


def _rule(rows: pd.DataFrame, settings: EvaluateConfig, delivered: pd.DataFrame | None) -> ThresholdRule:
    if delivered is None:
        return cast(Literal["fpr", "balanced_accuracy"], settings.threshold)

    def choose(chosen: IntArray) -> tuple[float, str]:
        may = rows.iloc[chosen]
        may = may[may["path"].isin(delivered.index)]
        found = worst_tier(delivered.loc[may["path"]].to_numpy(), may["group"].astype(str), fpr=settings.fpr)
        return found.cut, f"{found.words}, on images delivered in the way that needs the highest ({found.tier.title})"

    return choose


def _cross_fitted(subject: Subject, settings: EvaluateConfig, delivered: pd.DataFrame | None) -> Fitted:
    assert subject.held_out is not None
    rows = subject.held_out.rows
    calibrations = {fold: _fit(rows[rows["fold"] != fold], settings, delivered) for fold in subject.held_out.folds}
    words = (
        "To be measured, the operating point of each fold was fitted on the out-of-fold logits of the other folds "
        "(cross-fitting, as in the cross-conformal methods of Barber et al. 2021), so no image helped to choose what "
        "it is judged by. Stored with the detector is the one fitted on all out-of-fold logits. These are logits of "
        "single networks; the detector averages the networks of all folds, so its own rates may differ a little."
    )
    return Fitted({**calibrations, ONE: _fit(rows, settings, delivered)}, words, True)


def _on_validation(rows: pd.DataFrame, settings: EvaluateConfig, delivered: pd.DataFrame | None) -> Fitted:
    words = (
        f"Fitted on the {np.isfinite(rows['logit']).sum()} validation images alone; none of them is measured here. "
        "The same images chose the checkpoint, which makes the detector look a little better on them than it is: "
        "expect the false-positive rate to come out somewhat above its target. Cross-validation (+sweep=folds) does "
        "without this."
    )
    return Fitted({ONE: _fit(rows, settings, delivered)}, words, True)


def _stored(subject: Subject) -> Fitted:
    words = "Stored with the detector, and not changed: the images measured here took no part in it."
    calibration = subject.detector().calibration
    if calibration.n_real + calibration.n_ai == 0:
        words = "None is stored with the detector: 0.5 is used instead. Evaluate the run that it came from to fit one."
    if subject.rival:
        words = "A rival brings no operating point: 0.5 is used on the probability that it gives itself."
    return Fitted({ONE: calibration}, words, False)


def _fit(rows: pd.DataFrame, settings: EvaluateConfig, delivered: pd.DataFrame | None) -> Calibration:
    rows = rows[np.isfinite(rows["logit"])]  # the others are reported, and no operating point can rest on them
    return fit_calibration(
        rows["label"],
        rows["logit"],
        rows["group"].astype(str),
        rule=_rule(rows, settings, delivered),
        fpr_target=settings.fpr,
        error_target=settings.error_target,
        confidence=settings.confidence,
        seed=settings.seed,
    )
