"""The ablation tables: metrics, paired changes, seeds, left-out collections, and what stays of the file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, roc_auc_score

from benchmarks.ablation import Multirun, Row, main, network_cost, read_multirun, tables
from benchmarks.marked import write_between_marks
from benchmarks.paired_rows import MEAN, abroad, at_home, groups_of, step
from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.manifest import COLUMNS, write_manifest
from rexnet_ai_real.detector.description import UNCALIBRATED
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.part import Part
from rexnet_ai_real.evaluate.report.sections.groups import collections_of
from rexnet_ai_real.metrics.comparison import Predictions, compare
from rexnet_ai_real.models import ReXNet
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.folds import out_of_fold
from rexnet_ai_real.runs.identify import Folds, identify
from rexnet_ai_real.sweep.left_out import left_out

IMAGES = 120
MODEL = {"name": "rexnet_100", "library": "rexnet", "width": 0.25, "depth": 1.0, "dropout": 0.2, "drop_path": 0.0}

CONFIG = {"model": MODEL, "data": {"image_size": 64}}


def predictions(noise: float, seed: int) -> pd.DataFrame:
    """Out-of-fold predictions; images come in pairs of near-duplicates, and from three collections.

    The third collection holds AI images alone, of no named generator and of one fold; another two spell one generator.
    """
    random = np.random.default_rng(seed)
    label, fold = np.arange(IMAGES) % 2, np.arange(IMAGES) // 4 % 2
    collection = np.where(np.arange(IMAGES) % 3 == 0, "kaggle", "wild/a").astype(object)
    only_ai = (label == 1) & (fold == 1) & (np.arange(IMAGES) > 40)
    collection[only_ai] = "wild/only-ai"
    source = np.where(
        label == 0, "camera", np.where(fold == 1, "flux", np.where(random.random(IMAGES) < 0.5, "SD_1", "sd-1"))
    )
    return pd.DataFrame(
        {
            "path": [f"{i:03}.png" for i in range(IMAGES)],
            "label": label,
            "group": [f"g{i // 4 * 2 + i % 2}" for i in range(IMAGES)],
            "collection": collection,
            "fold": fold,
            "source": np.where(only_ai, "", source),
            "logit": label - 0.5 + random.normal(size=IMAGES) * noise,
        }
    )


def leave_multirun(folder: Path, table: pd.DataFrame, **data: Any) -> Path:
    """The folder of two finished folds."""
    for fold in (0, 1):
        run = RunFolder(folder / str(fold))
        held_out = (table["fold"] == fold).to_numpy()
        split = np.where(held_out, "test", "train")
        (run.path / ".hydra").mkdir(parents=True)
        (run.path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([f"data.fold={fold}"]))
        settings = {"fold": fold, "folds": 2, "image_size": 64, **data}
        run.write_config({"seed": 0, "data": settings, "model": MODEL, "trainer": {}})
        manifest = table.reindex(columns=list(COLUMNS), fill_value="").assign(
            sha256=table["path"], split=split, width=1, height=1, bytes=1
        )
        write_manifest(manifest, run.manifest_file)
        rows = table.assign(split=split, probability=1 / (1 + np.exp(-table["logit"])))[held_out]
        run.write_predictions(rows[["path", "label", "split", "logit", "probability"]])
        run.write_metrics({"test": {}, "seconds": 90.0})
    return folder


def test_changes_equal_those_of_a_comparison_of_two_detectors() -> None:
    before, after = predictions(1.0, 0), predictions(0.6, 1)
    images = sorted(before["path"])
    rows = [at_home([table], images, groups_of(before), resamples=200) for table in (after, before)]
    named = [Predictions.of(t["path"].tolist(), t["label"], t["logit"], t["group"]) for t in (after, before)]
    expected = compare(*named, resamples=200).differences
    for name in ("accuracy", "f1", "auroc"):
        found = step(rows[0], rows[1], name)
        assert found.value == pytest.approx(expected[name].difference.value)
        assert (found.low, found.high) == pytest.approx((expected[name].difference.low, expected[name].difference.high))
        estimate = rows[0].estimate(name)
        assert (estimate.value, estimate.low) == pytest.approx((expected[name].a.value, expected[name].a.low))


def test_a_row_of_several_seeds_is_their_mean() -> None:
    tables = [predictions(1.0, seed) for seed in (0, 1, 2)]
    values = [roc_auc_score(table["label"], table["logit"]) for table in tables]
    shuffled = [tables[0], tables[1].sample(frac=1, random_state=0), tables[2]]
    measured = at_home(shuffled, sorted(tables[0]["path"]), groups_of(tables[0]), resamples=100)
    assert measured.estimate("auroc").value == pytest.approx(np.mean(values))
    assert measured.spread("auroc") == pytest.approx(np.std(values, ddof=1))
    alone = at_home(tables[:1], measured.images, groups_of(tables[0]), resamples=100)
    assert measured.samples[:, 2].std() < alone.samples[:, 2].std()


def test_a_collection_of_one_class_is_ranked_against_the_other_of_its_fold() -> None:
    table = predictions(0.8, 3)
    images, groups = sorted(table["path"]), groups_of(table)
    measured = abroad([table], images, groups, by="collection", resamples=100)
    values = {}
    for name, rows in table.groupby("collection"):
        other = table[(table["label"] == 0) & (table["fold"] == 1)]
        judged = rows if rows["label"].nunique() == 2 else pd.concat([rows, other])
        values[name] = roc_auc_score(judged["label"], judged["logit"])
        assert measured.estimate(str(name)).value == pytest.approx(values[name])
    assert measured.names == (MEAN, "kaggle", "wild/a", "wild/only-ai")
    assert measured.estimate(MEAN).value == pytest.approx(np.mean(list(values.values())))
    assert measured.estimate(measured.worst).value == pytest.approx(min(values.values()))
    found = abroad([table], images, groups, by="source", resamples=10)
    assert found.names == (MEAN, "flux", "sd1", "wild/only-ai")
    stable = table[(table["fold"] == 0) & table["source"].isin(["SD_1", "sd-1", "camera"])]
    assert found.estimate("sd1").value == pytest.approx(roc_auc_score(stable["label"], stable["logit"]))
    with pytest.raises(UserError, match="name no collection"):
        abroad([table.assign(collection="")], images, groups, by="collection", resamples=10)


@pytest.mark.parametrize("by", ["collection", "source"])
def test_the_summary_of_the_sweep_says_the_same(tmp_path: Path, by: str) -> None:
    table = predictions(0.8, 3).assign(logit=lambda rows: rows["logit"] + 2 * rows["fold"])
    multirun = identify(leave_multirun(tmp_path, table))
    assert isinstance(multirun, Folds)
    swept = left_out(multirun.finished, out_of_fold(multirun.finished), by)
    measured = abroad([table], sorted(table["path"]), groups_of(table), by=by, resamples=10)
    assert swept.mean.value == pytest.approx(measured.estimate(MEAN).value)
    assert swept.table["auroc"][0] == pytest.approx(measured.estimate(measured.worst).value)


def test_the_report_says_the_same() -> None:
    """Though it ranks by what is left after each fold's own temperature."""
    table = predictions(0.8, 3).assign(sha256="")
    table["collection"] = table["collection"] + table["fold"].astype(str)  # held out whole
    cooled = {fold: replace(UNCALIBRATED, temperature=1.0 + fold) for fold in (0, 1)}
    part = Part("out_of_fold", "", table, DataConfig(name="folder", root="x"), cooled)
    measured = abroad([table], sorted(table["path"]), groups_of(table), by="collection", resamples=10)
    for each in collections_of(part, resamples=10, seed=0):
        assert each.ranked.auroc.value == pytest.approx(measured.estimate(each.name).value)


