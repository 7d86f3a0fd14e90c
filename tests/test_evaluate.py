"""The report end to end: every section, a run, folds, checkpoint, detector; what fails is named, the rest made."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score

from rexnet_ai_real import Detector
from rexnet_ai_real.config import ConfigError, DataConfig, EvaluateConfig
from rexnet_ai_real.data.manifest import build_manifest, read_manifest, write_manifest
from rexnet_ai_real.data.sources import listing
from rexnet_ai_real.data.split import assign_split
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.report import evaluation as evaluation_module
from rexnet_ai_real.evaluate.report import write as report
from rexnet_ai_real.evaluate.report.document import Findings, Paragraph, Risk
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.opening import opening
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.report.sections import SECTIONS
from rexnet_ai_real.evaluate.report.write import wanted, write_report
from rexnet_ai_real.evaluate.subject import NothingToEvaluate
from rexnet_ai_real.files import write_text
from rexnet_ai_real.metrics.binary import METRICS
from rexnet_ai_real.metrics.definitions import Metric
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.identify import NotADetector

QUICK = ["metrics", "calibration"]


def settings(run: RunFolder | Path, folder: Path, **changes: Any) -> EvaluateConfig:
    path = run.path if isinstance(run, RunFolder) else run
    quick = EvaluateConfig(run=str(path), output_dir=str(folder), sections=QUICK, resamples=40, sample=8)
    return replace(quick, **changes)


def draw_images(folder: Path, counts: dict[str, int], seed: int) -> None:
    """Small images of noise, no two alike."""
    random = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            coarse.resize((24, 24), Image.Resampling.BICUBIC).save(folder / name / f"{number:03}.png")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set: 100 real images, 60 of one generator and 40 of another."""
    root = tmp_path_factory.mktemp("images")
    draw_images(root, {"real": 100, "ai/first": 60, "ai/second": 40}, seed=0)
    return root


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another data set."""
    root = tmp_path_factory.mktemp("others") / "elsewhere"
    draw_images(root, {"real": 12, "ai": 12}, seed=1)
    return root


def leave_run(folder: Path, trained: RunFolder, root: Path, *, fold: int | None = None, seed: int = 0) -> RunFolder:
    """A run folder as training leaves it: the network of `trained`, other images, logits that follow the labels."""
    run = RunFolder(folder)
    data = DataConfig(name="folder", root=str(root))
    manifest = build_manifest(root, listing(data, root), progress=False)
    manifest["split"] = assign_split(manifest, seed=0, val_fraction=0.4, test_fraction=0.3, fold=fold, folds=3)
    config = trained.read_config()
    config |= {
        "name": "planted",
        "data": config["data"] | {"name": "folder", "root": str(root), "fold": fold, "folds": 3},
    }
    run.write_config(config)
    write_manifest(manifest, run.manifest_file)
    held_out = manifest[manifest["split"].isin(["val", "test"])]
    noise = np.random.default_rng(seed).normal(size=len(held_out))
    logit = 4.0 * held_out["label"] - 2 + 1.5 * noise
    rows = held_out[["path", "label", "split"]].assign(logit=logit, probability=1 / (1 + np.exp(-logit)))
    run.write_predictions(rows)
    run.checkpoints.mkdir(parents=True)
    shutil.copy(trained.best_checkpoint, run.best_checkpoint)
    shutil.copy(trained.metrics_file, run.metrics_file)
    shutil.copy(trained.history_file, run.history_file)
    return run


@pytest.fixture(scope="module")
def planted(tiny_run: RunFolder, images: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return leave_run(tmp_path_factory.mktemp("planted"), tiny_run, images)


@pytest.fixture(scope="module")
def folds(tiny_run: RunFolder, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    for fold in range(3):
        run = leave_run(folder / str(fold), tiny_run, images, fold=fold, seed=fold)
        write_text(run.path / ".hydra" / "overrides.yaml", yaml.safe_dump([f"data.fold={fold}", "data.folds=3"]))
    return folder


@pytest.fixture(scope="module")
def whole(planted: RunFolder, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every section; the comparison is with the run itself, drawn anew."""
    folder = tmp_path_factory.mktemp("whole")
    again = folder / "again"
    shutil.copytree(planted.path, again)
    predictions = pd.read_csv(planted.predictions_file)
    RunFolder(again).write_predictions(predictions.assign(logit=predictions["logit"] * 0.5 - 0.4))
    chosen = settings(
        planted,
        folder / "report",
        sections=list(SECTIONS),
        against=str(again),
        others=[str(elsewhere)],
        sample=6,
    )
    assert write_report(chosen) == []
    return folder / "report"


