"""Multiruns through Hydra's own machinery, with a stub instead of training."""

import itertools
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import hydra
import numpy as np
import pandas as pd
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from rexnet_ai_real.config import ConfigError
from rexnet_ai_real.data.manifest import COLUMNS, write_manifest
from rexnet_ai_real.figures import PAGE
from rexnet_ai_real.files import write_text
from rexnet_ai_real.metrics.training import METRICS, TrainingMetric
from rexnet_ai_real.runs.claim import claim
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.jobs import NotASweep, read_jobs
from rexnet_ai_real.sweep.__main__ import main as command_line
from rexnet_ai_real.sweep.foresight import MOST, combinations
from rexnet_ai_real.sweep.patience import stopping_epoch
from rexnet_ai_real.sweep.plots import curves, grid_keys, heat_map
from rexnet_ai_real.sweep.report import draw, markdown, report
from rexnet_ai_real.sweep.summary import summarise

REPOSITORY = Path(__file__).parents[1]
IMAGES, EPOCHS = 60, 8
TRAIN = """
defaults: [_self_]
name: stub
output_dir: ???
seed: 0
data: {fold: null, folds: 5, split_by: group}
optimizer: {lr: 3e-4, weight_decay: 1e-4}
model: {dropout: 0.2}
early_stopping: {patience: 5, min_delta: 0.0}
trainer: {max_epochs: 8}
hydra:
  run: {dir: "${output_dir}"}
  sweep: {dir: "${output_dir}", subdir: "${hydra.job.num}"}
  callbacks: {sweep_summary: {_target_: rexnet_ai_real.sweep.SweepSummary}}
"""


@pytest.fixture(autouse=True)
def no_debugger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra takes the tracing of the coverage measurement for a debugger, and then raises where it else reports."""
    monkeypatch.setattr("hydra._internal.utils.is_under_debugger", lambda: False)


def stub(composed: DictConfig) -> float:
    """Instead of training, with its effects on the run folder. lr=0.5 fails; lr=0.25 meets Ctrl-C after one epoch."""
    config: Any = OmegaConf.to_container(composed, resolve=True)
    run = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    claim(run.path, rename=False)
    if float(config["optimizer"]["lr"]) == 0.5:
        raise ValueError("loss is not finite\nat the second line")
    score = leave_run(run, config)
    if float(config["optimizer"]["lr"]) == 0.25:
        run.metrics_file.unlink()
        pd.read_csv(run.history_file)[:1].to_csv(run.history_file, index=False)
        raise KeyboardInterrupt
    return score


def leave_run(run: RunFolder, config: Any) -> float:
    """A run folder as training leaves it, with made-up numbers that depend on the settings alone."""
    lr = float(config["optimizer"]["lr"])
    losses = [abs(math.log10(lr) + 3) / 4 + 0.3 + 0.1 * math.cos(2 * epoch + lr * 1000) for epoch in range(EPOCHS)]
    stopped_at, kept = stopping_epoch(losses, int(config["early_stopping"]["patience"]))
    epochs = EPOCHS if stopped_at is None else stopped_at + 1
    history = pd.DataFrame({"epoch": range(1, epochs + 1), "val_loss": losses[:epochs], "seconds": 2.0})
    for name, value in {"val_accuracy": 0.9, "val_f1": 0.89, "val_auroc": 0.95}.items():
        history[name] = value - history["val_loss"] / 10
    manifest, predictions = images(config["data"]["fold"], int(config["data"]["folds"]))
    run.write_config(config)
    history.to_csv(run.history_file, index=False)
    write_manifest(manifest, run.manifest_file)
    run.write_predictions(predictions)
    test = {"loss": losses[kept] + 0.1, "accuracy": 0.8, "f1": 0.79, "auroc": 0.85, "n": 12}
    run.write_metrics({"test": test, "epochs": epochs, "best_epoch": kept + 1, "seconds": 2.0 * epochs})
    return losses[kept]


def leave_sweep(folder: Path, **sweep: list[str]) -> Path:
    """The folder of a finished multirun over all combinations; __ stands for the dot of a key."""
    keys = [key.replace("__", ".") for key in sweep]
    for number, values in enumerate(itertools.product(*sweep.values())):
        overrides = [f"{key}={value}" for key, value in zip(keys, values, strict=True)]
        config = OmegaConf.merge(OmegaConf.create(TRAIN), OmegaConf.from_dotlist([*overrides, "output_dir=unused"]))
        run = RunFolder(folder / str(number))
        write_text(run.path / ".hydra" / "overrides.yaml", yaml.safe_dump(overrides))
        plain: Any = OmegaConf.to_container(config)
        leave_run(run, {key: value for key, value in plain.items() if key != "hydra"})
    return folder


def images(fold: int | None, folds: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A manifest of 60 images, five of them in the test part of each of twelve folds, and predictions for it."""
    random = np.random.default_rng(0)
    label = random.integers(0, 2, IMAGES)
    logit = (label - 0.5) * 2 + random.normal(size=IMAGES) * 1.5
    table = pd.DataFrame({"path": [f"images/{i:02}.png" for i in range(IMAGES)], "label": label})
    table["split"] = ["test" if i % folds == (fold or 0) else "val" if i % 3 else "train" for i in range(IMAGES)]
    manifest = table.reindex(columns=list(COLUMNS), fill_value="").assign(
        group=[f"g{i // 2}" for i in range(IMAGES)],
        collection=[f"c{i % folds}" for i in range(IMAGES)],
        sha256=table["path"],
        width=1,
        height=1,
        bytes=1,
    )
    predictions = table.assign(logit=logit, probability=1 / (1 + np.exp(-logit)))
    return manifest, predictions[predictions["split"] != "train"]


