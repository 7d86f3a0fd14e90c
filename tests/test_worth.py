"""What people are told of a detector: how often it was wrong, what it promises, and what speaks against an answer."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real.detector.calibration import NEVER_AI
from rexnet_ai_real.detector.description import UNCALIBRATED, Description, write_description
from rexnet_ai_real.detector.verdict import verdicts
from rexnet_ai_real.detector.worth import Worth, collections_of, summarised
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.remarks import read_with_remarks
from rexnet_ai_real.labels import percent

PREPROCESSING = Preprocessing(64, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)
BAND = replace(UNCALIBRATED, threshold=0.3, unsure_low=0.1, unsure_high=0.4, error_target=0.1, confidence=0.9)
NO_PROMISE = replace(BAND, unsure_low=0.0, unsure_high=NEVER_AI, coverage=0.0)


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def description(training: dict[str, Any]) -> Description:
    return Description({"name": "x"}, 1, PREPROCESSING, UNCALIBRATED, training, "f" * 64)


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


REPORT: dict[str, dict[str, Any]] = {
    "out_of_fold": {"accuracy": estimate(0.9), "accuracy_at_threshold": estimate(0.7), "n_real": 40, "n_ai": 60},
    "aiornot": {"auroc": estimate(0.59), "n_real": 5, "n_ai": 5},
    "calibration": {"ece": estimate(0.1)},
}


def test_every_verdict_says_which_way_it_leans_and_why_it_is_unsure() -> None:
    values = (0.05, 0.2, 0.35, 0.9)
    found = verdicts(["a", "b", "c", "d"], [logit(p) for p in values], BAND)
    assert [(v.label, v.leaning) for v in found] == [
        *(("real", "real"), ("unsure", "real"), ("unsure", "ai"), ("ai", "ai")),
    ]
    assert [v.reason for v in found] == [
        *(None, *2 * ["at most 10 % wrong answers cannot be promised between 10 % AI and 40 % AI"], None),
    ]
    assert [v.always().label for v in found] == ["real", "real", "ai", "ai"]
    assert found[1].always().reason == found[1].reason
    (failed,) = verdicts(["a"], [float("nan")], BAND)
    assert (failed.label, failed.leaning, failed.reason) == (None, None, None)


def test_a_promise_that_cannot_be_kept_is_said_in_words() -> None:
    (found,) = verdicts(["a"], [logit(0.9)], NO_PROMISE)
    assert (found.label, found.leaning) == ("unsure", "ai")
    assert found.reason == "this detector cannot promise at most 10 % wrong answers on any images"
    rule = Worth(NO_PROMISE).rule(always=False)
    assert rule == (
        'This detector cannot promise at most 10 % wrong answers on any images, so its answer is always "unsure". '
        "Beside it stands which way an image leans: AI-generated from 30 % AI on, and real below."
    )
    assert "100" not in rule.replace("10 %", "")
    assert Worth(NO_PROMISE).rule(always=True).startswith("The answer is AI-generated from 30 % AI on")


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "< 1 % AI"),
        (0.0099, "< 1 % AI"),
        (0.01, "1 % AI"),
        (0.287, "29 % AI"),
        (0.99, "99 % AI"),
        (1, "> 99 % AI"),
    ],
)
def test_a_probability_has_one_labelled_form(probability: float, shown: str) -> None:
    assert percent(probability) == shown


@pytest.mark.parametrize(
    ("accuracy", "n", "words"),
    [
        (0.69, 100, "wrong on about 3 in 10 images of its own kind (31 of 100 that it had not seen)"),
        (0.66, 100, "wrong on about 1 in 3 images"),
        (0.99, 200, "wrong on about 1 in 100 images"),
        (0.5, 10, "wrong on about 1 in 2 images of its own kind, like a coin toss (5 of 10"),
        (1.0, 10, "wrong on none of the images of its own kind (0 of 10"),
    ],
)
def test_the_error_is_said_as_people_say_it(accuracy: float, n: int, words: str) -> None:
    trained = description({"name": "demo", "data": "kaggle", "test": {"accuracy": accuracy, "n": n}})
    found = Worth.of(trained, Path("nowhere"))
    assert words in " ".join(found.sentences)
    assert found.name == "demo, trained on kaggle"
    assert "On images from elsewhere it was not measured" in found.sentences[-1]


def test_the_error_of_folds_is_that_of_all_their_images() -> None:
    folds = {"0": {"test": {"accuracy": 0.5, "n": 10}}, "1": {"test": {"accuracy": 1.0, "n": 30}}}
    found = Worth.of(description({"folds": 2, "networks": folds}), Path("nowhere"))
    assert (found.error, found.n) == (0.125, 40)


def test_what_is_not_known_is_said() -> None:
    said = " ".join(Worth.of(description({}), Path("nowhere")).sentences)
    assert said.startswith("An answer is no proof. How often this detector is wrong was not measured")


def test_the_report_beside_a_detector_is_used_and_linked(tmp_path: Path) -> None:
    saved = tmp_path / "report" / "detector"
    trained = description({"test": {"accuracy": 0.99, "n": 10}})
    write_description(saved, trained)
    (saved.parent / "metrics.json").write_text(json.dumps(REPORT))
    (saved.parent / "report.html").touch()
    found = Worth.of(trained, saved)
    assert (round(found.error or 0, 6), found.n, found.elsewhere) == (0.3, 100, {"aiornot": 0.59})
    assert found.report == saved.parent / "report.html"
    assert "little better than a coin toss: AUROC 0.59 on aiornot" in found.sentences[-1]
    assert Worth.of(replace(trained, fingerprint="0" * 64), saved).report is None  # of another checkpoint
    for damaged in ("{", "[" * 200_000):
        (saved.parent / "metrics.json").write_text(damaged)
        assert Worth.of(trained, saved).n == 10
    (saved.parent / "metrics.json").unlink()
    os.mkfifo(saved.parent / "metrics.json")
    assert Worth.of(trained, saved).n == 10  # and comes back


def test_an_exported_detector_carries_what_its_report_measured() -> None:
    exported = description({"measured": summarised(REPORT), "test": {"accuracy": 0.99, "n": 10}})
    assert Worth.of(exported, Path("nowhere")).n == 100
    assert summarised({}) == {}


def test_no_right_answer_at_the_threshold_is_an_error_of_1() -> None:
    own = REPORT["out_of_fold"] | {"accuracy_at_threshold": estimate(0.0)}
    assert summarised({"out_of_fold": own})["error"] == 1
    assert summarised({"out_of_fold": own | {"n_real": "many"}})["n"] == 60


def remark_on(image: Image.Image, tmp_path: Path) -> str | None:
    image.save(tmp_path / "a.png")
    return read_with_remarks(tmp_path / "a.png", PREPROCESSING).remark


def test_images_that_are_hard_to_judge_earn_a_remark(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 4), dtype=np.uint8))
    assert remark_on(noise.convert("RGB"), tmp_path) is None
    assert remark_on(noise.convert("RGB").resize((17, 300)), tmp_path) is None
    assert remark_on(noise.convert("RGB").resize((300, 16)), tmp_path) == (
        "only 300 x 16 pixels, and the detector expects 64 a side: too few to judge by"
    )
    noise.putalpha(0)
    blank = "blank or fully transparent: there is nothing to judge"
    assert remark_on(noise, tmp_path) == remark_on(Image.new("RGB", (300, 300), "teal"), tmp_path) == blank


def test_images_as_small_as_those_of_the_training_are_judged(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (15, 15, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    for side, is_judged in ((None, False), (16, False), (15, True), (8, True)):
        found = read_with_remarks(tmp_path / "a.png", PREPROCESSING, familiar_side=side)
        assert (found.outside is None) == is_judged
    folds = {"networks": {"0": {"short_side": 20}, "1": {"short_side": 30}, "2": "?"}}
    sides = [description(training).familiar_side for training in ({}, {"short_side": 9}, folds, {"short_side": "9"})]
    assert sides == [None, 9, 30, None]


def test_collections_that_were_left_out_are_told_as_such() -> None:
    own = REPORT["out_of_fold"] | {"collections": {"a": {"auroc": estimate(0.8)}, "b": {"auroc": {"value": None}}}}
    by_group, by_collection = (summarised({"out_of_fold": own | {"split_by": by}}) for by in ("group", "collection"))
    assert by_group == {"error": pytest.approx(0.3), "n": 100, "elsewhere": None}
    assert by_collection == by_group | {"elsewhere": {"a": 0.8}, "left_out": True}
    said = Worth.of(description({"measured": by_collection}), Path("nowhere")).sentences
    assert "images of collections left out of its training" in said[1]
    assert "AUROC 0.80 on a" in said[2]


@pytest.mark.parametrize("strange", ["many", ["a"], 3, None])
def test_strange_facts_of_collections_are_passed_over(strange: Any) -> None:
    assert collections_of({"collections": strange}) == {}
    assert collections_of({"collections": {"a": strange}}) == {}
    assert collections_of({"collections": {"a": {"real": strange or "3", "licence": [strange]}}})["a"] | {"ai": 0} == {
        **{"real": strange if type(strange) is int else 0, "ai": 0, "generators": []},
        **dict.fromkeys(("repository", "commit", "licence", "trust", "sha256"), ""),
    }