def metrics_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


def test_a_whole_report_is_one_file_that_needs_no_network(whole: Path) -> None:
    text = (whole / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|<link|@import|<iframe|<script[^>]+src", text)
    assert set(re.findall(r'(?:src|href)="([^"]{1,5})', text)) <= {"data:", "#metr", "#cali", "#comp", "#shor"} | {
        *("#robu", "#deli", "#abst", "#view", "#coll", "#mist", "#expl", "#abou"),
    }
    assert {path.name for path in whole.iterdir()} >= {
        *("report.html", "report.md", "metrics.json", "predictions.csv", "figures", "detector"),
    }
    linked = set(re.findall(r"\]\((figures/[^)]+)\)", (whole / "report.md").read_text(encoding="utf-8")))
    assert len(linked) >= 10
    for name in linked:
        assert (whole / name).is_file()
        assert (whole / name).with_suffix(".pdf").is_file()


def test_figures_are_those_of_scikit_learn(whole: Path, planted: RunFolder) -> None:
    test = pd.read_csv(planted.predictions_file).query("split == 'test'")
    found = metrics_in(whole)["test"]
    temperature = metrics_in(whole)["calibration"]["operating_point"]["temperature"]
    probability = 1 / (1 + np.exp(-test["logit"] / temperature))
    assert found["n"] == len(test)
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(test["label"], test["logit"] >= 0))
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(test["label"], test["logit"]))
    assert found["brier"]["value"] == pytest.approx(brier_score_loss(test["label"], probability))
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]


def test_the_same_numbers_everywhere(whole: Path) -> None:
    texts = [(whole / name).read_text(encoding="utf-8") for name in ("report.md", "report.html")]
    texts[1] = unescape(re.sub(r"<[^>]+>", "", texts[1]))
    found = metrics_in(whole)
    differing = found["comparison"]["auroc"]["difference"]
    for estimate in (
        *(found["test"][name] for name in ("accuracy", "auroc", "nll", "recall")),
        found["elsewhere"]["auroc"],
    ):
        for text in texts:
            assert f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]" in text
    assert all(f"{differing['value']:+.3f}".replace("-", "−").replace("+0.000", "0.000") in text for text in texts)
    assert set(found) == {
        *("test", "elsewhere", "calibration", "comparison", "shortcuts", "robustness", "explanations"),
        *("abstention", "delivery", "views", "mistakes"),
    }
    assert set(found["shortcuts"]) == {"files", "swaps", "leaks", "label_errors"}
    assert len(found["robustness"]) == 48  # 47 cells and n


def test_the_first_paragraph_says_what_it_is_worth(whole: Path) -> None:
    text = (whole / "report.md").read_text(encoding="utf-8")
    first = text.split("\n\n")[2]
    for lead in ("**What was found:**", "**What it is worth:**", "**The largest risk:**"):
        assert lead in first
    assert "elsewhere" in first  # the network was not trained on these images: it must fail there


def test_the_detector_carries_the_operating_point(whole: Path, planted: RunFolder) -> None:
    detector = Detector.load(whole / "detector")
    stored = metrics_in(whole)["calibration"]["operating_point"]
    assert detector.calibration.plain() == stored
    assert stored["n_real"] + stored["n_ai"] == (pd.read_csv(planted.predictions_file)["split"] == "val").sum()
    assert detector.fingerprint == Detector.load(planted.path).fingerprint


def test_predictions_hold_every_measured_image(whole: Path, planted: RunFolder) -> None:
    rows = pd.read_csv(whole / "predictions.csv", keep_default_na=False)
    detector = Detector.load(whole / "detector")
    assert rows["set"].value_counts().to_dict() == {"test": metrics_in(whole)["test"]["n"], "elsewhere": 24}
    np.testing.assert_allclose(rows["probability"], detector.calibration.probabilities(rows["logit"]))
    assert (detector.calibration.decide(rows["probability"]) == rows["verdict"]).all()


