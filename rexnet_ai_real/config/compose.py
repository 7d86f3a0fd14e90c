"""From conf/ to settings: registers the schemas with Hydra and turns what it composed into plain dataclasses.

Import this module before Hydra composes anything: conf/train.yaml and conf/evaluate.yaml begin with these schemas.
"""

from pathlib import Path
from typing import TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from rexnet_ai_real.config.evaluation import EvaluateConfig
from rexnet_ai_real.config.rules import ConfigError, check_rules
from rexnet_ai_real.config.schema import DataConfig, TrainConfig

Settings = TypeVar("Settings", TrainConfig, EvaluateConfig)


def load(composed: DictConfig) -> TrainConfig:
    """The settings of a training run, as composed from train.yaml.

    Raises:
        ConfigError: a value is missing or impossible.
    """
    config = _plain(composed, TrainConfig)
    check_rules(config)
    _check_split(config.data)
    return config


def load_evaluation(composed: DictConfig) -> EvaluateConfig:
    """The settings of a report, as composed from evaluate.yaml.

    Raises:
        ConfigError: a value is missing or impossible.
    """
    config = _plain(composed, EvaluateConfig)
    check_rules(config)
    return config


def run_folder(resume: str | None, fresh: str) -> str:
    """Where a run goes: the run to resume, named by its folder or a checkpoint in it, or else a fresh folder."""
    if not resume:
        return fresh
    return str(Path(resume).parent.parent) if resume.endswith(".ckpt") else resume


def _plain(composed: DictConfig, schema: type[Settings]) -> Settings:
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError(f"{', '.join(missing)}: no value given")
    config = OmegaConf.to_object(composed)
    if not isinstance(config, schema):
        raise TypeError(f"expected settings composed by {schema.__name__}, got {type(config).__name__}")
    config.data.classes = {str(name): word for name, word in config.data.classes.items()}  # {0: real} has a number
    return config


def _check_split(data: DataConfig) -> None:
    """Settings that are possible alone, but not together."""
    if data.fold is not None and not 0 <= data.fold < data.folds:
        raise ConfigError(f"data.fold={data.fold}: folds are numbered 0 to {data.folds - 1} (data.folds={data.folds})")
    if data.val_fraction + data.test_fraction >= 1:
        raise ConfigError(
            f"data.val_fraction={data.val_fraction} and data.test_fraction={data.test_fraction}: "
            "together they must be below 1, or nothing is left to train on"
        )


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
for _name, _schema in {"train_schema": TrainConfig, "evaluate_schema": EvaluateConfig}.items():
    _node = OmegaConf.structured(_schema)
    OmegaConf.set_struct(_node.data.classes, False)  # its keys are the user's: data.classes={flickr: real}
    ConfigStore.instance().store(name=_name, node=_node)
