"""Configuration: every file composes, and nothing impossible gets as far as work."""

import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf.errors import OmegaConfBaseException

from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.config import ConfigError, TrainConfig
from rexnet_ai_real.config.compose import load, load_evaluation


def composed(*overrides: str) -> TrainConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return load(compose("train", overrides=list(overrides)))


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize(
    "override",
    [f"{group}={option}" for group in ("data", "augment", "optimizer", "trainer") for option in options(group)]
    + [f"model={option}" for option in options("model") if option != "timm"]
    + [f"+experiment={option}" for option in options("experiment")]
    + [f"+sweep={option}" for option in options("sweep") if option != "optuna"],
)
def test_every_file_composes(override: str) -> None:
    assert composed(override).name


def test_defaults_are_those_of_the_study() -> None:
    settings = composed("+experiment=baseline")
    assert settings.optimizer.lr == 3e-4
    assert settings.data.image_size == 224
    assert settings.data.resize == "squash"
    assert settings.model.name == "rexnet_150"


def test_a_timm_backbone_needs_a_name() -> None:
    with pytest.raises(ConfigError, match=r"model\.name"):
        composed("model=timm")
    assert composed("model=timm", "model.name=mobilenetv3_large_100").model.library == "timm"


@pytest.mark.parametrize("resume", ["outputs/x/1", "outputs/x/1/checkpoints/last.ckpt"])
def test_a_resumed_run_keeps_its_folder(resume: str) -> None:
    assert composed(f"resume={resume}").output_dir == "outputs/x/1"


def test_names_of_class_folders_are_the_users() -> None:
    settings = composed("data=folder", "data.classes={midjourney: ai, flickr: real}")
    assert settings.data.classes == {"midjourney": "ai", "flickr": "real"}


def test_class_folders_may_be_numbers_and_may_lose_their_meaning() -> None:
    settings = composed("data=folder", "data.classes={0: real, 1: ai, human: null}", "data.duplicate_distance=null")
    assert settings.data.classes == {"0": "real", "1": "ai", "human": None}
    assert settings.data.duplicate_distance is None
    with pytest.raises(ConfigError, match=r"data\.classes=.*: expected FOLDER: ai, FOLDER: real, or FOLDER: null"):
        composed("data=folder", "data.classes={0: 1}")


@pytest.mark.parametrize(
    "override", ["optimizer.learning_rate=1", "optimizer.lr=abc", "data.folds=many", "nonsense=1", "model.weights=[1]"]
)
def test_unknown_keys_and_wrong_types_stop_at_composition(override: str) -> None:
    with pytest.raises((ConfigCompositionException, OmegaConfBaseException)):
        composed(override)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("early_stopping.patience=-1", "early_stopping.patience"),
        ("model.width=0", "model.width"),
        ("optimizer.lr=0", "optimizer.lr"),
        ("optimizer.lr=nan", "optimizer.lr"),
        ("data.batch_size=1", "data.batch_size"),
        ("data.image_size=0", "data.image_size"),
        ("data.name=imagenet", "data.name"),
        ("data.std=[1,0,1]", "data.std"),
        ("augment.flip=2", "augment.flip"),
        ("trainer.max_epochs=0", "trainer.max_epochs"),
        ("trainer.accelerator=tpuu", "trainer.accelerator"),
        ("trainer.precision=double", "trainer.precision"),
        ("trainer.strategy=dp", "trainer.strategy"),
        ("schedule.div_factor=0.5", "schedule.div_factor"),
        ("schedule.pct_start=1", "schedule.pct_start"),
        ("data.synthetic.count=2", "data.synthetic.count"),
        ("seed=-1", "seed"),
        ("optimizer.layer_decay=0", "optimizer.layer_decay"),
        ("model.freeze=-1", "model.freeze"),
        ("loss.label_smoothing=1", "loss.label_smoothing"),
        ("averaging.name=mean", "averaging.name"),
        ("averaging.decay=1", "averaging.decay"),
        ("schedule.reduce=1", "schedule.reduce"),
        ("augment.mixup=-1", "augment.mixup"),
    ],
)
def test_impossible_values_name_their_key(override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        composed(override)


def test_a_fold_outside_the_folds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.fold=7: folds are numbered 0 to 4"):
        composed("data.fold=7", "data.folds=5")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.balance=true", "loss.class_weights=balanced"],
            r"^data\.balance=true and loss\.class_weights=balanced",
        ),
        (["schedule.name=plateau", "early_stopping.patience=3"], r"^schedule\.patience=2: .* at bad validation 3,"),
        (["schedule.name=plateau", "schedule.patience=4"], r"such as early_stopping\.patience=6"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composed("+experiment=fast", "early_stopping.patience=5", *overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.balance=true", "loss.class_weights=[1,2]"],
        ["schedule.name=plateau", "early_stopping.patience=4"],
        ["schedule.name=cosine", "early_stopping.patience=1"],
        ["schedule.name=plateau", "early_stopping.patience=1", "trainer.overfit_batches=2"],  # never stops early
    ],
)
def test_settings_that_fit_together_pass(overrides: list[str]) -> None:
    composed(*overrides)


def test_shares_must_leave_something_to_train_on() -> None:
    with pytest.raises(ConfigError, match=r"data\.val_fraction"):
        composed("data.val_fraction=0.5", "data.test_fraction=0.5")


@pytest.mark.parametrize(
    ("override", "key"),
    [("data.name=imagenet", "data.name"), ("fpr=1", "fpr"), ("sample=1", "sample")],
)
def test_impossible_values_of_a_report_name_their_key(override: str, key: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert load_evaluation(compose("evaluate", overrides=["run=x", "data.batch_size=1"])).data.name == "own"
        with pytest.raises(ConfigError, match=f"^{key}="):
            load_evaluation(compose("evaluate", overrides=["run=x", override]))


def test_an_optimizer_has_its_own_options() -> None:
    assert composed().optimizer.options == {"momentum": 0.9, "nesterov": True}
    with pytest.raises(ConfigCompositionException):
        composed("optimizer.options.momentun=0.8")


def test_transfer_rises_to_the_rate_that_it_promises() -> None:
    settings = composed("+experiment=transfer", "data=folder", "data.root=images")
    assert settings.optimizer.lr * settings.schedule.div_factor == pytest.approx(5e-4)
    assert (settings.optimizer.name, settings.optimizer.options, settings.model.freeze) == ("AdamW", {}, 3)


def test_the_settings_are_importable_without_hydra() -> None:
    code = "import sys, rexnet_ai_real.config as c; c.TrainConfig(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "rexnet_ai_real.config.schema" in modules
    assert {"hydra", "omegaconf", "torch"}.isdisjoint(modules)


def test_the_configuration_tree_is_found_from_a_checkout() -> None:
    assert (CONF / "train.yaml").is_file()
    assert CONF.is_absolute()
    assert CONF.name == "conf"