def test_folds_are_measured_out_of_fold_and_judged_by_the_others(folds: Path, tmp_path: Path) -> None:
    assert write_report(settings(folds, tmp_path)) == []
    found = metrics_in(tmp_path)
    rows = pd.read_csv(tmp_path / "predictions.csv")
    assert found["out_of_fold"]["n"] == len(rows) == 200
    assert sorted(rows["fold"].unique()) == [0, 1, 2]
    assert found["out_of_fold"]["sources"]["AI/first"]["n"] == 60
    temperatures = rows["logit"] / np.log(rows["probability"] / (1 - rows["probability"]))
    assert temperatures.groupby(rows["fold"]).std().max() < 1e-6
    assert temperatures.groupby(rows["fold"]).mean().nunique() == 3
    detector = Detector.load(tmp_path / "detector")
    assert detector.description.networks == 3
    assert detector.calibration.n_real == 100
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "out-of-fold logits of the other folds" in text
    assert "mean ± sd" in text


def test_the_worst_delivery_tier_chooses_the_threshold_on_other_images(
    planted: RunFolder, folds: Path, elsewhere: Path, tmp_path: Path
) -> None:
    for run, whose in ((planted, "real validation images; none of them"), (folds, "60 real out-of-fold images")):
        assert write_report(settings(run, tmp_path / whose, sections=["metrics", "delivery"])) == []
        found = metrics_in(tmp_path / whose)["delivery"]
        assert list(found["tiers"]) == list(found["at_detector_threshold"]) == ["clean", "web", "messenger"]
        assert found["tiers"]["web"]["accuracy"].keys() >= {"value", "low", "high"}
        assert whose in found["threshold"]["chosen_on"]
        assert found["threshold"]["worst_tier"] in found["tiers"]
    data = replace(DataConfig(name="folder"), root=str(elsewhere), workers=1)
    detector = Detector.load(planted.path)
    detector.save(tmp_path / "detector")
    alone = settings(tmp_path / "detector", tmp_path / "alone", data=data, sections=["metrics", "delivery"])
    assert write_report(alone) == []
    text = (tmp_path / "alone" / "report.md").read_text(encoding="utf-8")
    assert "No threshold could be set on the worst tier: a false-positive rate of 5.0% needs at least 19" in text
    assert write_report(replace(alone, fpr=0.3, sample=None)) == []
    assert "two halves" in metrics_in(tmp_path / "alone")["delivery"]["threshold"]["chosen_on"]


