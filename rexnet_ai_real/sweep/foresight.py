"""Every job of a multirun is checked before the first one starts: an impossible value must not show up hours later."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from rexnet_ai_real.errors import UserError

MOST: Final = 200
"""Combinations that are all checked, at a tenth of a second each; of a larger sweep, every value once."""


class ImpossibleJob(UserError, ValueError):
    """A job of the multirun cannot work. The message names the value and says that nothing was started."""


def check_jobs(config: DictConfig, check: Callable[[DictConfig], object]) -> None:
    """Compose the settings of every job and check them.

    Args:
        config: of the multirun, as Hydra gives it to callbacks.
        check: takes the settings of one job.

    Raises:
        ImpossibleJob: Hydra cannot compose them, or the check raised a UserError.
    """
    params = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}), resolve=True)
    named: dict[Any, Any] = dict(params) if isinstance(params, dict) else {}
    typed = [f"{key}={value}" for key, value in named.items()] + list(config.hydra.overrides.task)
    parsed = OverridesParser.create().parse_overrides(typed)
    overrides = {override.get_key_element(): override for override in parsed}  # the command line comes last and wins
    loader = GlobalHydra.instance().config_loader()
    for chosen in combinations([values(override) for override in overrides.values()]):
        try:
            check(_without_hydra(loader.load_sweep_config(config, list(chosen))))
        except (HydraException, UserError) as error:
            swept = [text for text, o in zip(chosen, overrides.values(), strict=True) if o.is_sweep_override()]
            of_hydra = isinstance(error, HydraException) and error.__cause__  # says more in its first line
            reason = str(of_hydra or error).partition("\n")[0]
            raise ImpossibleJob(f"No job was started, since {' '.join(swept)} cannot work: {reason}") from error


def _without_hydra(composed: DictConfig) -> DictConfig:
    """The settings as a job gets them."""
    OmegaConf.set_readonly(composed, False)
    with open_dict(composed):
        del composed["hydra"]
    return composed


def values(override: Override) -> list[str]:
    """The overrides that a sweep stands for, one a job; of an interval its two ends."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        return [f"{key}={end}" for end in (sweep.start, sweep.end)]
    return [f"{key}={value}" for value in override.sweep_iterator(transformer=Transformer.encode)]


def combinations(choices: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """All combinations, or, where these are more than MOST, every choice once, beside the first of the others."""
    count = 1
    for choice in choices:
        count *= len(choice)
    if count <= MOST:
        yield from itertools.product(*choices)
        return
    first = tuple(choice[0] for choice in choices)
    yield first
    for position, choice in enumerate(choices):
        for value in choice[1:]:
            yield (*first[:position], value, *first[position + 1 :])
