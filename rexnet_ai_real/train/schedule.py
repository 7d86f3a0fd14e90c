"""How the learning rate moves from step to step: one entry per schedule, a function of the progress of the run."""

import math
from collections.abc import Callable
from typing import Final

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


SCHEDULES: Final[dict[str, Schedule]] = {"one_cycle": one_cycle, "cosine": cosine, "constant": constant}
"""By `schedule.name`."""


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

    It depends on the progress alone, so that a resumed run may be longer than first planned.
    """
    return schedule_of(config)(min(step / max(steps - 1, 1), 1.0), config)


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