def test_views_are_measured_and_then_taken_up(
    planted: RunFolder, folds: Path, exported_run: Path, elsewhere: Path, tmp_path: Path
) -> None:
    data = replace(DataConfig(name="folder"), root=str(elsewhere), workers=1)
    with pytest.raises(UserError, match=r"views=\['frame', 'flip'\].*keeps the views"):
        write_report(settings(exported_run, tmp_path / "no", data=data, views=["frame", "flip"]))
    for run in (planted, folds):
        at = tmp_path / str(run is folds)
        assert write_report(settings(run, at / "seen", sections=["metrics", "views"], sample=None)) == []
        seen = metrics_in(at / "seen")["views"]
        assert seen["own"] == ["frame"]
        assert {name: found["cost"] for name, found in seen["views"].items()} == {
            **{"frame": 1, "native": 1, "flip": 1, "frame+flip": 2, "frame+native": 2, "frame+native+flip": 3},
        }
        assert seen["views"]["frame"]["change"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        views = ["frame", "native"]
        taken = settings(run, at / "taken", sections=["metrics", "calibration", "views"], sample=None, views=views)
        assert write_report(taken) == []
        found = metrics_in(at / "taken")
        if run is planted:  # the temperatures of folds, which differ, are others with these views
            assert found["test"]["auroc"]["value"] == pytest.approx(seen["views"]["frame+native"]["auroc"]["value"])
        assert found["views"]["own"] == views
        assert "frame, native are averaged" in (at / "taken" / "report.md").read_text(encoding="utf-8")
        detector = Detector.load(at / "taken" / "detector")
        assert detector.preprocessing.views == ("frame", "native")
        assert detector.calibration.n_real > 0
        assert (
            detector.fingerprint == Detector.load(folds if run is folds else planted.path).with_views(views).fingerprint
        )


def test_seeds_on_one_split_are_measured_together(tiny_run: RunFolder, images: Path, tmp_path: Path) -> None:
    folder, tables = tmp_path / "seeds", []
    for seed in range(2):
        run = leave_run(folder / str(seed), tiny_run, images, seed=seed)
        run.write_config(run.read_config() | {"seed": seed})
        write_text(run.path / ".hydra" / "overrides.yaml", yaml.safe_dump([f"seed={seed}", "data.split_seed=0"]))
        tables.append(pd.read_csv(run.predictions_file).query("split == 'test'").set_index("path")["logit"])
    assert write_report(settings(folder, tmp_path / "report")) == []
    rows = pd.read_csv(tmp_path / "report" / "predictions.csv").set_index("path")
    np.testing.assert_allclose(rows["logit"], ((tables[0] + tables[1]) / 2).loc[rows.index])
    detector = Detector.load(tmp_path / "report" / "detector")
    assert detector.description.networks == 2
    assert detector.description.training["seeds"] == [0, 1]
    assert detector.calibration.n_real > 0
    run = RunFolder(folder / "1")
    manifest, predictions = read_manifest(run.manifest_file), pd.read_csv(run.predictions_file)
    for table in (manifest, predictions):
        table["split"] = table["split"].replace({"val": "test", "test": "val"})
    write_manifest(manifest, run.manifest_file)
    run.write_predictions(predictions)
    with pytest.raises(NothingToEvaluate, match=r"data\.split_seed=0"):
        write_report(settings(folder, tmp_path / "report"))


def test_a_foreign_set_is_predicted_once(
    planted: RunFolder, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = replace(DataConfig(name="folder"), root=str(elsewhere), workers=1)
    chosen = settings(planted, tmp_path, data=data)
    assert write_report(chosen) == []
    first = metrics_in(tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("predicted again")

    monkeypatch.setattr(TorchEngine, "logits", never)
    assert write_report(chosen) == []
    assert metrics_in(tmp_path) == first
    assert first["elsewhere"]["n"] == 24


def test_images_that_were_learned_do_not_count(planted: RunFolder, images: Path, tmp_path: Path) -> None:
    data = replace(DataConfig(name="folder"), root=str(images), workers=1)
    assert write_report(settings(planted, tmp_path, data=data)) == []
    manifest = pd.read_csv(planted.manifest_file, keep_default_na=False)
    assert metrics_in(tmp_path)[images.name]["n"] == (manifest["split"] == "test").sum()
    assert "that it was trained on" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_moved_data_set_is_found(planted: RunFolder, images: Path, tmp_path: Path) -> None:
    run, moved = RunFolder(tmp_path / "run"), tmp_path / "moved"
    shutil.copytree(planted.path, run.path)
    shutil.copytree(images, moved)
    run.write_config({**(c := run.read_config()), "data": c["data"] | {"root": str(tmp_path / "gone")}})
    chosen = settings(run, tmp_path / "report", sections=["metrics", "shortcuts"])
    failures = write_report(chosen)
    assert "gone" in " ".join(failures)
    assert metrics_in(tmp_path / "report")["test"]["n"] > 0
    assert write_report(replace(chosen, data=replace(chosen.data, root=str(moved)))) == []


def test_a_checkpoint_and_a_detector_are_evaluated_too(planted: RunFolder, elsewhere: Path, tmp_path: Path) -> None:
    assert write_report(settings(planted.best_checkpoint, tmp_path / "a", sections=["metrics"])) == []
    assert write_report(settings(planted, tmp_path / "b", sections=["metrics"])) == []
    assert metrics_in(tmp_path / "a") == metrics_in(tmp_path / "b")
    with pytest.raises(NothingToEvaluate, match="has no images of its own"):
        write_report(settings(tmp_path / "b" / "detector", tmp_path / "c"))
    data = replace(DataConfig(name="folder"), root=str(elsewhere), workers=1)
    assert write_report(settings(tmp_path / "b" / "detector", tmp_path / "c", data=data)) == []
    assert not (tmp_path / "c" / "detector").exists()  # nothing was fitted
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    shutil.copytree(planted.path, tmp_path / "run")
    shutil.copy(planted.best_checkpoint, last)
    assert write_report(settings(last, tmp_path / "d", sections=["metrics"])) == []  # predicted anew
    logits = pd.read_csv(tmp_path / "d" / "predictions.csv")["logit"]
    assert not np.allclose(logits, pd.read_csv(tmp_path / "b" / "predictions.csv")["logit"])


def test_an_exported_graph_is_evaluated_like_the_networks_it_was_made_of(
    exported_run: Path, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # the graph is in float32
    data = replace(DataConfig(name="folder"), root=str(elsewhere), workers=1)
    sections = [*QUICK, "robustness"]
    for backend in ("torch", "auto"):
        chosen = settings(exported_run, tmp_path / backend, data=data, sections=sections, backend=backend)
        assert write_report(chosen) == []
    found, expected = (pd.read_csv(tmp_path / backend / "predictions.csv") for backend in ("auto", "torch"))
    assert found["logit"].tolist() == pytest.approx(expected["logit"].tolist(), abs=1e-4)
    assert not (found["logit"] == expected["logit"]).all()  # another engine, and its predictions are not mixed up
    for part in ("elsewhere", "robustness", "calibration"):
        assert_close(metrics_in(tmp_path / "auto")[part], metrics_in(tmp_path / "torch")[part])
    assert "backend=onnx" in (tmp_path / "auto" / "report.md").read_text(encoding="utf-8")
    heat = settings(exported_run, tmp_path / "auto", data=data, sections=["metrics", "explanations"])
    (failure,) = write_report(heat)
    assert failure.endswith(
        "The test of heat maps needs PyTorch, and this detector runs on backend=onnx: load it with backend=torch"
    )


def assert_close(found: Any, expected: Any) -> None:
    """The same names, words and whole numbers; measured values as near as rounding allows."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_close(found[key], value)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-3)
    else:
        assert found == expected


def test_a_run_has_no_backend_but_pytorch(planted: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"backend=onnx runs exported detectors, and .* is none: export it first"):
        write_report(settings(planted, tmp_path, backend="onnx"))


def doctored(planted: RunFolder, folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> RunFolder:
    shutil.copytree(planted.path, folder)
    run = RunFolder(folder)
    run.write_predictions(change(pd.read_csv(planted.predictions_file)))
    return run


def test_logits_that_are_no_numbers_are_named_and_left_out(planted: RunFolder, tmp_path: Path) -> None:
    def spoil(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(
            logit=rows["logit"].where((rows["split"] == "val") | (rows.groupby("split").cumcount() >= 3))
        )

    run = doctored(planted, tmp_path / "run", spoil)
    failures = write_report(settings(run, tmp_path / "report"))
    assert len(failures) == 1
    assert "3 of" in failures[0]
    assert "NaN" in failures[0]
    expected = len(pd.read_csv(planted.predictions_file).query("split == 'test'")) - 3
    assert metrics_in(tmp_path / "report")["test"]["n"] == expected
    assert "Missing or incomplete" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_nothing_but_nan_still_gives_a_report(planted: RunFolder, tmp_path: Path) -> None:
    run = doctored(planted, tmp_path / "run", lambda rows: rows.assign(logit=np.nan))
    failures = write_report(settings(run, tmp_path / "report", sections=[*QUICK, "shortcuts"]))
    assert failures
    assert "nothing: there is no image with a usable prediction" in (tmp_path / "report" / "report.md").read_text()


def test_one_class_alone(planted: RunFolder, tmp_path: Path) -> None:
    draw_images(tmp_path / "set", {"ai": 8}, seed=3)
    data = replace(DataConfig(name="folder"), root=str(tmp_path / "set"), workers=1)
    failures = write_report(settings(planted, tmp_path / "report", data=data, sections=[*QUICK, "shortcuts"]))
    assert any("at least 5 independent files" in failure for failure in failures)
    found = metrics_in(tmp_path / "report")["set"]
    assert found["auroc"]["value"] is None
    assert "both classes" in found["auroc"]["reason"]
    assert found["recall"]["value"] is not None


def test_too_few_real_images_for_the_threshold(tiny_run: RunFolder, tmp_path: Path) -> None:
    failures = write_report(settings(tiny_run, tmp_path))
    assert "independent real images" in failures[0]
    found = metrics_in(tmp_path)
    assert found["test"]["accuracy"]["value"] is not None
    assert not (tmp_path / "detector").exists()
    enough = settings(tiny_run, tmp_path, threshold="balanced_accuracy", error_target=None)
    assert write_report(enough) == []
    assert Detector.load(tmp_path / "detector").calibration.threshold_rule.startswith("best balanced accuracy")


def test_other_collections_fail_one_by_one(planted: RunFolder, elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    others = [str(elsewhere), str(tmp_path / "empty"), str(tmp_path / "nowhere")]
    failures = write_report(settings(planted, tmp_path / "report", others=others, sections=["collections"]))
    assert len(failures) == 1
    assert "empty" in failures[0]
    assert "nowhere" in failures[0]
    assert metrics_in(tmp_path / "report")["elsewhere"]["n"] == 24


def test_a_section_and_a_metric_need_one_entry_each(
    planted: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The entries alone bring them into settings, report, metrics.json, the opening and onto the screen."""

    def make(evaluation: Evaluation) -> Findings:
        return Findings("Colours are fine.", (Paragraph(f"{len(evaluation.part)} looked at."),), {"hues": 3})

    entry = SectionEntry("colours", "Are the colours right?", make, untested=Risk(9.0, "whether the colours are right"))
    monkeypatch.setitem(SECTIONS, "colours", entry)
    metric = Metric("miss_rate", "AI images missed", lambda s: s.fn / s.n_ai, at_threshold=True, headline=True)
    monkeypatch.setitem(METRICS, "miss_rate", metric)
    chosen = settings(planted, tmp_path, sections=["metrics", "colours"])
    assert write_report(chosen) == []
    assert "AI images missed" in capsys.readouterr().out
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "Are the colours right?" in text
        assert "Colours are fine." in text
        assert "looked at." in text
        assert "AI images missed" in text
    plain = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert plain["colours"] == {"hues": 3}
    for name in ("miss_rate", "miss_rate_at_threshold"):
        assert plain["test"][name].keys() >= {"value", "low", "high"}
    assert plain["test"]["miss_rate"]["value"] == pytest.approx(1 - plain["test"]["recall"]["value"])
    assert "colours" in [each.key for each in wanted(replace(chosen, sections=None))]
    evaluation = Evaluation.open(chosen)
    assert "untested: whether the colours are right;" in dict(opening(evaluation, []))["The largest risk"]


def test_an_error_inside_a_section_does_not_cost_the_others(
    planted: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> Findings:
        raise RuntimeError("unforeseen")

    monkeypatch.setitem(SECTIONS, "calibration", replace(SECTIONS["calibration"], make=broken))
    failures = write_report(settings(planted, tmp_path))
    assert "RuntimeError: unforeseen" in failures[0]
    assert "Traceback" in (tmp_path / report.ERRORS_FILE).read_text()
    assert metrics_in(tmp_path)["test"]["n"] > 0


@pytest.mark.parametrize("name", ["config.yaml", "model.txt"])
def test_what_is_no_detector_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotADetector, match="folder holds no detector: expected a run folder"):
        write_report(settings(tmp_path / "folder", tmp_path / "report"))
    with pytest.raises(NotADetector, match="nowhere does not exist: expected a run folder"):
        write_report(settings(tmp_path / "nowhere", tmp_path / "report"))
    (tmp_path / "folder" / name).write_text("{}")
    with pytest.raises(UserError):
        write_report(settings(tmp_path / "folder" / name, tmp_path / "report"))
    assert not (tmp_path / "report").exists()


def test_a_detector_of_other_labels_is_refused(planted: RunFolder, elsewhere: Path, tmp_path: Path) -> None:
    Detector.load(planted.path).save(tmp_path)
    file = tmp_path / "detector.json"
    file.write_text(file.read_text().replace('"real"', '"cat"'))
    data = replace(DataConfig(name="folder"), root=str(elsewhere))
    with pytest.raises(NotADetector, match="cat"):
        write_report(settings(tmp_path, tmp_path / "report", data=data))


def test_folds_of_two_experiments_are_not_mixed(folds: Path, tmp_path: Path) -> None:
    shutil.copytree(folds, tmp_path / "folds")
    for number, rate in enumerate(("1e-3", "1e-3", "1e-4")):
        overrides = [f"data.fold={number}", f"optimizer.lr={rate}"]
        write_text(tmp_path / "folds" / str(number) / ".hydra" / "overrides.yaml", yaml.safe_dump(overrides))
    with pytest.raises(NotADetector, match=r"differ in optimizer\.lr \(lr=1e-3; lr=1e-4\); only the folds of one"):
        write_report(settings(tmp_path / "folds", tmp_path / "report"))


def test_a_run_is_not_compared_with_a_cross_validation(planted: RunFolder, folds: Path, tmp_path: Path) -> None:
    failures = write_report(settings(planted, tmp_path, against=str(folds), sections=["metrics", "comparison"]))
    assert "cannot be compared" in failures[0]


def test_something_to_compare_with_needs_its_section(planted: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add comparison"):
        write_report(settings(planted, tmp_path, against=str(planted.path)))


def test_the_command_writes_the_report_and_names_what_it_lacks(planted: RunFolder, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-W", "error", "-m", "rexnet_ai_real.evaluate", "run=run", "resamples=40"]
    shutil.copytree(planted.path, tmp_path / "run")
    done = subprocess.run(
        [*command, "sections=[metrics,collections]", "others=[missing]"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "These parts of the report could not be made" in done.stderr
    assert "Traceback" not in done.stderr
    assert "report.html" in done.stdout
    assert (tmp_path / "run" / "report" / "report.html").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def altered(planted: RunFolder, folder: Path) -> RunFolder:
    shutil.copytree(planted.path, folder)
    return RunFolder(folder)


def refusal(run: RunFolder | Path, folder: Path, **changes: Any) -> str:
    """The one line with which an evaluation ends."""
    with pytest.raises(UserError) as error:
        write_report(settings(run, folder, **changes))
    assert not (folder / "report.html").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_emptied_or_edited_manifest_is_an_error(planted: RunFolder, tmp_path: Path) -> None:
    manifest = read_manifest(planted.manifest_file)
    is_test = manifest["split"] == "test"
    changes = {
        "emptied": manifest[:0],
        "flipped": manifest.assign(label=manifest["label"].where(~is_test, 1 - manifest["label"])),
        "moved": manifest.assign(split=manifest["split"].replace({"test": "val", "val": "test"})),
        "shortened": manifest[~is_test],
    }
    for name, changed in changes.items():
        run = altered(planted, tmp_path / name)
        write_manifest(changed, run.manifest_file)
        said = refusal(run, tmp_path / f"{name}_report")
        assert "manifest.csv and predictions.csv do not belong together" in said
        assert "images have another label or part" in said
        assert said.endswith("Put the file back as training wrote it, or train again")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("manifest.csv", "path,label\na.png,1\n", "manifest.csv is missing or damaged .*lacks the columns source"),
        ("manifest.csv", None, "manifest.csv is missing or damaged .*No such file"),
        ("config.yaml", "", "config.yaml is empty: expected the settings of the run .*; restore the file"),
        ("config.yaml", "data: [1, 2", "config.yaml is damaged, at line 1: expected the settings of the run as YAML"),
        ("config.yaml", "data: {name: folder}", "config.yaml is damaged: expected the settings of the run .*; restore"),
        (
            "config.yaml",
            "data: {name: folder}\nmodel: {}\ntrainer: {}\nseed: 0\n",
            "does not hold the settings of a training run",
        ),
        ("predictions.csv", "nothing", "predictions.csv is damaged .*remove it, and the images are predicted again"),
        ("predictions.csv", "path,label,split,logit\na.png,x,test,1\n", "predictions.csv is damaged"),
    ],
)
def test_a_damaged_file_of_a_run_is_one_sentence(
    file: str, content: str | None, message: str, planted: RunFolder, tmp_path: Path
) -> None:
    run = altered(planted, tmp_path / "run")
    if content is None:
        (run.path / file).unlink()
    else:
        (run.path / file).write_text(content)
    assert re.search(message, refusal(run, tmp_path / "report"))


def test_a_label_that_is_none_is_one_sentence(planted: RunFolder, tmp_path: Path) -> None:
    for name, label in (("number", "7"), ("word", "ai")):
        run = altered(planted, tmp_path / name)
        manifest = pd.read_csv(run.manifest_file, dtype=str, keep_default_na=False)
        manifest.loc[manifest["split"] == "test", "label"] = label
        manifest.to_csv(run.manifest_file, index=False)
        assert "manifest.csv" in refusal(run, tmp_path / "report")


def test_an_edited_fold_is_an_error(folds: Path, tmp_path: Path) -> None:
    shutil.copytree(folds, tmp_path / "folds")
    run = RunFolder(tmp_path / "folds" / "1")
    write_manifest(read_manifest(run.manifest_file)[:0], run.manifest_file)
    assert "do not belong together" in refusal(tmp_path / "folds", tmp_path / "report")


def test_replaced_images_are_an_error(planted: RunFolder, images: Path, tmp_path: Path) -> None:
    run, moved = altered(planted, tmp_path / "run"), tmp_path / "images"
    shutil.copytree(images, moved)
    run.write_config({**(c := run.read_config()), "data": c["data"] | {"root": str(moved)}})
    manifest = read_manifest(run.manifest_file)
    Image.new("RGB", (24, 24), "red").save(moved / manifest.loc[manifest["split"] == "test", "path"].iloc[0])
    failures = write_report(settings(run, tmp_path / "report", sections=["metrics", "shortcuts", "explanations"]))
    assert len(failures) >= 1
    assert any("was replaced or changed since the manifest was made" in failure for failure in failures)
    assert "replaced or changed" in failures[0]
    run.predictions_file.unlink()
    assert "replaced or changed since the manifest was made" in refusal(run, tmp_path / "again")


def test_a_network_of_nan_is_one_sentence(planted: RunFolder, tmp_path: Path) -> None:
    run = altered(planted, tmp_path / "run")
    run.predictions_file.unlink()
    checkpoint = torch.load(run.best_checkpoint, weights_only=True)
    for tensor in checkpoint["state_dict"].values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    torch.save(checkpoint, run.best_checkpoint)
    assert re.search(
        r"the logit of .* is nan; a trained detector gives finite logits", refusal(run, tmp_path / "report")
    )


def test_a_folder_that_cannot_be_written_is_one_sentence_before_any_work(
    planted: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    said = refusal(planted, tmp_path / "file" / "report")
    assert said.startswith(str(tmp_path / "file"))
    assert said.endswith("write elsewhere with output_dir=PATH")

    def never(*_: object) -> None:
        raise AssertionError("worked first")

    def read_only(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(evaluation_module, "fit", never)
    monkeypatch.setattr(evaluation_module, "TemporaryFile", read_only)
    assert f"{tmp_path / 'report'} cannot be written (read-only file system)" in refusal(planted, tmp_path / "report")


def test_a_disk_that_fills_up_costs_no_earlier_report(
    planted: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(planted, tmp_path, sections=["metrics"])
    assert write_report(chosen) == []
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "write_text", full)
    with pytest.raises(UserError, match=r"no space left on device.*earlier report and finished predictions"):
        write_report(replace(chosen, resamples=20))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_markup_and_control_codes_in_names_reach_neither_screen_nor_report(
    planted: RunFolder, elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`[/x]` in a path ended in an error after all the work; escape sequences steered the terminal."""
    name = "[bold]<img src=1>\x1b[2J"
    moved = tmp_path / name
    shutil.copytree(elsewhere, moved)
    data = replace(DataConfig(name="folder"), root=str(moved), workers=1)
    folder = tmp_path / "out[/x]"
    assert write_report(settings(planted, folder, data=data, sections=["metrics", "shortcuts"])) == []
    printed = capsys.readouterr()
    assert "24 images of [bold]<img" in printed.out
    for text in (printed.out, *((folder / file).read_text("utf-8") for file in ("report.md", "report.html"))):
        assert "\x1b[2J" not in text
        assert "\\x1b[2J" in text
    assert "<img src=1>" not in (folder / "report.md").read_text("utf-8")
    assert "<img src=1>" not in (folder / "report.html").read_text("utf-8")


def test_what_cannot_be_promised_is_said_everywhere_with_the_threshold_beside_it(
    planted: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    run = doctored(planted, tmp_path / "run", lambda rows: rows.assign(logit=random.normal(size=len(rows))))
    assert write_report(settings(run, tmp_path / "report")) == []
    calibration = Detector.load(tmp_path / "report" / "detector").calibration
    said = calibration.band_rule
    assert calibration.coverage == 0
    assert "errors at or below 10%" in said
    assert said.endswith("The detector answers 'unsure' unless you ask for --answer always")
    found = metrics_in(tmp_path / "report")
    assert found["calibration"]["operating_point"]["band_rule"] == said
    wrong = 1 - found["test"]["accuracy_at_threshold"]["value"]
    screen = " ".join(capsys.readouterr().out.split())
    for text in (screen, (tmp_path / "report" / "report.md").read_text("utf-8")):
        assert f"{said}." in text
        assert f"With --answer always it is wrong on {100 * wrong:.1f}%" in text
    page = unescape((tmp_path / "report" / "report.html").read_text("utf-8"))
    assert f"{said}." in page
    assert "Wrong with --answer always" in page
    assert "| “Unsure” | every image |" in (tmp_path / "report" / "report.md").read_text("utf-8")


def test_the_risk_curve_says_at_which_threshold_it_ends(planted: RunFolder, tmp_path: Path) -> None:
    assert write_report(settings(planted, tmp_path)) == []
    found = metrics_in(tmp_path)["test"]
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    at_threshold, at_half = (1 - found[name]["value"] for name in ("accuracy_at_threshold", "accuracy"))
    assert f"With every image answered {at_threshold:.1%} are wrong at the chosen threshold" in text
    assert f"{at_half:.1%} at P(AI) 0.5" in text
