"""Training end to end on tiny generated images: run folder, repetition, resuming, interruption, bad input."""

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score, roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.nn import functional

from rexnet_ai_real import Detector
from rexnet_ai_real.config import ConfigError
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.metrics.training import METRICS, TrainingMetric
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train.__main__ import main
from rexnet_ai_real.train.failures import TrainingDiverged
from rexnet_ai_real.train.figures import learning_curve
from rexnet_ai_real.train.resume import check_same_run
from rexnet_ai_real.train.run import train
from tests.conftest import Compose

HISTORY = (
    *("epoch", "train_loss", "train_accuracy", "train_f1", "train_auroc"),
    *("val_loss", "val_accuracy", "val_f1", "val_auroc", "lr", "seconds", "images_per_second"),
)


def run_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "rexnet_ai_real.train", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def drawn_run(compose_tiny: Compose, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, float | None]:
    """The tiny run again, with its figures, and what `train` returned."""
    folder = RunFolder(tmp_path_factory.mktemp("drawn"))
    return folder, train(compose_tiny("figures=true"), folder)


def test_the_run_folder_holds_what_was_promised(drawn_run: tuple[RunFolder, float | None]) -> None:
    folder, _ = drawn_run
    assert folder.read_config()["data"]["name"] == "synthetic"
    assert folder.best_checkpoint.is_file()
    assert folder.last_checkpoint.is_file()
    for name in ("loss", "accuracy", "f1", "confusion", "cam"):
        with Image.open(folder.figures / f"{name}.png") as figure:
            assert min(figure.size) > 500
        assert (folder.figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert {f"figures/{name}" for name in ("loss", "accuracy", "f1", "confusion", "cam")} <= set(images_in(folder.path))
    history = pd.read_csv(folder.history_file)
    assert tuple(history.columns) == HISTORY
    assert history["epoch"].tolist() == [1, 2]
    assert np.isfinite(history).all(axis=None)


def images_in(board: Path) -> list[str]:
    """Tags of the images in a TensorBoard log."""
    events = EventAccumulator(str(board))
    events.Reload()
    tags: list[str] = events.Tags()["images"]
    return tags


def test_a_run_without_figures_draws_none(tiny_run: RunFolder) -> None:
    assert list(tiny_run.path.glob("events.out.tfevents.*"))
    assert not tiny_run.figures.exists()
    assert images_in(tiny_run.path) == []


def test_splits_share_no_group(tiny_run: RunFolder) -> None:
    manifest = pd.read_csv(tiny_run.manifest_file)
    assert set(manifest["split"]) == {"train", "val", "test"}
    assert manifest.groupby("group")["split"].nunique().max() == 1


def test_metrics_are_those_of_the_predictions(tiny_run: RunFolder) -> None:
    predictions = pd.read_csv(tiny_run.predictions_file)
    metrics = tiny_run.read_metrics()
    assert list(predictions.columns) == ["path", "label", "split", "logit", "probability", "source", "collection"]
    np.testing.assert_allclose(predictions["probability"], 1 / (1 + np.exp(-predictions["logit"])), atol=1e-9)
    for split in ("val", "test"):
        rows = predictions[predictions["split"] == split]
        predicted = rows["probability"] > 0.5
        assert metrics[split] == pytest.approx(
            {
                "loss": log_loss(rows["label"], rows["probability"]),
                "accuracy": accuracy_score(rows["label"], predicted),
                "f1": f1_score(rows["label"], predicted, zero_division=0),
                "auroc": roc_auc_score(rows["label"], rows["probability"]),
                "n": len(rows),
            },
            abs=1e-6,
        )


def test_the_best_checkpoint_has_the_lowest_validation_loss(tiny_run: RunFolder) -> None:
    history = pd.read_csv(tiny_run.history_file)
    metrics = tiny_run.read_metrics()
    assert metrics["best_epoch"] == history["val_loss"].idxmin() + 1
    assert metrics["val"]["loss"] == pytest.approx(history["val_loss"].min(), abs=1e-5)


def test_checkpoints_are_read_without_running_code(tiny_run: RunFolder) -> None:
    checkpoint = torch.load(tiny_run.best_checkpoint, weights_only=True)
    assert checkpoint["hyper_parameters"]["model"]["name"] == "rexnet_100"
    assert checkpoint["hyper_parameters"]["preprocessing"]["image_size"] == 32


def test_the_same_settings_give_the_same_metrics_drawn_or_not(
    tiny_run: RunFolder, drawn_run: tuple[RunFolder, float | None]
) -> None:
    folder, score = drawn_run
    again, first = folder.read_metrics(), tiny_run.read_metrics()
    for part in ("train", "val", "test", "epochs", "best_epoch", "seed"):
        assert again[part] == first[part]
    assert score == pd.read_csv(tiny_run.history_file)["val_loss"].min()
    assert folder.predictions_file.read_bytes() == tiny_run.predictions_file.read_bytes()


def test_a_resumed_run_equals_one_that_was_not_interrupted(
    compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = functional.cross_entropy

    def train_until(epochs: int, folder: RunFolder, *overrides: str, validated: Iterator[int]) -> None:
        """The loss gets worse with every epoch, so that the best checkpoint is that of the first."""

        def worse_with_every_validation(logits: Tensor, labels: Tensor, **_: float) -> Tensor:
            return real(logits, labels) + (0 if torch.is_grad_enabled() else next(validated) // 2)  # two batches each

        monkeypatch.setattr(functional, "cross_entropy", worse_with_every_validation)
        changes = ("augment=paper", "augment.delivery=0.5", "augment.native=0.5")
        steady = ("schedule.name=constant", *changes, "model.drop_path=0.2")
        train(compose_tiny(f"trainer.max_epochs={epochs}", *steady, *overrides), folder)

    whole, part, counter = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "part"), itertools.count()
    train_until(3, whole, validated=itertools.count())
    train_until(2, part, validated=counter)
    first = pd.read_csv(part.history_file)
    assert torch.load(part.best_checkpoint, weights_only=True)["epoch"] == 0
    assert torch.load(part.last_checkpoint, weights_only=True)["epoch"] == 1
    train_until(3, part, f"resume={part.path}", validated=counter)

    history, metrics = pd.read_csv(part.history_file), part.read_metrics()
    assert history["epoch"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(history.iloc[:2], first)
    measured = ["seconds", "images_per_second"]
    pd.testing.assert_frame_equal(
        history.drop(columns=measured), pd.read_csv(whole.history_file).drop(columns=measured)
    )
    assert (metrics["epochs"], metrics["best_epoch"]) == (3, 1)
    assert metrics["val"]["loss"] == pytest.approx(history["val_loss"].min(), abs=1e-5)


def test_a_run_with_every_change_to_images_answers_as_its_detector(
    compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairs through a stand-in for the autoencoder, native crops and delivery; and judged in three views."""
    stand_in = torch.nn.Identity()
    monkeypatch.setattr("rexnet_ai_real.data.reconstruction.load_autoencoder", lambda _: stand_in)
    changes = ("augment=delivery", "augment.native=0.5", "data.pairs.share=0.5", "data.views=[frame,native,flip]")
    larger = (f"data.root={tmp_path / 'images'}", "data.synthetic.size=48", f"data.cache={tmp_path / 'cache'}")
    settings = compose_tiny("trainer.max_epochs=1", *larger, *changes)
    folder = RunFolder(tmp_path / "run")
    train(settings, folder)
    expected = pd.read_csv(folder.predictions_file)
    root = Path(str(settings.data.root))
    found = Detector.load(folder.path, precision="32-true").predict([root / path for path in expected["path"]])
    assert [verdict.logit for verdict in found] == pytest.approx(expected["logit"].tolist(), abs=1e-5)
    copies = list((tmp_path / "cache" / "reconstructed").rglob("*.webp"))
    manifest = read_manifest(folder.manifest_file)
    assert len(copies) == ((manifest["split"] == "train") & (manifest["label"] == 0)).sum()


def test_resuming_with_other_images_is_refused(tiny_run: RunFolder, compose_tiny: Compose) -> None:
    settings, manifest = compose_tiny(f"resume={tiny_run.path}"), read_manifest(tiny_run.manifest_file)
    check_same_run(settings, tiny_run, manifest)
    manifest.loc[manifest["problem"] == "", "split"] = "train"
    with pytest.raises(ConfigError, match="images are not as they were"):
        check_same_run(settings, tiny_run, manifest)


def test_resuming_with_other_settings_is_refused(tiny_run: RunFolder, compose_tiny: Compose) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr was 0\.0003, now 0\.1"):
        train(compose_tiny("optimizer.lr=0.1", f"resume={tiny_run.path}"), tiny_run)


def test_resuming_for_fewer_epochs_is_refused(tiny_run: RunFolder, compose_tiny: Compose) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs=1: .* expected 2 or more"):
        train(compose_tiny("trainer.max_epochs=1", f"resume={tiny_run.path}"), tiny_run)


def test_resuming_nothing_is_refused(compose_tiny: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"last\.ckpt"):
        train(compose_tiny(f"resume={tmp_path}"), RunFolder(tmp_path))


def test_early_stopping_ends_a_run_that_does_not_improve(compose_tiny: Compose, tmp_path: Path) -> None:
    frozen = ("optimizer.lr=1e-12", "schedule.name=constant", "early_stopping.min_delta=10")
    train(compose_tiny("trainer.max_epochs=6", "early_stopping.patience=2", *frozen), RunFolder(tmp_path))
    assert RunFolder(tmp_path).read_metrics()["epochs"] == 3


def test_fast_dev_run_leaves_no_result(compose_tiny: Compose, tmp_path: Path) -> None:
    assert train(compose_tiny("trainer.fast_dev_run=true"), RunFolder(tmp_path)) is None
    assert not RunFolder(tmp_path).metrics_file.exists()
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_loss_that_is_no_number_ends_in_advice(
    compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functional, "cross_entropy", lambda logits, labels, **_: logits.sum() * math.nan)
    with pytest.raises(TrainingDiverged, match=r"optimizer\.lr=0\.0003"):
        train(compose_tiny(), RunFolder(tmp_path))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.name=two_cycles", r"schedule\.name=two_cycles: expected one of one_cycle, "),
        ("optimizer.options.momentum=-1", r"optimizer\.options=.*Invalid momentum"),
    ],
)
def test_impossible_optimization_stops_before_any_work(
    override: str, message: str, compose_tiny: Compose, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(compose_tiny(override), RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_metric_is_one_entry(compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = TrainingMetric("specificity of real", "BinarySpecificity", "specificity", is_percentage=True)
    monkeypatch.setitem(METRICS, "specificity", entry)
    folder = RunFolder(tmp_path)
    train(compose_tiny("trainer.max_epochs=1"), folder)
    history, rows = pd.read_csv(folder.history_file), pd.read_csv(folder.predictions_file).query("split == 'val'")
    expected = recall_score(rows["label"], rows["probability"] > 0.5, pos_label=0)
    assert history["val_specificity"].tolist() == pytest.approx([expected])
    assert folder.read_metrics()["val"]["specificity"] == pytest.approx(expected)
    assert learning_curve(history, "specificity").axes[0].get_ylabel() == "specificity of real"
    for part in ("train", "val", "val_best"):
        events = EventAccumulator(str(tmp_path / part))
        events.Reload()
        assert "epoch/specificity" in events.Tags()["scalars"]


def test_several_processes_predict_every_image(tiny: list[str], tmp_path: Path) -> None:
    done = run_command(
        *tiny, "trainer.strategy=ddp", "trainer.devices=2", "trainer.max_epochs=1", "output_dir=run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    folder = RunFolder(tmp_path / "run")
    manifest, predictions = pd.read_csv(folder.manifest_file), pd.read_csv(folder.predictions_file)
    assert set(predictions["path"]) == set(manifest.loc[manifest["split"].isin(["val", "test"]), "path"])
    assert predictions["path"].is_unique


def test_ctrl_c_keeps_the_best_checkpoint_and_draws_what_there_is(tiny: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "rexnet_ai_real.train", *tiny]
    command += ["figures=true", "trainer.max_epochs=1000", "early_stopping.patience=1000", f"output_dir={tmp_path}/run"]
    folder = RunFolder(tmp_path / "run")
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    # A job that a shell put into the background is born deaf to Ctrl-C, and so are its children.
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **options) as job:
        while job.poll() is None and (not folder.history_file.exists() or len(pd.read_csv(folder.history_file)) < 2):
            time.sleep(0.2)
        job.send_signal(signal.SIGINT)
        output, _ = job.communicate(timeout=120)
    assert job.returncode == 130, output.decode()
    assert folder.best_checkpoint.is_file()
    assert folder.read_metrics()["epochs"] >= 2
    assert (folder.figures / "loss.png").is_file()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["early_stopping.patience=-1"], "early_stopping.patience=-1"),
        (["model.weights=nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_bad_settings_end_in_one_clear_line(
    tiny: list[str],
    overrides: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *tiny, *overrides])
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_image_that_vanishes_is_named(compose_tiny: Compose, tmp_path: Path) -> None:
    from rexnet_ai_real.data.datamodule import ImageDataModule

    settings = compose_tiny(f"data.root={tmp_path}/images", "data.cache_gb=0")
    data = ImageDataModule(settings.data, settings.augment, seed=0)
    data.setup("fit")
    victim = data.rows("val")["path"].iloc[0]
    (data.root / victim).unlink()
    with pytest.raises(ValueError, match=str(victim).replace(".", r"\.")):
        list(data.val_dataloader())


def test_metrics_file_is_plain_json(tiny_run: RunFolder) -> None:
    metrics = json.loads(tiny_run.metrics_file.read_text())
    assert set(metrics) == {"train", "val", "test", "epochs", "best_epoch", "seconds", "seed", "environment"}
    assert set(metrics["test"]) == {"loss", "accuracy", "f1", "auroc", "n"}


def test_prepared_images_are_opened_once(
    compose_tiny: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rexnet_ai_real.data.prepared import prepare_images

    opened: list[int] = []

    def counted(sources: list[object], *arguments: Any, **options: Any) -> object:
        opened.append(len(sources))
        return prepare_images(sources, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("rexnet_ai_real.data.datamodule.prepare_images", counted)
    train(compose_tiny("trainer.max_epochs=1"), RunFolder(tmp_path))
    assert opened == [60]