def refuse_negative_rates(composed: DictConfig) -> None:
    """A check of jobs: as `check_job` of training, for the stub."""
    assert "hydra" not in composed
    if composed.optimizer.lr <= 0:
        raise ConfigError(f"optimizer.lr={composed.optimizer.lr}: expected a number above 0")


@pytest.fixture
def checked(conf: Path) -> None:
    """Sweeps of the stub check their jobs first."""
    file = conf / "train.yaml"
    check = "rexnet_ai_real.sweep.SweepSummary, check: tests.test_sweep.refuse_negative_rates}}"
    file.write_text(file.read_text().replace("rexnet_ai_real.sweep.SweepSummary}}", check))


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A small configuration around the project's own sweeps."""
    folder = tmp_path / "conf"
    for name in ("sweep", "hydra"):
        shutil.copytree(REPOSITORY / "conf" / name, folder / name)
    (folder / "train.yaml").write_text(TRAIN)
    return folder


@pytest.fixture
def drawless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures: these take seconds, and have tests of their own."""
    monkeypatch.setattr("rexnet_ai_real.sweep.report.draw", lambda summary: [])


@pytest.fixture
def multirun(conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawless: None) -> Any:
    """Calls the stub as the command line does; gives the multirun's folder."""
    monkeypatch.setattr("rexnet_ai_real.sweep.callback.atexit", Mock())  # the end of the tests is not the sweep's

    def call(*arguments: str, folder: Path = tmp_path / "sweep") -> Path:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["train", *arguments, f"output_dir={folder}"])
        hydra.main(version_base="1.3", config_path=str(conf), config_name="train")(stub)()
        return folder

    return call


