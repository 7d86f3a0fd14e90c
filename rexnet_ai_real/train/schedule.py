"""How the learning rate moves from step to step: one entry per schedule, a function of the progress of the run."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rexnet_ai_real.config import ConfigError, ScheduleConfig

Schedule = Callable[[float, ScheduleConfig], float]
"""Progress from 0 (first step) to 1 (last step) -> factor on `optimizer.lr`."""


def one_cycle(progress: float, config: ScheduleConfig) -> float:
    """From lr up to div_factor * lr, then down to zero (Smith & Topin 2018)."""
    if progress < config.pct_start:
        return _cosine(1.0, config.div_factor, progress / config.pct_start)
    return _cosine(config.div_factor, 0.0, (progress - config.pct_start) / (1 - config.pct_start))


def cosine(progress: float, config: ScheduleConfig) -> float:
    """From lr down to zero."""
    return _cosine(1.0, 0.0, progress)


def constant(progress: float, config: ScheduleConfig) -> float:
    """Always lr."""
    return 1.0


def plateau(progress: float, config: ScheduleConfig) -> float:
    """From lr down by `reduce` where the validation loss no longer falls (`patience`).

    That does not follow from the progress: PyTorch's ReduceLROnPlateau does it, and planned is lr throughout.
    """
    return 1.0


SCHEDULES: Final[dict[str, Schedule]] = {
    "one_cycle": one_cycle,
    "cosine": cosine,
    "constant": constant,
    "plateau": plateau,
}
"""By `schedule.name`."""
MONITOR: Final = "val/loss"
"""What the best checkpoint, early stopping and the plateau go by."""


def schedule_of(config: ScheduleConfig) -> Schedule:
    """The schedule that the settings name.

    Raises:
        ConfigError: there is none of this name.
    """
    if config.name not in SCHEDULES:
        raise ConfigError(f"schedule.name={config.name}: expected one of {', '.join(SCHEDULES)}")
    return SCHEDULES[config.name]


def learning_rate_factor(step: int, steps: int, config: ScheduleConfig) -> float:
    """The factor on the learning rate at `step` of `steps`, both counted in batches.

    After the last step it stays as it is.
    """
    return schedule_of(config)(min(step / max(steps - 1, 1), 1.0), config)


@dataclass(frozen=True, slots=True)
class Plan:
    """The epochs that a schedule spans, counted from 1: from `first` to `last`. Kept in every checkpoint."""

    first: int
    last: int

    @classmethod
    def of_new_run(cls, config: ScheduleConfig, max_epochs: int) -> "Plan":
        """All epochs of a run that begins; more where `schedule.epochs` says that it will be longer."""
        return cls(1, config.epochs or max_epochs)

    @classmethod
    def of_checkpoint(cls, checkpoint: Mapping[str, Any]) -> "Plan":
        """The plan that a run kept.

        Raises:
            ConfigError: the checkpoint holds none.
        """
        if "schedule_plan" not in checkpoint:
            raise ConfigError("resume: this checkpoint does not say how its learning rate was planned; begin a new run")
        return cls(**checkpoint["schedule_plan"])

    def continued(self, config: ScheduleConfig, trained: int, max_epochs: int) -> "Plan":
        """The plan of a run that is resumed after `trained` epochs, by `schedule.on_resume`."""
        if config.on_resume == "keep":
            return self
        return Plan(trained + 1 if config.on_resume == "restart" else self.first, max_epochs)

    def factor(self, step: int, steps_per_epoch: int, config: ScheduleConfig) -> float:
        """The factor on the learning rate at a step, counted in batches from the beginning of the run."""
        epochs = self.last - self.first + 1
        return learning_rate_factor(step - (self.first - 1) * steps_per_epoch, epochs * steps_per_epoch, config)

    def check(self, config: ScheduleConfig, max_epochs: int, *, resumed: bool) -> None:
        """Stop before epochs that could learn nothing, because the learning rate is zero by then.

        Raises:
            ConfigError: the schedule ends at zero before the run does.
        """
        if max_epochs <= self.last or schedule_of(config)(1.0, config) > 0:
            return
        if not resumed:
            raise ConfigError(
                f"schedule.epochs={config.epochs}: {config.name} reaches a learning rate of zero with epoch "
                f"{self.last}, and trainer.max_epochs={max_epochs}; use {max_epochs} or more, or null"
            )
        raise ConfigError(
            f"trainer.max_epochs={max_epochs}: this run was planned for {self.last} epochs, after which its learning "
            f"rate is zero (schedule.name={config.name}). Say how it goes on: schedule.on_resume=restart (the schedule "
            f"begins again and ends with epoch {max_epochs}) or schedule.on_resume=stretch (from here on the rate of a "
            f"run of {max_epochs} epochs). For a run that grows later, plan its length: schedule.epochs={max_epochs}"
        )


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
