"""The operating point of an evaluation, fitted on other images than those it is measured on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pandas as pd

from rexnet_ai_real.config import EvaluateConfig
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import UNCALIBRATED
from rexnet_ai_real.evaluate.calibration import fit_calibration
from rexnet_ai_real.evaluate.part import ONE
from rexnet_ai_real.evaluate.subject import Subject


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


def fit(subject: Subject, settings: EvaluateConfig) -> Fitted:
    """The operating points of a subject; 0.5 without an unsure band, and the reason, where none can be fitted."""
    folds = subject.held_out.folds if subject.held_out else []
    try:
        if subject.is_cross_validation:
            return _cross_fitted(subject, settings)
        if subject.fitting is not None:
            return _on_validation(subject.fitting, settings)
        return _stored(subject)
    except ValueError as error:
        uncalibrated = dict.fromkeys([ONE, *folds], UNCALIBRATED)
        return Fitted(uncalibrated, "No operating point could be fitted: 0.5 is used instead.", False, str(error))


def _cross_fitted(subject: Subject, settings: EvaluateConfig) -> Fitted:
    assert subject.held_out is not None
    rows = subject.held_out.rows
    calibrations = {fold: _fit(rows[rows["fold"] != fold], settings) for fold in subject.held_out.folds}
    words = (
        "To be measured, the operating point of each fold was fitted on the out-of-fold logits of the other folds "
        "(cross-fitting, as in the cross-conformal methods of Barber et al. 2021), so no image helped to choose what "
        "it is judged by. Stored with the detector is the one fitted on all out-of-fold logits. These are logits of "
        "single networks; the detector averages the networks of all folds, so its own rates may differ a little."
    )
    return Fitted({**calibrations, ONE: _fit(rows, settings)}, words, True)


def _on_validation(rows: pd.DataFrame, settings: EvaluateConfig) -> Fitted:
    words = (
        f"Fitted on the {np.isfinite(rows['logit']).sum()} validation images alone; none of them is measured here. "
        "The same images chose the checkpoint, which makes the detector look a little better on them than it is: "
        "expect the false-positive rate to come out somewhat above its target. Cross-validation (+sweep=folds) does "
        "without this."
    )
    return Fitted({ONE: _fit(rows, settings)}, words, True)


def _stored(subject: Subject) -> Fitted:
    words = "Stored with the detector, and not changed: the images measured here took no part in it."
    calibration = subject.detector().calibration
    if calibration.n_real + calibration.n_ai == 0:
        words = "None is stored with the detector: 0.5 is used instead. Evaluate the run that it came from to fit one."
    if subject.rival:
        words = "A rival brings no operating point: 0.5 is used on the probability that it gives itself."
    return Fitted({ONE: calibration}, words, False)


def _fit(rows: pd.DataFrame, settings: EvaluateConfig) -> Calibration:
    rows = rows[np.isfinite(rows["logit"])]  # the others are reported, and no operating point can rest on them
    return fit_calibration(
        rows["label"],
        rows["logit"],
        rows["group"].astype(str),
        rule=cast(Literal["fpr", "balanced_accuracy"], settings.threshold),
        fpr_target=settings.fpr,
        error_target=settings.error_target,
        confidence=settings.confidence,
        seed=settings.seed,
    )