def test_sweep_over_lr_and_patience(multirun: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"Job 2 failed: ValueError: loss is not finite \(more in .*error.txt"):
        multirun("-m", "+sweep=lr_patience", "optimizer.lr=1e-3,0.5", "early_stopping.patience=2,5")
    folder = Path(shlex.split(capsys.readouterr().out.partition("Summary: ")[2])[0]).parent
    assert "ValueError: loss is not finite\nat the second line" in (folder / "2" / "error.txt").read_text()

    table = pd.read_csv(folder / "summary.csv")
    assert table["status"].tolist() == ["finished"] * 2 + ["failed"] * 2
    for row in table[:2].to_dict("records"):
        history = pd.read_csv(folder / str(row["job"]) / "history.csv")
        assert row["val_loss"] == pytest.approx(history["val_loss"].min())
        assert row["best_epoch"] == history["epoch"][history["val_loss"].argmin()]
        assert row["val_f1"] == pytest.approx(history["val_f1"].max())
    text = (folder / "summary.md").read_text()
    assert "2 finished, 2 failed" in text
    assert f"output_dir={folder / '2'}" in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["optimizer.lr=1e-3,-1"], r"since optimizer.lr=-1 cannot work: optimizer.lr=-1: expected a number above 0"),
        (["optimizer.rate=1,2"], "since optimizer.rate=1 cannot work: .*Key 'rate' is not in struct"),
        (["+sweep=optuna", "optimizer.lr=interval(-0.1,0.1)"], "since optimizer.lr=-0.1 .*cannot work: "),
    ],
)
def test_an_impossible_value_stops_the_sweep_before_its_first_job(
    arguments: list[str], expected: str, multirun: Any, checked: None, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    with pytest.raises(SystemExit) as stop:
        multirun("-m", *arguments)
    assert stop.value.code == 2
    assert re.search(f"No job was started, {expected}", capsys.readouterr().err)


def test_a_possible_sweep_passes_the_check(multirun: Any, checked: None) -> None:
    folder = multirun("-m", "+sweep=lr_patience", "optimizer.lr=1e-3,1e-4")
    assert len(read_jobs(folder)) == 4


def test_every_value_of_a_large_sweep_is_checked_without_all_combinations() -> None:
    choices = [[f"{key}={value}" for value in range(20)] for key in "abc"]
    checked = list(combinations(choices))
    assert len(checked) <= MOST
    assert {value for job in checked for value in job} == {value for choice in choices for value in choice}
    assert len(list(combinations(choices[:1]))) == 20


def test_training_names_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    train = yaml.safe_load((REPOSITORY / "conf" / "train.yaml").read_text())
    name = train["hydra"]["callbacks"]["sweep_summary"]["check"]
    assert callable(hydra.utils.get_method(name))


def test_patience_read_from_the_longest_run_is_what_the_shorter_runs_did(tmp_path: Path) -> None:
    folder = leave_sweep(tmp_path, optimizer__lr=["1e-4", "1e-3"], early_stopping__patience=["1", "2", "3", "6"])
    read = summarise(folder).patience
    jobs = [job for job in read_jobs(folder) if job.settings["early_stopping.patience"] != "6"]
    assert len(jobs) == 6
    for job in jobs:
        patience, lr = int(job.settings["early_stopping.patience"]), float(job.settings["optimizer.lr"])
        (row,) = read[(read["optimizer.lr"].astype(float) == lr) & (read["patience"] == patience)].to_dict("records")
        assert (EPOCHS if pd.isna(row["stopped_at"]) else row["stopped_at"]) == len(job.history)
        assert (row["kept"], row["val_loss"]) == (job.metrics["best_epoch"], pytest.approx(job.val_loss))


def test_winning_command_repeats_the_winner(multirun: Any, tmp_path: Path) -> None:
    folder = multirun("-m", "+sweep=lr_patience", "optimizer.lr=1e-4,1e-3", "early_stopping.patience=3", "name=a stub")
    summary = summarise(folder)
    command = shlex.split(str(summary.winning_command))
    assert command[:3] == ["python", "-m", "rexnet_ai_real.train"]
    again = multirun(*command[3:], folder=tmp_path / "again")
    assert RunFolder(again).read_config()["name"] == "a stub"
    best = pd.read_csv(again / "history.csv")["val_loss"].min()
    assert best == pytest.approx(min(job.val_loss for job in summary.jobs))
    assert not (again / "summary.md").exists()


def test_failed_job_run_again_mends_the_sweep(multirun: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    with pytest.raises(SystemExit, match="Job 1 failed"):
        multirun("-m", "optimizer.lr=1e-3,0.5", folder=folder)
    assert summarise(folder).problems
    multirun("optimizer.lr=1e-4", folder=folder / "1")
    summary = report(folder)
    assert summary.problems == ()
    assert set(summary.table["status"]) == {"finished"}


def test_single_run_fails_as_without_sweeps(multirun: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        multirun("optimizer.lr=0.5", folder=tmp_path / "run")
    assert not (tmp_path / "run" / "error.txt").exists()


def test_other_settings_give_table_and_curves_but_no_heat_map(tmp_path: Path) -> None:
    summary = summarise(leave_sweep(tmp_path, name=["one", "two"], model__dropout=["0.1", "0.2"]))
    assert summary.keys == ("name", "model.dropout")
    assert [path.name for path in draw(summary)] == ["curves.png"]


def test_heat_map_shows_each_loss_at_its_settings(tmp_path: Path) -> None:
    rates = ["1e-3", "1e-4", "3e-4"]
    folder = leave_sweep(tmp_path, early_stopping__patience=["5", "10"], optimizer__lr=rates)
    drawn = draw(summarise(folder))
    assert [path.name for path in drawn] == ["heat_map.png", "curves.png"]
    for path in drawn:
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        with Image.open(path) as image:
            assert min(image.size) > 400

    jobs = read_jobs(folder)
    grid = grid_keys(jobs, ("early_stopping.patience", "optimizer.lr"))
    assert grid == ("optimizer.lr", "early_stopping.patience")
    axes = heat_map(jobs, *grid).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1e-4", "3e-4", "1e-3"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["5", "10"]  # as numbers: as text 10 comes before 5
    shown = np.asarray(axes.images[0].get_array())
    loss = {(job.settings[grid[0]], job.settings[grid[1]]): job.val_loss for job in jobs}
    expected = [[loss[lr, patience] for lr in ("1e-4", "3e-4", "1e-3")] for patience in ("5", "10")]
    np.testing.assert_allclose(shown, expected)


def colours_of(losses: list[float], folder: Path) -> list[float]:
    """Where the colours of a heat map of these losses lie on its ramp, from 0 to 1."""
    jobs = read_jobs(leave_sweep(folder, optimizer__lr=["1e-3", "1e-4", "1e-5"], model__dropout=["0.1", "0.2"]))
    for job, loss in zip(jobs, losses, strict=True):
        history = pd.read_csv(job.run.history_file).assign(val_loss=loss)
        history.to_csv(job.run.history_file, index=False)
    figure = heat_map(read_jobs(folder), "optimizer.lr", "model.dropout")
    image = figure.axes[0].images[0]
    colours: list[float] = np.asarray(image.norm(np.array(losses))).tolist()
    return colours


def test_the_colours_of_a_heat_map_do_not_make_little_look_like_everything(tmp_path: Path) -> None:
    small = colours_of([0.400, 0.402, 0.404, 0.405, 0.407, 0.409], tmp_path / "small")
    assert max(small) - min(small) == pytest.approx(0.09)
    large = colours_of([0.40, 0.45, 0.50, 0.55, 0.60, 0.65], tmp_path / "large")
    assert max(large) == pytest.approx(1)


def test_one_job_that_diverged_leaves_the_others_their_colours(tmp_path: Path) -> None:
    diverged = colours_of([0.40, 0.45, 0.50, 0.55, 0.60, 90.0], tmp_path)
    assert diverged[4] == pytest.approx(0.2 / 0.7)
    assert diverged[5] > 1


@pytest.mark.parametrize("columns", [2, 4, 7])
def test_a_heat_map_fits_on_a_page(columns: int, tmp_path: Path) -> None:
    rates = [f"{n}e-4" for n in range(1, columns + 1)]
    jobs = read_jobs(leave_sweep(tmp_path, optimizer__lr=rates, model__dropout=["0.1", "0.2"]))
    figure = heat_map(jobs, "optimizer.lr", "model.dropout")
    assert figure.get_size_inches()[0] <= PAGE


def drawn_lines(figure: Any) -> dict[str, Any]:
    """The curves of the left panel by their names in the legend."""
    lines = figure.axes[0].lines
    named = {line.get_label(): line for line in lines if not line.get_label().startswith("_")}
    return {
        label: [curve for curve in lines if len(curve.get_xdata()) > 1 and same_look(curve, line)]
        for label, line in named.items()
    }


def same_look(one: Any, other: Any) -> bool:
    return bool((one.get_color(), one.get_linewidth()) == (other.get_color(), other.get_linewidth()))


def test_jobs_that_coincide_can_be_told_apart_in_the_curves(tmp_path: Path) -> None:
    folder = leave_sweep(tmp_path, model__dropout=["0.1", "0.2"], early_stopping__patience=["1", "2", "20", "30"])
    summary = summarise(folder)
    figure = curves(summary.jobs, summary.keys)
    lines = drawn_lines(figure)
    # The dropout changes nothing here: every name tells both, and only what differs has a line of its own.
    assert {label.partition(", ")[0] for label in lines} == {"dropout=0.1/0.2"}
    assert "dropout=0.1/0.2, patience=20/30" in lines
    widths = {}
    for (curve,) in lines.values():
        widths[len(curve.get_xdata())] = (curve.get_linewidth(), -curve.get_zorder())
    by_length = [widths[length] for length in sorted(widths)]
    assert len(by_length) == 3
    assert by_length == sorted(by_length, reverse=True)  # the shorter the broader, and below
    assert figure.get_size_inches()[0] <= PAGE


def test_folds_have_no_ranking_and_no_patience_table(tmp_path: Path, drawless: None) -> None:
    folder = leave_sweep(tmp_path, data__folds=["3"], data__fold=["2", "0", "1"])
    text = markdown(report(folder), [])
    assert "Order: folds in their order." in text
    assert "best first" not in text
    assert "smaller patience" not in text
    assert [job.settings["data.fold"] for job in summarise(folder).jobs] == ["0", "1", "2"]
    drawn = curves(summarise(folder).jobs, ("data.fold",), ranked=summarise(folder).ranked)
    assert drawn.legends[0].get_title().get_text() == ""


def test_settings_on_folds_are_ranked_with_their_folds_together(tmp_path: Path) -> None:
    rates = ["1e-4", "1e-3"]
    summary = summarise(leave_sweep(tmp_path, data__folds=["2"], data__fold=["1", "0"], optimizer__lr=rates))
    order = [(job.settings["optimizer.lr"], job.settings["data.fold"]) for job in summary.jobs]
    assert order == [("1e-3", "0"), ("1e-3", "1"), ("1e-4", "0"), ("1e-4", "1")]
    assert summary.order == "settings by their mean validation loss, lowest first"


def test_an_undefined_metric_is_a_dash_in_every_table(tmp_path: Path, drawless: None) -> None:
    folder = leave_sweep(tmp_path, data__folds=["2"], data__fold=["0", "1"])
    for job in read_jobs(folder):
        pd.read_csv(job.run.history_file).assign(val_auroc="").to_csv(job.run.history_file, index=False)
        metrics = job.run.read_metrics()
        job.run.write_metrics({**metrics, "test": {**metrics["test"], "auroc": None}})
    rows = [line for line in markdown(report(folder), []).splitlines() if line.startswith("| ")]
    head = [cell.strip() for cell in rows[0].split("|")]
    first = [cell.strip() for cell in rows[2].split("|")]
    assert (first[head.index("val auroc")], first[head.index("test auroc")]) == ("–", "–")
    (mean,) = (row for row in rows if "mean ± sd" in row)
    assert mean.endswith("| – |")


def test_folds_merge_into_out_of_fold_predictions(multirun: Any) -> None:
    folder = multirun("+sweep=folds", "data.folds=3")
    merged = pd.read_csv(folder / "out_of_fold.csv")
    assert merged.columns.tolist() == ["path", "label", "group", "fold", "logit", "probability", "source", "collection"]
    everything, _ = images(0, 3)
    assert merged["path"].tolist() == everything["path"].tolist()
    assert merged["group"].tolist() == everything["group"].tolist()
    for fold in range(3):
        of_fold = merged[merged["fold"] == fold].reset_index(drop=True)
        predicted = pd.read_csv(folder / str(fold) / "predictions.csv").query("split == 'test'").reset_index(drop=True)
        pd.testing.assert_frame_equal(of_fold[["path", "logit"]], predicted[["path", "logit"]])

    (result,) = summarise(folder).folds
    called = merged["probability"] >= 0.5
    assert result.pooled.accuracy.value == pytest.approx(accuracy_score(merged["label"], called))
    assert result.pooled.f1.value == pytest.approx(f1_score(merged["label"], called))
    assert result.pooled.auroc.value == pytest.approx(roc_auc_score(merged["label"], merged["logit"]))
    assert result.spread("accuracy") == pytest.approx((0.8, 0.0), abs=1e-9)
    text = (folder / "summary.md").read_text()
    assert "3 of 3 | 60" in text
    assert "The winner" not in text  # folds of one setting leave nothing to choose


def test_a_metric_is_one_entry(tmp_path: Path, drawless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "specificity", TrainingMetric("specificity", "BinarySpecificity", "specificity"))
    folder = leave_sweep(tmp_path, data__folds=["2"], data__fold=["0", "1"])
    summary = report(folder)
    merged = pd.read_csv(folder / "out_of_fold.csv")
    expected = recall_score(merged["label"], merged["probability"] >= 0.5, pos_label=0)
    assert summary.folds[0].pooled.specificity.value == pytest.approx(expected)
    assert {"val_specificity", "test_specificity"} <= set(summary.table.columns)
    lines = (folder / "summary.md").read_text().splitlines()
    assert len([line for line in lines if line.endswith("| auroc | specificity |")]) == 1
    (pooled,) = (line for line in lines if "pooled, 95 %" in line)
    assert pooled.endswith(f"{summary.folds[0].pooled.specificity} |")


def test_some_folds_say_so(tmp_path: Path, drawless: None) -> None:
    folder = leave_sweep(tmp_path, data__fold=["0", "3"])
    (result,) = report(folder).folds
    assert result.missing == [1, 2, 4]
    assert len(pd.read_csv(folder / "out_of_fold.csv")) == 24
    assert "Without a finished job: fold 1, 2, 4" in (folder / "summary.md").read_text()


def test_settings_compared_on_folds_are_ranked_by_their_mean(tmp_path: Path) -> None:
    summary = summarise(
        leave_sweep(tmp_path, data__folds=["2"], data__fold=["0", "1"], optimizer__lr=["1e-4", "0.001"])
    )
    assert [result.jobs[0].settings["optimizer.lr"] for result in summary.folds] == ["0.001", "1e-4"]
    assert summary.winning_command == "python -m rexnet_ai_real.train data.folds=2 optimizer.lr=0.001"


def test_folds_of_different_images_are_not_merged(tmp_path: Path, drawless: None) -> None:
    folder = leave_sweep(tmp_path, data__folds=["2"], data__fold=["0", "1"])
    manifest, _ = images(1, 2)
    for other in (manifest.assign(sha256="another"), manifest[:-1], manifest.assign(label=1 - manifest["label"])):
        write_manifest(other, RunFolder(folder / "1").manifest_file)
        assert "jobs 0 and 1 saw different images" in report(folder).problems[0]
    assert not (folder / "out_of_fold.csv").exists()


def test_image_held_out_twice_or_never_is_reported(tmp_path: Path) -> None:
    folder = leave_sweep(tmp_path, data__folds=["2"], data__fold=["0", "1"])
    run = RunFolder(folder / "1")
    whole = pd.read_csv(run.predictions_file)
    run.write_predictions(pd.read_csv(RunFolder(folder / "0").predictions_file))
    assert "30 images were held out by more than one fold" in summarise(folder).problems[0]
    run.write_predictions(whole[whole["path"] != "images/01.png"])
    assert "1 images were held out by no fold, images/01.png among them" in summarise(folder).problems[0]


def test_ctrl_c_ends_the_sweep_and_writes_the_summary(conf: Path, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(
        "import hydra\nfrom rexnet_ai_real.sweep import report\nfrom tests.test_sweep import stub\n"
        "report.draw = lambda summary: []\n"
        f"hydra.main(version_base='1.3', config_path={str(conf)!r}, config_name='train')(stub)()\n"
    )
    arguments = ["-m", "optimizer.lr=1e-3,0.25,1e-4", f"output_dir={tmp_path / 'sweep'}"]
    done = subprocess.run(
        [sys.executable, "-W", "error", script, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.endswith("KeyboardInterrupt\n")
    table = pd.read_csv(tmp_path / "sweep" / "summary.csv")
    assert table["status"].tolist() == ["finished", "unfinished"]
    assert table["epochs"].tolist()[1] == 1


def test_folder_without_jobs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotASweep, match="holds no jobs of a sweep"):
        read_jobs(tmp_path)
    assert command_line([str(tmp_path)]) == 2
    assert "holds no jobs of a sweep" in capsys.readouterr().err


def test_optuna_searches_goes_on_and_survives_failures(multirun: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    folder = multirun("+sweep=optuna", "hydra.sweeper.trials=3", "optimizer.lr=tag(log, interval(1e-5, 1e-1))")
    multirun("+sweep=optuna", "hydra.sweeper.trials=5", "optimizer.lr=tag(log, interval(1e-5, 1e-1))")
    jobs = read_jobs(folder)
    assert [job.name for job in jobs] == ["0", "1", "2", "3", "4"]
    rates = [float(job.settings["optimizer.lr"]) for job in jobs]
    assert len(set(rates)) == 5  # the second start drew no rate of the first again
    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    assert float(summarise(folder).jobs[0].settings["optimizer.lr"]) in rates

    capsys.readouterr()
    with pytest.raises(SystemExit):
        multirun("+sweep=optuna", "hydra.sweeper.trials=6", "optimizer.lr=0.1,0.01")
    assert "holds a search over other ranges" in capsys.readouterr().err


def test_optuna_tells_a_failed_job_from_a_good_one(multirun: Any, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    folder = tmp_path / "search"
    with pytest.raises(SystemExit, match="loss is not finite"):
        multirun("-m", "hydra/sweeper=optuna", "hydra.sweeper.trials=8", "optimizer.lr=0.5,1e-3", folder=folder)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "study.log")))
    (study,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    by_rate = {trial.params["optimizer.lr"]: trial.state.name for trial in trials}
    assert by_rate == {0.5: "FAIL", 0.001: "COMPLETE"}
    assert study.best_trial.value == pytest.approx(summarise(folder).jobs[0].val_loss)


def test_optuna_needs_something_to_search(multirun: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    with pytest.raises(SystemExit):
        multirun("-m", "hydra/sweeper=optuna", "optimizer.lr=1e-3")
    assert "nothing to search" in capsys.readouterr().err


def test_left_out_collections_are_summarised(multirun: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = multirun("+sweep=collections", "data.folds=3")
    table = pd.read_csv(folder / "collections.csv")
    merged = pd.read_csv(folder / "out_of_fold.csv")
    expected = {name: roc_auc_score(rows["label"], rows["logit"]) for name, rows in merged.groupby("collection")}
    assert dict(zip(table["collection"], table["auroc"], strict=True)) == pytest.approx(expected)
    assert table["auroc"].is_monotonic_increasing
    text = (folder / "summary.md").read_text()
    assert "## Left out whole: collections" in text
    assert f"{min(expected.values()):.3f} at worst ({table['collection'][0]})" in capsys.readouterr().out


def test_a_failed_fold_of_generators_is_run_again_as_one(multirun: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="Job 0 failed"):
        multirun("+sweep=generators", "data.folds=2", "optimizer.lr=0.5")
    text = (tmp_path / "sweep" / "summary.md").read_text()
    again = next(line for line in text.splitlines() if "data.fold=0" in line and "output_dir=" in line)
    assert "data.split_by=source" in again