def test_pairs_share_their_groups() -> None:
    """Two manifests can group near-duplicates differently."""
    before, after = predictions(1.0, 0), predictions(0.6, 1).assign(group=lambda rows: rows["path"])
    images = sorted(before["path"])
    row, above = (at_home([table], images, groups_of(table), resamples=50) for table in (after, before))
    with pytest.raises(UserError, match="cannot be paired"):
        step(row, above, "auroc")
    seeds = at_home([before, after], images, groups_of(after), resamples=50)
    alone = [at_home([table], images, groups_of(after), resamples=50) for table in (before, after)]
    np.testing.assert_allclose(seeds.samples, (alone[0].samples + alone[1].samples) / 2)
    rows = [Row(name, [Multirun(t, "group", 60.0, CONFIG, "2", {})]) for name, t in (("a", before), ("b", after))]
    shared = step(alone[1], alone[0], "auroc")
    assert f"| {shared.value:+.3f} [{shared.low:+.3f}, {shared.high:+.3f}] |" in tables(rows, resamples=50)


def test_tables_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = predictions(1.0, 0), predictions(0.4, 1)
    folders = [leave_multirun(tmp_path / str(k), table) for k, table in enumerate((before, after, after[:100]))]
    out = tmp_path / "docs" / "ablation.md"
    arguments = [f"{name}={folder}" for name, folder in zip(("Baseline", "a=b", "fewer"), folders, strict=True)]
    for _ in range(2):
        main([*arguments, "--out", str(out), "--resamples", "50"])
    text = out.read_text()
    assert text.count("## Cross-validation") == text.count("## Cost") == 1
    assert "Left-out" not in text
    baseline, better, fewer = (
        next(x for x in text.splitlines() if x.startswith(f"| {n} |")) for n in ("Baseline", "a=b", "fewer")
    )
    accuracy = accuracy_score(before["label"], before["logit"] >= 0)
    assert baseline.startswith(f"| Baseline | 2 | 1 | 120 | {accuracy:.3f} [")
    assert baseline.endswith("| – | – |")
    gain = roc_auc_score(after["label"], after["logit"]) - roc_auc_score(before["label"], before["logit"])
    assert f"| {gain:+.3f} [" in better
    assert fewer.count("+0.000 [+0.000, +0.000] (of 100 images)") == 2
    assert "| Baseline | 3 | 64 |" in text  # minutes of two folds of 90 s


