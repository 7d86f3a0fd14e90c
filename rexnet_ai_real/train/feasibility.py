"""What cannot work here is refused before any work: processors, optimizer, schedule, batches, the jobs of a sweep."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from rexnet_ai_real.config import ConfigError, TrainConfig, TrainerConfig
from rexnet_ai_real.data.datamodule import ImageDataModule
from rexnet_ai_real.detector.engines.device import best_device
from rexnet_ai_real.train.checks import check_inputs
from rexnet_ai_real.train.classifier import new_classifier
from rexnet_ai_real.train.distillation import check_teacher
from rexnet_ai_real.train.optimizer import new_optimizer
from rexnet_ai_real.train.schedule import Plan, schedule_of

if TYPE_CHECKING:
    from omegaconf import DictConfig


def check_job(composed: "DictConfig") -> None:
    """Stop a sweep before its first job where a job cannot work. Named in conf/train.yaml.

    Raises:
        ConfigError, ModelError: name the key and what is possible.
    """
    from rexnet_ai_real.config.compose import load

    config = load(composed)
    check_settings(config)
    with torch.device("meta"):  # without memory and time for the weights
        new_classifier(replace(config, model=replace(config.model, weights=None, compile=False)))
    check_inputs(config)


def check_settings(config: TrainConfig) -> None:
    """Stop before any work where a setting is impossible here.

    Raises:
        ConfigError: names the key and what is possible.
    """
    check_devices(config.trainer)
    check_optimization(config)
    check_teacher(config)
    if config.model.freeze_epochs and config.trainer.devices * config.trainer.num_nodes > 1:
        raise ConfigError(
            f"model.freeze_epochs={config.model.freeze_epochs}: several devices exchange the gradients of a fixed set "
            "of weights; use model.freeze, or trainer.devices=1"
        )


def check_optimization(config: TrainConfig) -> None:
    """Stop before any work where the optimizer or the schedule is impossible.

    Raises:
        ConfigError: names the key and what is possible.
    """
    new_optimizer(replace(config.optimizer, layer_decay=1.0), torch.nn.Linear(1, 1))  # of one layer
    schedule_of(config.schedule)
    if not config.resume:
        plan = Plan.of_new_run(config.schedule, config.trainer.max_epochs)
        plan.check(config.schedule, config.trainer.max_epochs, resumed=False)


def check_batches(config: TrainConfig, data: ImageDataModule) -> None:
    """Stop where a share of the batches is none, or validation would never come.

    Raises:
        ConfigError: names the key and how many batches there are.
    """
    settings = config.trainer
    batches = {part: math.ceil(len(data.rows(part)) / config.data.batch_size) for part in ("train", "val", "test")}
    limits: dict[str, tuple[int | float | None, int]] = {
        "limit_train_batches": (settings.limit_train_batches, batches["train"]),
        "limit_val_batches": (settings.limit_val_batches, batches["val"]),
        "limit_test_batches": (settings.limit_test_batches, batches["test"]),
        "overfit_batches": (settings.overfit_batches, min(batches["train"], batches["val"])),
    }
    for key, (limit, there) in limits.items():
        if isinstance(limit, float) and limit * there < 1:
            raise ConfigError(
                f"trainer.{key}={limit}: less than one of the {there} batches; expected {1 / there:.2g} or more, or "
                "a whole number of batches"
            )
    limit, epoch = settings.limit_train_batches, batches["train"]
    epoch = epoch if limit is None else min(epoch, limit if isinstance(limit, int) else int(epoch * limit))
    interval = settings.val_check_interval
    if isinstance(interval, int) and interval > epoch:
        raise ConfigError(f"trainer.val_check_interval={interval}: an epoch has {epoch} batches; expected at most that")


def check_devices(settings: TrainerConfig) -> None:
    """Stop before any work where the requested processors are missing.

    Raises:
        ConfigError: names the key and what this machine has.
    """
    found = best_device(settings.accelerator).type
    wanted = {"gpu": ("cuda", "mps"), "mps": ("mps",)}.get(settings.accelerator, (found,))
    if found not in wanted:
        raise ConfigError(
            f"trainer.accelerator={settings.accelerator}: PyTorch finds none here; trainer=cpu trains without"
        )
    count = {"cuda": torch.cuda.device_count(), "mps": 1}.get(found, settings.devices)  # the CPU takes any number
    if settings.devices > count:
        raise ConfigError(f"trainer.devices={settings.devices}: this machine has {count}")
