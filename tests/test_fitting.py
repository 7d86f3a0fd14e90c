"""The operating point on the worst tier: the threshold stored with a detector is the one that delivered images need."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from rexnet_ai_real.config import DataConfig, EvaluateConfig
from rexnet_ai_real.evaluate import fitting
from rexnet_ai_real.evaluate.part import ONE, Part
from rexnet_ai_real.evaluate.subject import Subject


def rows(n: int, fold: int) -> pd.DataFrame:
    random = np.random.default_rng(fold + 2)
    labels = np.arange(n) % 2
    named = [f"{fold}-{number}" for number in range(n)]
    columns: dict[str, Any] = {"path": named, "group": named, "sha256": named, "source": "", "collection": ""}
    return pd.DataFrame(
        {**columns, "label": labels, "fold": fold, "logit": 3.0 * labels - 1.5 + random.normal(size=n), "split": "val"}
    )


@pytest.mark.parametrize("is_cross_validation", [False, True])
def test_the_threshold_of_the_worst_tier_is_stored(
    is_cross_validation: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Part] = []

    def delivered(part: Part, *_: Any, **__: Any) -> Any:
        asked.append(part)
        return part.logits[:, None] + np.array([0.0, 1.5, -1.0])  # the second tier makes real images look generated

    monkeypatch.setattr(fitting, "predicted_logits", delivered)
    images = pd.concat([rows(400, fold) for fold in ((0, 1) if is_cross_validation else (ONE,))], ignore_index=True)
    part = Part("test", "test images", images, DataConfig(name="folder"), {})
    known = None if is_cross_validation else images
    manifest = images.drop(columns=["fold", "logit"])
    subject = Subject(tmp_path, "a run", {ONE: tmp_path}, part, fitting=known, manifest=manifest)
    plain, found = (
        fitting.fit(subject, EvaluateConfig(run="", threshold=rule, error_target=None), tmp_path)
        for rule in ("fpr", "worst_tier")
    )
    (chose,) = asked
    assert (len(chose), set(chose.rows["label"])) == (192, {0})
    assert found.is_new
    for fold, calibration in found.calibrations.items():
        may = chose.rows[chose.rows["fold"] != fold] if fold != ONE else chose.rows
        cut = np.quantile(may["logit"] + 1.5, 0.95)
        assert calibration.threshold == pytest.approx(expit(cut / calibration.temperature), abs=0.03)
        assert calibration.threshold > plain.calibrations[fold].threshold
        assert "long side ≤ 768 px" in calibration.threshold_rule
    with_band = fitting.fit(subject, EvaluateConfig(run="", threshold="worst_tier"), tmp_path).calibrations[ONE]
    assert with_band.unsure_low <= with_band.threshold <= with_band.unsure_high
