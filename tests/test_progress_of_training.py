"""What a run says and measures while it trains: header, epochs, plan of the learning rate, classes, failures."""

import json
import logging
import math
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from sklearn.metrics import accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from torch.utils.data import get_worker_info

from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.config import ConfigError, ScheduleConfig
from rexnet_ai_real.data.datamodule import ImageDataModule, ImageDataset
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.detector.storage import read_detector, torch_engine
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.models import ModelError, build, load_pretrained
from rexnet_ai_real.models.cam import NoFeatureMap
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train import console
from rexnet_ai_real.train.classifier import class_weights, classification_metrics, weighted_loss
from rexnet_ai_real.train.console import EpochBar, epoch_line
from rexnet_ai_real.train.failures import LoaderDied
from rexnet_ai_real.train.feasibility import check_job
from rexnet_ai_real.train.outcome import metrics_of, warn_of_one_answer
from rexnet_ai_real.train.recipe import recipe
from rexnet_ai_real.train.run import train
from rexnet_ai_real.train.schedule import Plan, learning_rate_factor
from rexnet_ai_real.train.trainer import new_trainer
from tests.conftest import Compose

VIT = ("model=timm", "model.name=test_vit", "model.width=null")
LR = 3e-4


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "rexnet_ai_real")
    return caplog


def rates(folder: RunFolder) -> list[float]:
    return [float(rate) for rate in pd.read_csv(folder.history_file)["lr"]]


