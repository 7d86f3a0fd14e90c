"""Every setting of an experiment: its type, default, meaning and rule. Importing this imports no Hydra."""

from typing import TYPE_CHECKING, Any

from rexnet_ai_real.config.evaluation import OWN, THRESHOLDS, WORST_TIER, EvaluateConfig, EvaluationDataConfig
from rexnet_ai_real.config.rules import ConfigError
from rexnet_ai_real.config.schema import (
    SOURCES,
    AugmentConfig,
    AveragingConfig,
    DataConfig,
    DistillConfig,
    EarlyStoppingConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    PairsConfig,
    ScheduleConfig,
    SyntheticConfig,
    TrainConfig,
    TrainerConfig,
    all_settings,
    differing_keys,
    preprocessing_of,
    to_plain,
)

if TYPE_CHECKING:
    from rexnet_ai_real.config.compose import load, load_evaluation

__all__ = [
    "OWN",
    "SOURCES",
    "THRESHOLDS",
    "WORST_TIER",
    "AugmentConfig",
    "AveragingConfig",
    "ConfigError",
    "DataConfig",
    "DistillConfig",
    "EarlyStoppingConfig",
    "EvaluateConfig",
    "EvaluationDataConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PairsConfig",
    "ScheduleConfig",
    "SyntheticConfig",
    "TrainConfig",
    "TrainerConfig",
    "all_settings",
    "differing_keys",
    "load",
    "load_evaluation",
    "preprocessing_of",
    "to_plain",
]


def __getattr__(name: str) -> Any:
    """`load` and `load_evaluation` need Hydra, so they are imported when they are asked for."""
    if name not in ("load", "load_evaluation"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rexnet_ai_real.config import compose

    return getattr(compose, name)
