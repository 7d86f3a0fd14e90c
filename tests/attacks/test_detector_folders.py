"""Detector folders: detector.json and weights, read without running code; any bytes give one clear error."""

import json
from pathlib import Path
from typing import Any

import pytest

from rexnet_ai_real.detector.description import UNCALIBRATED, Description, read_description, write_description
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.runs.identify import DETECTOR_FILE, NotADetector

DESCRIPTION = Description(
    architecture={"name": "rexnet_100", "width": 0.25},
    networks=1,
    preprocessing=Preprocessing(32, "squash", "bilinear", (0.5,) * 3, (0.25,) * 3),
    calibration=UNCALIBRATED,
    training={"epochs": 2},
    fingerprint="0" * 64,
)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("preprocessing", {"image_size": 10**6}),
        ("preprocessing", {"image_size": True}),
        ("preprocessing", {"resize": "__import__('os')"}),
        ("preprocessing", {"std": [0.0, 0.0, 0.0]}),
        ("preprocessing", {"mean": [float("nan")] * 3}),
        ("preprocessing", {"mean": ["1", "2", "3"]}),
        ("preprocessing", {"more": 1}),
        ("calibration", {"temperature": "hot"}),
        ("architecture", None),
    ],
)
def test_impossible_values_are_one_clear_error(section: str, change: dict[str, Any] | None, tmp_path: Path) -> None:
    write_description(tmp_path, DESCRIPTION)
    assert read_description(tmp_path) == DESCRIPTION
    plain = json.loads((tmp_path / DETECTOR_FILE).read_text())
    plain[section] = change if change is None else {**plain[section], **change}
    (tmp_path / DETECTOR_FILE).write_text(json.dumps(plain))
    with pytest.raises(NotADetector):
        read_description(tmp_path)