def test_a_header_says_what_runs(compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    train(compose_tiny("trainer.max_epochs=1"), RunFolder(tmp_path))
    (header,) = (text for text in said.messages if text.startswith("Training\n"))
    manifest = pd.read_csv(RunFolder(tmp_path).manifest_file)
    parts = manifest.groupby("split")["label"].agg(["size", "sum"])
    for part, (count, ai) in parts.iterrows():
        assert re.search(rf"{part} +{count} \({ai} AI, {count - ai} real\)\n", header)
    parameters = sum(p.numel() for p in build("rexnet_100", width=0.25).parameters())
    for expected in (
        f"rexnet_100, {parameters / 1e6:.2f} M parameters",
        "weights    random (model.weights=null)",
        "cpu, precision 32-true, 1 CPU threads",
        f"run folder {tmp_path}",
    ):
        assert expected in header


def test_without_a_terminal_each_epoch_is_one_line(
    compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    train(compose_tiny(), RunFolder(tmp_path))
    lines = [text for text in said.messages if text.startswith("epoch ")]
    history = pd.read_csv(RunFolder(tmp_path).history_file)
    assert [line.partition(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    for line, loss in zip(lines, history["val_loss"], strict=True):
        assert f"validation loss {loss:.4f}" in line
    assert "best so far" in lines[int(history["val_loss"].idxmin())]
    assert "Epoch" not in capsys.readouterr().err  # a bar that nobody sees move


def test_beside_a_bar_the_lines_go_to_the_log_file_alone(
    compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexnet_ai_real.train.trainer.on_terminal", lambda: True)
    handler = logging.FileHandler(tmp_path / "train.log")
    logging.getLogger().addHandler(handler)
    try:
        train(compose_tiny("trainer.max_epochs=1"), RunFolder(tmp_path / "run"))
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert (tmp_path / "train.log").read_text().count("epoch 1/1") == 1
    assert not [text for text in said.messages if text.startswith("epoch ")]


def test_the_bar_counts_epochs_from_1(compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexnet_ai_real.train.trainer.on_terminal", lambda: True)
    from rexnet_ai_real.train.callbacks import History

    trainer = new_trainer(compose_tiny("trainer.max_epochs=4"), RunFolder(tmp_path), History(tmp_path / "h.csv"), [])
    bar = trainer.progress_bar_callback
    assert isinstance(bar, EpochBar)
    bar._trainer = trainer
    assert [bar._get_train_description(epoch).strip() for epoch in (0, 3)] == ["Epoch 1/4", "Epoch 4/4"]


def test_a_dry_run_says_what_it_found(
    compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(compose_tiny("trainer.fast_dev_run=true"), RunFolder(tmp_path))
    assert re.search(r"one batch of training \(loss 0\.\d+\) and one of validation .* ran without", said.messages[-1])
    monkeypatch.setattr(functional, "cross_entropy", lambda logits, labels, **_: logits.sum() * math.nan)
    train(compose_tiny("trainer.fast_dev_run=true"), RunFolder(tmp_path))
    assert "a loss is no number: lower optimizer.lr" in said.messages[-1]


def test_training_images_are_measured_as_the_others_are(tiny_run: RunFolder, compose_tiny: Compose) -> None:
    """By the best checkpoint in evaluation mode, without random changes."""
    settings = compose_tiny()
    data = ImageDataModule(settings.data, settings.augment, seed=settings.seed)
    data.setup("fit")
    stored = read_detector(tiny_run.best_checkpoint.parent.parent)
    engine = torch_engine(stored, tiny_run.path, "cpu", "32-true")
    logits = np.concatenate([engine.logits(pixels.numpy()) for pixels, _, _ in data.unchanged_train_dataloader()])
    labels, probabilities = data.rows("train")["label"].astype(int), 1 / (1 + np.exp(-logits.astype(float)))
    measured = tiny_run.read_metrics()["train"]
    assert measured["n"] == len(labels)
    assert measured["loss"] == pytest.approx(log_loss(labels, probabilities), abs=1e-5)
    assert measured["accuracy"] == pytest.approx(accuracy_score(labels, probabilities > 0.5))


# The plan of the learning rate


def test_a_run_resumed_to_its_planned_length_is_the_longer_run(compose_tiny: Compose, tmp_path: Path) -> None:
    whole, part = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "part")
    train(compose_tiny("trainer.max_epochs=4"), whole)
    train(compose_tiny("trainer.max_epochs=2", "schedule.epochs=4"), part)
    assert rates(part) == rates(whole)[:2]
    train(compose_tiny("trainer.max_epochs=4", "schedule.epochs=4", f"resume={part.path}"), part)
    timed = ["seconds", "images_per_second"]
    pd.testing.assert_frame_equal(
        pd.read_csv(part.history_file).drop(columns=timed), pd.read_csv(whole.history_file).drop(columns=timed)
    )
    assert part.predictions_file.read_bytes() == whole.predictions_file.read_bytes()


def test_a_finished_schedule_is_not_begun_again_without_being_asked(tiny_run: RunFolder, compose_tiny: Compose) -> None:
    with pytest.raises(ConfigError, match=r"planned for 2 epochs.*schedule\.on_resume=restart .*ends with epoch 3"):
        train(compose_tiny("trainer.max_epochs=3", f"resume={tiny_run.path}"), tiny_run)
    assert tiny_run.read_config()["trainer"]["max_epochs"] == 2  # nothing was overwritten


@pytest.mark.parametrize(("policy", "first"), [("restart", 3), ("stretch", 1)])
def test_a_longer_run_continues_by_a_named_policy(
    policy: str, first: int, compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    folder = RunFolder(tmp_path)
    train(compose_tiny(), folder)
    before = rates(folder)
    train(compose_tiny("trainer.max_epochs=4", f"schedule.on_resume={policy}", f"resume={tmp_path}"), folder)
    manifest = pd.read_csv(folder.manifest_file)
    batches = -(-int((manifest["split"] == "train").sum()) // 8)
    steps = (4 - first + 1) * batches
    last_steps = [(epoch - first + 1) * batches - 1 for epoch in (3, 4)]
    expected = [LR * learning_rate_factor(step, steps, ScheduleConfig()) for step in last_steps]
    assert rates(folder) == pytest.approx([*before, *expected])
    assert f"one_cycle over epochs {first} to 4 (schedule.on_resume={policy})" in said.text


def test_the_first_step_after_resuming_has_the_rate_of_the_plan(compose_tiny: Compose, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(compose_tiny("trainer.max_epochs=1"), RunFolder(tmp_path))
    policy = ("trainer.max_epochs=2", "schedule.on_resume=restart")
    train(compose_tiny(*policy, f"resume={tmp_path}"), RunFolder(tmp_path))
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    points = [point.value for point in events.Scalars("step/lr")]
    assert points[len(points) // 2 - 1] == pytest.approx(0, abs=1e-9)  # the end of the first schedule
    assert points[len(points) // 2] == pytest.approx(LR)  # not 0 once more


def test_a_schedule_that_ends_before_the_run_is_refused(compose_tiny: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.epochs=1: one_cycle reaches .* zero with epoch 1"):
        train(compose_tiny("schedule.epochs=1"), RunFolder(tmp_path))
    Plan(1, 1).check(ScheduleConfig("constant"), 5, resumed=False)


def test_a_plateau_lowers_the_rate_and_is_remembered(compose_tiny: Compose, tmp_path: Path) -> None:
    # So small a rate changes nothing, and with the batch norm frozen the loss stays as it is, on every processor.
    still = ("optimizer.lr=1e-6", "model.freeze_norm=true")
    plateau = ("schedule.name=plateau", "schedule.patience=0", "schedule.reduce=0.5", *still)
    whole, part = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "part")
    train(compose_tiny("trainer.max_epochs=5", *plateau), whole)
    losses, rate, best, expected = pd.read_csv(whole.history_file)["val_loss"], 1e-6, float("inf"), []
    for loss in losses:
        expected.append(rate)
        rate = rate if loss < best * (1 - 1e-4) else rate / 2  # PyTorch's threshold
        best = min(best, loss)
    assert rates(whole) == pytest.approx(expected)
    assert expected[-1] < expected[0]

    fallen = next(epoch for epoch, rate in enumerate(expected) if rate < 1e-6)  # interrupted just after the plateau
    train(compose_tiny(f"trainer.max_epochs={fallen}", *plateau), part)
    train(compose_tiny("trainer.max_epochs=5", *plateau, f"resume={part.path}"), part)
    assert rates(part) == rates(whole)
    assert pd.read_csv(part.history_file)["val_loss"].tolist() == losses.tolist()


def test_the_header_names_what_a_recipe_adds(compose_tiny: Compose) -> None:
    assert recipe(compose_tiny()) == ""
    added = ("model.freeze=3", "optimizer.layer_decay=0.8", "averaging.name=ema", "augment.mixup=0.2")
    expected = "stem and 3 blocks frozen, layer decay 0.8, mixup 0.2, EMA 0.999"
    assert recipe(compose_tiny(*added)) == expected
    general = ("data.balance=true", "augment.delivery=0.5", "augment.native=0.25", "data.views=[frame,flip]")
    expected = "split by source, balanced batches, views frame + flip, pairs 1, delivery 0.5, native 0.25, erasing 0.1"
    images = ("data.split_by=source", "data.pairs.share=1", "augment.erasing=0.1")
    assert recipe(compose_tiny(*general, *images)) == expected


# Networks of a fixed input size


def test_a_transformer_is_built_for_the_size_of_the_images(compose_tiny: Compose, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    name = "vit_tiny_patch16_224"
    train(compose_tiny(*VIT, f"model.name={name}", "figures=true", "trainer.max_epochs=1"), folder)
    assert sorted(path.stem for path in folder.figures.glob("*.png")) == ["accuracy", "cam", "confusion", "f1", "loss"]
    engine = torch_engine(read_detector(tmp_path), tmp_path, "cpu", "32-true")
    assert isinstance(engine, TorchEngine)
    assert np.isfinite(engine.logits(np.zeros((2, 32, 32, 3), np.uint8))).all()


def test_a_network_without_a_feature_map_has_all_figures_but_one(
    compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_map(*_: object) -> None:
        raise NoFeatureMap("no map")

    monkeypatch.setattr("rexnet_ai_real.train.outcome.cam_panel", no_map)
    folder = RunFolder(tmp_path)
    train(compose_tiny("figures=true", "trainer.max_epochs=1"), folder)
    assert "figures/cam is left out: rexnet_100 has no final feature map" in said.text
    assert sorted(path.stem for path in folder.figures.glob("*.png")) == ["accuracy", "confusion", "f1", "loss"]


def test_an_impossible_image_size_is_one_clear_error_before_any_image_is_prepared(
    compose_tiny: Compose, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    with pytest.raises(ModelError, match=r"^data\.image_size=50: timm's test_vit cannot .*image_size=160$"):
        train(
            compose_tiny(*VIT, "data.image_size=50", f"data.root={images}"),
            RunFolder(tmp_path / "run"),
        )
    assert not images.exists()
    assert not (tmp_path / "run").exists()


def test_published_weights_are_fitted_to_the_size_of_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    from safetensors.torch import save_file

    from rexnet_ai_real.models import pretrained

    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(pretrained, "_fetch", lambda page: tmp_path / "model.safetensors")
    model = build("test_vit", library="timm", image_size=64)
    assert not load_pretrained(model, "test_vit", "imagenet", image_size=64).head


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.name=rexnet_999"], "no such model"),
        ([*VIT, "data.image_size=50"], r"test_vit cannot take images"),
        (["optimizer.lr=-1"], r"optimizer\.lr=-1\.0"),
        (["optimizer.options.momentum=-1"], "Invalid momentum"),
        (["data.fold=9"], r"data\.fold=9: folds are numbered"),
        (["model.weights=nowhere.pth"], r"model\.weights=nowhere\.pth: there is no such file"),
    ],
)
def test_a_sweep_checks_what_a_run_would_find_out_at_its_start(
    overrides: list[str], message: str, tiny: list[str], tmp_path: Path
) -> None:
    (tmp_path / "weights.pth").touch()  # it is there, and not opened
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check_job(compose("train", overrides=[*tiny, f"model.weights={tmp_path}/weights.pth"]))
        with pytest.raises(UserError, match=message):
            check_job(compose("train", overrides=[*tiny, *overrides]))


# Classes


@pytest.mark.parametrize("label", [0, 1])
def test_what_one_class_does_not_define_is_null_and_a_dash(label: int) -> None:
    rows = pd.DataFrame({"logit": [-1.0, 0.5, 2.0], "label": [label] * 3})
    measured = metrics_of(rows)
    assert measured["auroc"] is None
    assert (measured["f1"] is None) == (label == 0)
    assert measured["accuracy"] == pytest.approx(2 / 3 if label else 1 / 3)
    assert '"auroc": null' in json.dumps(measured, allow_nan=False)
    row = {"epoch": 1, "train_loss": 0.5, "val_loss": 0.5, "val_accuracy": 1.0, "val_f1": 0.5, "val_auroc": math.nan}
    assert "auroc –" in epoch_line({**row, "lr": 0.1, "seconds": 1.0, "images_per_second": 2.0}, 3, best=1)


def test_undefined_metrics_are_gathered_over_batches() -> None:
    metrics = classification_metrics()
    for labels in ([0, 0], [1, 1]):  # neither batch alone has both classes
        metrics.update(torch.tensor([0.2, 0.7]), torch.tensor(labels))
    assert all(math.isfinite(value) for value in metrics.compute().values())
    metrics.reset()
    metrics.update(torch.tensor([0.2, 0.7]), torch.tensor([0, 0]))
    assert math.isnan(metrics.compute()["auroc"])


def test_an_epoch_without_a_metric_has_an_empty_cell_and_no_point(
    compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = ImageDataModule.rows

    def one_class(self: ImageDataModule, split: str) -> pd.DataFrame:
        found = rows(self, split)
        return found[found["label"] == 0] if split in ("val", "test") else found

    monkeypatch.setattr(ImageDataModule, "rows", one_class)
    folder = RunFolder(tmp_path)
    train(compose_tiny("trainer.max_epochs=1", "figures=true"), folder)
    (row,) = pd.read_csv(folder.history_file, dtype=str, keep_default_na=False).to_dict("records")
    assert (row["val_auroc"], row["val_f1"]) == ("", "")
    assert float(row["train_auroc"]) >= 0
    events = EventAccumulator(str(tmp_path / "val"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"epoch/loss", "epoch/accuracy"}
    assert folder.read_metrics()["test"]["auroc"] is None


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = [0] * 20 + [1] * 3
    weights = class_weights("balanced", labels)
    assert weights is not None
    assert weights.tolist() == pytest.approx(compute_class_weight("balanced", classes=np.array([0, 1]), y=labels))
    assert weights[torch.tensor(labels)].mean() == pytest.approx(1)
    copied = class_weights("balanced", labels, copied=0.5)
    assert copied is not None
    with_copies = labels + [1] * 10
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=with_copies)
    assert copied.tolist() == pytest.approx(expected)
    assert class_weights([1, 20], labels).tolist() == [1, 20]  # type: ignore[union-attr]
    assert class_weights(None, labels) is None


def test_the_weighted_loss_of_batches_averages_to_that_of_all_images() -> None:
    torch.manual_seed(0)
    logits, labels, weights = torch.randn(8, 2), torch.arange(8) % 3 % 2, torch.tensor([0.5, 4.0])
    each = -logits.log_softmax(1)[torch.arange(8), labels] * weights[labels]
    assert weighted_loss(logits, labels, weights) == pytest.approx(float(each.mean()))
    halves = [weighted_loss(logits[part], labels[part], weights) for part in (slice(4), slice(4, 8))]
    assert sum(halves) / 2 == pytest.approx(float(each.mean()))


def test_class_weights_reach_training_validation_and_the_result(compose_tiny: Compose, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    train(compose_tiny("loss.class_weights=[1,20]", "trainer.max_epochs=1"), folder)
    rows = pd.read_csv(folder.predictions_file).query("split == 'val'")
    each = np.logaddexp(0, np.where(rows["label"] == 1, -1, 1) * rows["logit"]) * np.where(rows["label"] == 1, 20, 1)
    assert folder.read_metrics()["val"]["loss"] == pytest.approx(each.mean(), rel=1e-5)
    assert pd.read_csv(folder.history_file)["val_loss"][0] == pytest.approx(each.mean(), rel=1e-4)


@pytest.mark.parametrize("value", ["balance", "[1,0]", "[1]", "3"])
def test_impossible_class_weights_are_named(value: str, compose_tiny: Compose) -> None:
    with pytest.raises(ConfigError, match=r"loss\.class_weights=.*: expected null, balanced, or two numbers above 0"):
        compose_tiny(f"loss.class_weights={value}")


def test_imbalance_and_a_network_of_one_answer_earn_warnings(
    compose_tiny: Compose, said: pytest.LogCaptureFixture
) -> None:
    rare = pd.Series([0] * 200 + [1] * 10)
    console.warn_of_imbalance(rare, compose_tiny())
    assert "10 AI images to train on, but 200 real ones (20 : 1)" in said.text
    assert "loss.class_weights=balanced" in said.text
    rows = pd.DataFrame({"logit": [-1.0, -2.0], "label": [0, 1]})
    warn_of_one_answer(rows, compose_tiny())
    assert "All 2 validation images are called real" in said.messages[-1]
    warn_of_one_answer(rows, compose_tiny("data.balance=true"))
    assert "class_weights" not in said.messages[-1]
    said.clear()
    console.warn_of_imbalance(rare, compose_tiny("loss.class_weights=balanced"))
    console.warn_of_imbalance(rare, compose_tiny("data.balance=true"))
    console.warn_of_imbalance(pd.Series([0, 1] * 50), compose_tiny())
    warn_of_one_answer(rows.assign(logit=[-1.0, 1.0]), compose_tiny())
    assert not said.messages


# Failures


def test_a_killed_loader_process_is_one_sentence(
    compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ImageDataset.__getitems__

    def killed(self: ImageDataset, positions: list[int]) -> Any:
        if get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, positions)

    monkeypatch.setattr(ImageDataset, "__getitems__", killed)
    with pytest.raises(LoaderDied, match=r"^A process that decodes images has died [^\n]*data\.workers=0[^\n]*$"):
        train(compose_tiny("data.workers=1", "data.cache_gb=0"), RunFolder(tmp_path))


def test_a_run_that_diverges_later_says_so_and_keeps_the_best_epoch(
    compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, validated = functional.cross_entropy, iter(range(1000))

    def diverging(logits: torch.Tensor, labels: torch.Tensor, **_: float) -> torch.Tensor:
        late = not torch.is_grad_enabled() and next(validated) >= 2  # two batches of validation an epoch
        return real(logits, labels) * (math.nan if late else 1)

    monkeypatch.setattr(functional, "cross_entropy", diverging)
    train(compose_tiny("trainer.max_epochs=5"), RunFolder(tmp_path))
    assert "Training ended with epoch 2, whose validation loss is no finite number" in said.text
    assert "Epoch 1 is kept. Lower optimizer.lr (0.0003)" in said.text
    assert RunFolder(tmp_path).read_metrics()["best_epoch"] == 1


def test_early_stopping_says_why_it_ended(
    compose_tiny: Compose, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    frozen = ("optimizer.lr=1e-12", "schedule.name=constant", "early_stopping.min_delta=10")
    train(compose_tiny("trainer.max_epochs=6", "early_stopping.patience=1", *frozen), RunFolder(tmp_path))
    assert "Training ended with epoch 2: no lower validation loss since epoch " in said.text
    assert "(early_stopping.patience=1)" in said.text
