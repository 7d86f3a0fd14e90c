"""From conf/ to settings: registers the schemas with Hydra and turns what it composed into plain dataclasses.

Import this module before Hydra composes anything: conf/train.yaml and conf/evaluate.yaml begin with these schemas.
"""

from pathlib import Path
from typing import Any, Final, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from rexnet_ai_real.config.evaluation import EvaluateConfig
from rexnet_ai_real.config.keys import check_known, keys_of
from rexnet_ai_real.config.rules import ConfigError, check_rules
from rexnet_ai_real.config.schema import DataConfig, TrainConfig
from rexnet_ai_real.images.layouts import LAYOUTS

Settings = TypeVar("Settings", TrainConfig, EvaluateConfig)

SCHEMAS: Final = {"train": TrainConfig, "evaluate": EvaluateConfig}
"""By the name of the file under conf/."""


def load(composed: DictConfig) -> TrainConfig:
    """The settings of a training run, as composed from train.yaml.

    Raises:
        ConfigError: a key is unknown; a value is missing or impossible.
    """
    config = _plain(composed, TrainConfig)
    check_rules(config)
    _check_roots(config.data)
    _check_split(config.data)
    _check_training(config)
    _check_run(config, has_own_folder=is_fresh(composed))
    return config


def load_evaluation(composed: DictConfig) -> EvaluateConfig:
    """The settings of a report, as composed from evaluate.yaml.

    Raises:
        ConfigError: a key is unknown; a value is missing or impossible.
    """
    config = _plain(composed, EvaluateConfig)
    check_rules(config)
    _check_roots(config.data)
    return config


def run_folder(resume: str | None, fresh: str) -> str:
    """Where a run goes: the run to resume, named by its folder or a checkpoint in it, or else a fresh folder."""
    if not resume:
        return fresh
    return str(Path(resume).parent.parent) if resume.endswith(".ckpt") else resume


def is_fresh(composed: DictConfig) -> bool:
    """Whether a run gets a new folder that is named after the time, so that another name would do as well."""
    plain: Any = OmegaConf.to_container(composed, resolve=False)
    return bool(plain["output_dir"] == TrainConfig.output_dir and not plain["resume"])


def initial_weights(data: str) -> str | None:
    """Where training starts unless told otherwise: no data set of ordinary size teaches a network from nothing."""
    return None if data in LAYOUTS and LAYOUTS[data].is_generated else "imagenet"


def _plain(composed: DictConfig, schema: type[Settings]) -> Settings:
    plain: Any = OmegaConf.to_container(composed, resolve=False)
    check_known({key: key for key in keys_of(plain, schema)}, schema)
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError(f"{', '.join(missing)}: no value given")
    config = OmegaConf.to_object(composed)
    if not isinstance(config, schema):
        raise TypeError(f"expected settings composed by {schema.__name__}, got {type(config).__name__}")
    config.data.classes = {str(name): word for name, word in config.data.classes.items()}  # {0: real} has a number
    return config


def _check_roots(data: DataConfig) -> None:
    """The folders of collections, unread otherwise, are not to be forgotten without a word."""
    if data.roots and not (data.name in LAYOUTS and LAYOUTS[data.name].has_roots):
        raise ConfigError(f"data.roots={data.roots}: data={data.name} does not read them; add data=collections")


def _check_split(data: DataConfig) -> None:
    """Settings that are possible alone, but not together."""
    if data.fold is not None and not 0 <= data.fold < data.folds:
        raise ConfigError(f"data.fold={data.fold}: folds are numbered 0 to {data.folds - 1} (data.folds={data.folds})")
    if data.val_fraction + data.test_fraction >= 1:
        raise ConfigError(
            f"data.val_fraction={data.val_fraction} and data.test_fraction={data.test_fraction}: "
            "together they must be below 1, or nothing is left to train on"
        )


def _check_training(config: TrainConfig) -> None:
    """Settings of the training that are possible alone, but not together."""
    if config.data.balance and config.loss.class_weights == "balanced":
        pairs = "; two numbers may weigh the copies of data.pairs" if config.data.pairs.share else ""
        raise ConfigError(
            "data.balance=true and loss.class_weights=balanced: batches hold as many real as AI images already, which "
            f"weights for all images would undo; leave one of them out{pairs}"
        )
    patience, stop = config.schedule.patience, config.early_stopping.patience
    if config.schedule.name == "plateau" and patience > stop - 2 and not config.trainer.overfit_batches:
        raise ConfigError(
            f"schedule.patience={patience}: under schedule.name=plateau the rate falls at bad validation {patience + 1}"
            f", and early_stopping.patience={stop} ends the run before the lower rate is used; expected at most "
            f"early_stopping.patience - 2, such as early_stopping.patience={patience + 2}"
        )


def _check_run(config: TrainConfig, *, has_own_folder: bool) -> None:
    """The folder of a run must be the same for all of its processes, and that of a resumed run is its own."""
    if config.resume and Path(config.output_dir) != Path(run_folder(config.resume, "")):
        raise ConfigError(f"output_dir={config.output_dir}: a resumed run stays in its folder; leave output_dir out")
    if config.trainer.num_nodes > 1 and has_own_folder:
        raise ConfigError(
            f"trainer.num_nodes={config.trainer.num_nodes}: each node would name the run after its own clock; give "
            "output_dir=PATH, a folder that all nodes reach"
        )


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
OmegaConf.register_new_resolver("initial_weights", initial_weights, replace=True)
for _name, _schema in SCHEMAS.items():
    _node = OmegaConf.structured(_schema)
    OmegaConf.set_struct(_node.data.classes, False)  # its keys are the user's: data.classes={flickr: real}
    ConfigStore.instance().store(name=f"{_name}_schema", node=_node)
