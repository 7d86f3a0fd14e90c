"""Settings as people type them: unknown keys, Lightning's own, where training starts, and what is checked first."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from lightning.pytorch.profilers import SimpleProfiler

from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.config import ConfigError, EvaluateConfig, TrainConfig
from rexnet_ai_real.config.command import check_typed, run_hydra
from rexnet_ai_real.config.compose import load
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.train import checks
from rexnet_ai_real.train.callbacks import History
from rexnet_ai_real.train.feasibility import check_batches
from rexnet_ai_real.train.run import train
from rexnet_ai_real.train.trainer import new_trainer
from tests.conftest import Compose

Command = Callable[..., str]


def composed(*overrides: str) -> TrainConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return load(compose("train", overrides=list(overrides)))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command whose work must never begin, in an empty folder; what it says on standard error."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> str:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as end:
            run_hydra(name, lambda composed: pytest.fail("work began"))
        assert end.value.code == 2
        assert not list(tmp_path.iterdir())
        return capsys.readouterr().err

    return run


# Unknown keys


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("+trainer.max_epoch=1", "(trainer.max_epochs?)"),
        ("++trainer.max_epoch=1", "(trainer.max_epochs?)"),
        ("trainer.max_epoch=1", "(trainer.max_epochs?)"),
        ("max_epochs=1", "(trainer.max_epochs?)"),
        ("+optimizer.learning_rate=5", "(optimizer.lr?)"),
        ("~trainer.max_epoch", "(trainer.max_epochs?)"),
        ("modle=rexnet_100", "(model?)"),
        ("+whatever=3", "+whatever=3 is no setting"),
        ("+trainer={max_epoch: 3}", "trainer.max_epoch (trainer.max_epochs?)"),
    ],
)
def test_unknown_keys_stop_before_any_work_however_they_are_written(typed: str, meant: str, command: Command) -> None:
    for arguments in ([typed], ["-m", "seed=1,2", typed]):
        if "{" in typed and "-m" in arguments:
            continue  # found when the jobs are composed
        said = command("train", *arguments)
        assert meant in said
        assert said.count("\n") == 1
        assert "To append to your config" not in said


def test_all_unknown_keys_are_named_at_once(command: Command) -> None:
    said = command("train", "+trainer.max_epoch=1", "+optimizer.learning_rate=5", "+whatever=3")
    assert said.startswith("+trainer.max_epoch=1 (trainer.max_epochs?); +optimizer.learning_rate=5 (optimizer.lr?); ")
    assert "+whatever=3 are no settings" in said


def test_a_report_refuses_unknown_keys_too(command: Command) -> None:
    assert "+treshold=fpr (threshold?) is no setting" in command("evaluate", "run=x", "+treshold=fpr")
    assert "optimizer.lr=1 is no setting" in command("evaluate", "run=x", "optimizer.lr=1")


def test_settings_composed_elsewhere_are_checked_as_well() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_epoch \(trainer\.max_epochs\?\) is no setting"):
        composed("+trainer.max_epoch=1")


def test_an_unknown_key_in_a_file_is_named_with_the_file(
    command: Command, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("own")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "mine.yaml").write_text("# @package _global_\ntrainer: {max_epoch: 3}\n")
    said = command("train", "--config-dir", str(folder), "+experiment=mine")
    assert said.startswith("experiment/mine.yaml: trainer.max_epoch (trainer.max_epochs?) is no setting")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("optimizer.lr=abc", "optimizer.lr=abc: Value 'abc' of type 'str' could not be converted to Float"),
        ("experiment=baseline", "put a + before it, +experiment=NAME"),
        ("+experiment=basline", "expected one of baseline, best, debug, demo, fast, general, transfer (baseline?)"),
        ("model=rexnet_15", "(rexnet_150?)"),
        ("optimizer.options.momentun=1", "optimizer.options.momentun is not set: check its spelling"),
        ("data.root=a,b=c", "needs quotes"),
    ],
)
def test_wrong_settings_are_one_line(typed: str, said: str, command: Command) -> None:
    line = command("train", typed)
    assert said in line
    assert line.count("\n") == 1
    assert "HYDRA_FULL_ERROR" not in line


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "optimizer.lr=1",
            "data.classes={flickr: real}",
            "+data.classes.flickr=real",
            "+optimizer.options.dampening=0",
        ),
        *("model=rexnet_100", "+experiment=debug", "+sweep=folds", "hydra/sweeper=optuna", "hydra.sweeper.trials=3"),
        *("data={batch_size: 3}", "--cfg", "job", "-m", "~optimizer"),
    ],
)
def test_known_keys_pass(typed: str) -> None:
    check_typed([typed], TrainConfig)


def test_each_command_has_its_own_settings() -> None:
    check_typed(["others=[a,b]", "data.root=x"], EvaluateConfig)
    with pytest.raises(ConfigError, match=r"others=\[a,b\]"):
        check_typed(["others=[a,b]"], TrainConfig)


# Lightning's settings


def test_settings_of_the_trainer_reach_lightning(tmp_path: Path) -> None:
    config = composed(
        *("trainer.limit_train_batches=10", "trainer.limit_val_batches=0.5", "trainer.limit_test_batches=1"),
        *("trainer.accumulate_grad_batches=4", "trainer.val_check_interval=0.25", "trainer.profiler=simple"),
        *("trainer.num_nodes=2", "output_dir=shared"),
    )
    trainer: Any = new_trainer(config, RunFolder(tmp_path), History(tmp_path / "history.csv"), [])
    assert (trainer.limit_train_batches, trainer.limit_val_batches, trainer.limit_test_batches) == (10, 0.5, 1)
    assert (trainer.accumulate_grad_batches, trainer.val_check_interval, trainer.num_nodes) == (4, 0.25, 2)
    assert isinstance(trainer.profiler, SimpleProfiler)
    assert trainer.early_stopping_callback is not None


def test_overfitting_on_purpose_does_not_stop_early(tmp_path: Path) -> None:
    trainer: Any = new_trainer(
        composed("trainer.overfit_batches=2"), RunFolder(tmp_path), History(tmp_path / "history.csv"), []
    )
    assert (trainer.limit_train_batches, trainer.limit_val_batches) == (2, 2)
    assert trainer.early_stopping_callback is None


@pytest.mark.parametrize(
    "setting",
    [
        *("limit_train_batches=0", "limit_train_batches=1.5", "limit_val_batches=0.0", "limit_test_batches=-1"),
        *("overfit_batches=0", "val_check_interval=2.0", "accumulate_grad_batches=0", "num_nodes=0", "profiler=fast"),
    ],
)
def test_impossible_settings_of_the_trainer_name_their_key(setting: str) -> None:
    with pytest.raises(ConfigError, match=rf"^trainer\.{setting.partition('=')[0]}="):
        composed(f"trainer.{setting}")


def test_several_nodes_need_a_folder_that_all_of_them_reach() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.num_nodes=2: .* give output_dir=PATH"):
        composed("trainer.num_nodes=2")


def test_part_of_the_batches_holds_both_classes_and_is_the_same_each_time(compose_tiny: Compose) -> None:
    config = compose_tiny()
    data = ImageDataModule(config.data, config.augment, seed=0)
    data.prepare_data()
    data.setup("fit")
    trainer: Any = SimpleNamespace(overfit_batches=1, limit_val_batches=1, limit_test_batches=0.5, current_epoch=0)
    data.trainer = trainer
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        labels = next(iter(loader))[1].tolist()
        assert set(labels) == {0, 1}
        assert next(iter(loader))[1].tolist() == labels


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.limit_val_batches=0.1", r"less than one of the 2 batches; expected 0\.5 or more"),
        ("trainer.val_check_interval=100", r"an epoch has 5 batches"),
    ],
)
def test_shares_without_a_batch_are_refused(override: str, message: str, compose_tiny: Compose) -> None:
    config = compose_tiny(override)
    data = ImageDataModule(config.data, config.augment, seed=0)
    data.prepare_data()
    data.setup("fit")
    with pytest.raises(ConfigError, match=message):
        check_batches(config, data)


def test_the_debug_experiment_leaves_a_whole_run_in_a_few_batches(
    session_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = composed(
        *("+experiment=debug", f"data.root={session_folder / 'tiny' / 'synthetic'}", "data.synthetic.count=60"),
        *("data.synthetic.size=32", "data.image_size=32", "model.width=0.25", "figures=false", "trainer.threads=1"),
        *("trainer.limit_test_batches=2", "trainer.val_check_interval=2", "trainer.profiler=simple"),
        *("trainer.accumulate_grad_batches=2", "trainer.precision=32-true"),
    )
    caplog.set_level("INFO", "rexnet_ai_real")
    folder = RunFolder(tmp_path / "run")
    train(config, folder)
    assert "random (model.weights=null)" in caplog.text
    counts = pd.read_csv(folder.predictions_file)["split"].value_counts()
    assert counts["test"] == 8  # two batches of four, of the twelve images there
    assert folder.read_metrics()["epochs"] == 2
    assert "run_training_batch" in next(folder.path.glob("*profile*")).read_text()


# Where training starts


@pytest.mark.parametrize(
    ("overrides", "weights"),
    [
        (["data=folder", "data.root=x"], "imagenet"),
        (["data=cifake"], "imagenet"),
        ([], "imagenet"),
        (["data=synthetic"], None),
        (["data=folder", "model.weights=null"], None),
        (["data=folder", "model.weights=mine.safetensors"], "mine.safetensors"),
        (["data=folder", "model=rexnet_lite_100"], None),
        (["+experiment=debug", "data=folder"], None),
    ],
)
def test_training_starts_from_pretrained_weights_wherever_there_are_some(
    overrides: list[str], weights: str | None
) -> None:
    assert composed(*overrides).model.weights == weights


def test_the_study_stays_as_it_was() -> None:
    study = composed("+experiment=baseline")
    assert (study.data.name, study.data.batch_size, study.data.image_size) == ("kaggle", 8, 224)
    assert (study.model.name, study.model.weights) == ("rexnet_150", "imagenet")
    assert (study.trainer.max_epochs, study.early_stopping.patience) == (12, 12)
    assert (study.optimizer.name, study.optimizer.lr, study.schedule.name) == ("SGD", 3e-4, "one_cycle")


# What is checked first


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, and an empty cache of weights; the folder to work in."""
    from huggingface_hub import constants

    monkeypatch.setattr(checks, "is_reachable", lambda address: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_missing_is_named_at_once(offline: Path) -> None:
    with pytest.raises(ConfigError) as told:
        checks.check_inputs(composed("resume=nowhere"))
    images, resume = str(told.value).splitlines()
    assert "kaggle.com cannot be reached" in images
    assert resume.startswith("resume=nowhere: nowhere is no run folder")

    with pytest.raises(ConfigError) as told:
        checks.check_inputs(composed("data=folder", "data.root=nowhere"))
    images, weights = str(told.value).splitlines()
    assert images.startswith("data.root=nowhere: no such folder")
    assert "model.weights=PATH" in weights
    assert "model.weights=null" in weights

    with pytest.raises(ConfigError, match=r"^model\.weights=gone\.pth: there is no such file"):
        checks.check_inputs(composed("data=synthetic", "model.weights=gone.pth"))


def test_weights_in_the_cache_need_no_network(offline: Path) -> None:
    file = offline / "hub" / "models--timm--rexnet_150.nav_in1k" / "snapshots" / "abc" / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    (offline / "images" / "ai").mkdir(parents=True)
    checks.check_inputs(composed("data=folder", "data.root=images"))
    with pytest.raises(ConfigError, match="the weights of rexnet_200 are not on this machine"):
        checks.check_inputs(composed("data=folder", "data.root=images", "model=rexnet_200"))


def test_an_autoencoder_that_is_missing_is_named_before_the_work(offline: Path) -> None:
    pairs = ("data=synthetic", "model.weights=null", "data.pairs.share=1")
    with pytest.raises(ConfigError, match=r"^data\.pairs\.share=1\.0: the autoencoder is not on this machine"):
        checks.check_inputs(composed(*pairs))
    with pytest.raises(ConfigError, match=r"^data\.pairs\.weights=gone: no autoencoder at gone"):
        checks.check_inputs(composed(*pairs, "data.pairs.weights=gone"))
    (offline / "parts").mkdir()
    with pytest.raises(ConfigError, match=r"parts holds neither taef2\.safetensors nor"):
        checks.check_inputs(composed(*pairs, "data.pairs.weights=parts"))
    (offline / "parts" / "taef2.safetensors").touch()
    checks.check_inputs(composed(*pairs, "data.pairs.weights=parts"))
    file = offline / "hub" / "models--madebyollin--taef2" / "snapshots" / "abc" / "taef2.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    (refs := offline / "hub" / "models--madebyollin--taef2" / "refs").mkdir()
    (refs / "main").write_text("abc")
    checks.check_inputs(composed(*pairs))


def test_a_full_disk_and_a_read_only_folder_are_seen_before_the_work(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = composed("data=synthetic", "output_dir=runs/one")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=12_000_000))
        with pytest.raises(ConfigError, match=r"^output_dir=runs/one: 12 MB are free there, and a run needs 300"):
            checks.check_inputs(config)
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda path, mode: False)
        with pytest.raises(ConfigError, match="cannot be written; give another folder"):
            checks.check_inputs(config)
    (offline / "runs").touch()
    with pytest.raises(ConfigError, match="runs is a file"):
        checks.check_inputs(config)


def test_what_is_missing_is_named_before_pytorch_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from rexnet_ai_real.train.__main__ import main\n"
        "try: main()\nfinally: print('torch' in sys.modules, 'lightning' in sys.modules)"
    )
    arguments = ["data=folder", "data.root=nowhere", "model.weights=gone.pth"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "False False\n"
    assert [line.partition("=")[0] for line in done.stderr.splitlines()] == ["data.root", "model.weights"]
    assert done.returncode == 2
    assert not list(tmp_path.iterdir())
