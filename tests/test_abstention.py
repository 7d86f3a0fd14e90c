"""What no answer costs and gains: the report's section on images made up, against sums written out here."""

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from rexnet_ai_real.config import DataConfig, EvaluateConfig
from rexnet_ai_real.detector.description import UNCALIBRATED
from rexnet_ai_real.evaluate.audits.abstention import flips, measure_abstention
from rexnet_ai_real.evaluate.part import ONE, Part
from rexnet_ai_real.evaluate.report.document import Findings, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.sections import abstention
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.metrics.scores import FloatArray, Scores

N = 24
SCREENS = (1, 4, 10)
"""Rows that hold a screen; odd rows are AI-generated."""
CUT = float(np.log(0.7 / 0.3))
"""Log-odds of the threshold."""


def write_image(path: Path, number: int) -> None:
    image = Image.fromarray(np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    if number in SCREENS:
        image = Image.new("RGB", (80, 60), "white")
        ImageDraw.Draw(image).rectangle((10, 10, 20 + number, 40), fill="navy")
    image.save(path)


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """Images in a folder, with a threshold of 0.7: some answers are wrong."""
    for number in range(N):
        write_image(tmp_path / f"{number}.png", number)
    paths = [f"{number}.png" for number in range(N)]
    labels = np.arange(N) % 2
    rows = pd.DataFrame(
        {
            "path": paths,
            "label": labels,
            "source": "",
            "collection": "",
            "group": paths,
            "sha256": [hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() for path in paths],
            "fold": ONE,
            "logit": CUT + 2.0 * labels - 1 + np.random.default_rng(0).normal(scale=1.5, size=N),
        }
    )
    data = DataConfig(name="folder", root=str(tmp_path), workers=1)
    return Part(
        "test", "test images", rows, data, {ONE: replace(UNCALIBRATED, threshold=0.7, unsure_low=0.7, unsure_high=0.7)}
    )


def delivered_logits(part: Part) -> FloatArray:
    """As it is, and twice otherwise: the last delivery adds 1 to every logit."""
    delivered: FloatArray = part.logits[:, None] + np.array([0.0, -0.2, 1.0])
    return delivered


def findings_on(part: Part, sample: Part) -> Findings:
    preprocessing = Preprocessing(32, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)
    evaluation = SimpleNamespace(
        part=part,
        sample=sample,
        sample_words="",
        settings=EvaluateConfig(run="", resamples=60, data=part.data),
        detector=lambda fold=ONE: SimpleNamespace(
            preprocessing=preprocessing, engine=None, description=SimpleNamespace(familiar_side=None)
        ),
        logits=lambda images, corruptions, title: delivered_logits(images),
    )
    return abstention.findings(cast(Evaluation, evaluation))


def check(found: Any, part: Part, left_out: list[bool]) -> None:
    """Every share of a rule, image by image."""
    rows = list(zip(part.rows["label"], part.rows["logit"], left_out, strict=True))
    right = [(logit >= CUT) == (label == 1) for label, logit, _ in rows]
    out = sum(left_out)
    assert (found["n"], found["left_out"]) == (len(rows), out)
    nearest = sorted(range(len(rows)), key=lambda row: abs(rows[row][1] - CUT))
    for name, among in (
        ("accuracy_all", range(len(rows))),
        ("accuracy_kept", [row for row in range(len(rows)) if not left_out[row]]),
        ("accuracy_left_out", [row for row in range(len(rows)) if left_out[row]]),
        ("accuracy_without_nearest", nearest[out:]),
    ):
        share = sum(right[row] for row in among) / len(among)
        assert found[name]["value"] == pytest.approx(share), name
        assert found[name]["low"] <= share <= found[name]["high"], name
    assert found["share"]["value"] == pytest.approx(out / len(rows))


def test_the_section_counts_what_is_left_out_and_what_is_right(part: Part) -> None:
    sample = part.only(part.rows.index != 4)
    found = findings_on(part, sample)
    scope, redelivery = (cast(dict[str, Any], found.metrics[name]) for name in ("out_of_scope", "redelivery"))
    check(scope, sample, [number in SCREENS for number in range(N) if number != 4])
    assert (scope["real"], scope["ai"]) == (1, 1)
    assert scope["kinds"] == {"in scope": N - 3, "a screenshot or flat graphic": 2}
    changing = [bool(logit < CUT <= logit + 1 or logit - 0.2 < CUT <= logit) for logit in sample.rows["logit"]]
    assert 0 < sum(changing) < len(sample)
    check(redelivery, sample, changing)
    assert redelivery["inference"] == 3
    listed = [block for block in found.blocks if isinstance(block, Table)][-1]
    assert [row[0] for row in listed.rows] == ["1.png", "10.png"]
    assert found.finding.startswith("8.7% (95% interval")


def test_nothing_left_out_is_no_number(part: Part) -> None:
    found = measure_abstention(part.margin_scores, np.zeros(N, dtype=bool), resamples=40, seed=0)
    assert found.share.value == 0
    assert found.kept.value == found.all.value == found.nearest.value
    assert not found.lost.defined


def test_a_rule_that_leaves_out_all_mistakes_is_right_on_the_rest() -> None:
    scores = Scores.of([0, 0, 0, 1, 1, 1], [-1.0, 5.0, -2.0, 1.0, -4.0, 0.5])
    found = measure_abstention(scores, np.array([False, True, False, False, True, False]), resamples=40, seed=0)
    assert found.all.value == pytest.approx(4 / 6)
    assert (found.kept.value, found.lost.value) == (1, 0)
    assert found.nearest.value == pytest.approx(2 / 4)  # without 0.5 and -1 or 1, which are right


def test_an_answer_changes_where_one_delivery_disagrees() -> None:
    margins = np.array([[1.0, 2.0, 0.0], [1.0, -0.1, 3.0], [-1.0, -2.0, -0.1], [-1.0, -1.0, 0.0]])
    assert flips(margins).tolist() == [False, True, False, True]