def test_kinds_of_multiruns_have_tables_of_their_own(tmp_path: Path) -> None:
    run = read_multirun(leave_multirun(tmp_path, predictions(0.8, 0)))
    assert run.split_by == "group"
    assert run.seconds == 180
    rows = [Row("x", [run])]
    named = ["collection", "source"]
    table = run.predictions.drop(columns=named, errors="ignore").merge(predictions(0.8, 0)[["path", *named]], on="path")
    for kind in ("collection", "source"):
        rows[0].runs.append(Multirun(table, kind, 60.0, run.config, "1 of 2", {}))
    text = tables(rows, resamples=20)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        *("## Cross-validation", "## Left-out collections", "## Left-out generators", "## Cost")
    ]
    assert (
        text.count("| x | 1 of 2 | 1 | 120 | 3 |") == 2
    )  # generators: flux, sd1, and the unnamed one of its collection


def test_what_is_no_multirun_of_folds_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argument, message in (("Baseline", "expected NAME=FOLDER"), (f"x={tmp_path}", "holds no detector")):
        with pytest.raises(SystemExit):
            main([argument, "--out", str(tmp_path / "x.md")])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x.md").exists()


def test_cost_of_a_network() -> None:
    parameters, products = network_cost(CONFIG)
    assert parameters == sum(p.numel() for p in ReXNet(width=0.25, num_classes=2).parameters())
    doubled = network_cost({"model": MODEL, "data": {"image_size": 128}})
    assert 3.5 < doubled[1] / products < 4  # convolutions grow with the area, the last layer does not
    viewed = network_cost({"model": MODEL, "data": {"image_size": 64, "views": ["frame", "flip"]}})
    assert viewed == (parameters, 2 * products)
    old = {key: MODEL[key] for key in ("name", "width")}
    assert network_cost({"model": old, "data": {"image_size": 64}}) == (parameters, products)
    whole = network_cost({"model": {**MODEL, "width": None}, "data": {"image_size": 224}})
    assert whole[1] == pytest.approx(0.40e9, rel=0.05)  # Han et al. 2021, table 3


def test_delivery_tiers_of_the_reports(tmp_path: Path) -> None:
    values = {"clean": (0.9, 0.0), "web": (0.8, -0.1), "messenger": (0.7, -0.2)}
    tiers = {
        name: {
            key: {"value": x, "low": x - 0.05, "high": x + 0.05}
            for key, x in zip(("accuracy", "change"), pair, strict=True)
        }
        for name, pair in values.items()
    }
    folders = [leave_multirun(tmp_path / str(k), predictions(0.8, k)) for k in (0, 1)]
    (folders[1] / "report").mkdir()
    (folders[1] / "report" / "metrics.json").write_text(json.dumps({"delivery": {"tiers": tiers}}))
    bare, reported = (Row(name, [read_multirun(folder)]) for name, folder in zip(("a", "b"), folders, strict=True))
    text = tables([bare, reported], resamples=10)
    assert "\n| a | – | – | – | – |\n" in text
    shown = "0.900 [0.850, 0.950] | 0.800 [0.750, 0.850] | 0.700 [0.650, 0.750] | -0.200 [-0.250, -0.150]"
    assert f"\n| b | {shown} |\n" in text
    assert "messenger" not in tables([bare], resamples=10)


def test_minutes_are_those_of_each_kind_of_multirun() -> None:
    table = predictions(0.8, 0)
    runs = [
        Multirun(table, kind, 60.0 * m, CONFIG, "2", {}) for kind, m in (("group", 3), ("group", 5), ("source", 40))
    ]
    text = tables([Row("a", runs), Row("b", runs[:1])], resamples=10)
    assert "| | cross-validation, minutes | left-out generators, minutes | px |" in text.replace("|  |", "| |")
    assert "| a | 4 | 40 | 64 |" in text
    assert "| b | 3 | – | 64 |" in text


def test_what_people_wrote_stays(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("# Mine\n\nBefore.\n")
    write_between_marks(file, "a", "first", title="Unused")
    file.write_text(file.read_text() + "\nAfter.\n")
    write_between_marks(file, "b", "other", title="Unused")
    write_between_marks(file, "a", "second", title="Unused")
    text = file.read_text()
    assert "first" not in text
    assert [text.index(word) for word in ("# Mine", "Before.", "second", "After.", "other")] == sorted(
        text.index(word) for word in ("# Mine", "Before.", "second", "After.", "other")
    )
    file.write_text(text.replace("<!-- a: end -->", ""))
    with pytest.raises(UserError, match="restore the one that is missing"):
        write_between_marks(file, "a", "third", title="Unused")
