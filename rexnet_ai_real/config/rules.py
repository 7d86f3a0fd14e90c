"""The values that a setting may have, written beside it: `lr: float = field(default=3e-4, metadata=above(0))`."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from rexnet_ai_real.errors import UserError


class ConfigError(UserError, ValueError):
    """A setting that cannot work. The message names the key, the value found and the values possible."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for a possible value, and the same in words."""

    holds: Callable[[Any], bool]
    expected: str


Metadata = dict[str, Rule]
"""Of a dataclass field."""


def rule(holds: Callable[[Any], bool], expected: str) -> Metadata:
    """A rule of its own; a value of null passes where the field may be null."""
    return {"rule": Rule(holds, expected)}


def one_of(*choices: str) -> Metadata:
    """Any of these words."""
    return rule(lambda value: value in choices, "one of " + ", ".join(choices))


def at_least(low: float) -> Metadata:
    """`low` or more."""
    return rule(lambda value: value >= low, f"{low} or more")


def above(low: float) -> Metadata:
    """More than `low`."""
    return rule(lambda value: value > low, f"a number above {low}")


def inside(low: float, high: float) -> Metadata:
    """Between the two, without them."""
    return rule(lambda value: low < value < high, f"a number between {low} and {high}")


def between(low: int, high: int, unit: str) -> Metadata:
    """From `low` to `high`, both included."""
    return rule(lambda value: low <= value <= high, f"a number from {low} to {high} ({unit})")


PROBABILITY = rule(lambda value: 0 <= value <= 1, "a number from 0 to 1")
BELOW_ONE = rule(lambda value: 0 <= value < 1, "a number from 0 up to, but not including, 1")
BATCHES = rule(
    lambda value: value >= 1 if isinstance(value, int) else 0 < value <= 1,
    "a whole number of batches (10), or a share of them above 0 and up to 1 (0.1; 1.0 is all, 1 is one batch)",
)
SEED = rule(lambda value: 0 <= value < 2**32, "a whole number from 0 to 4294967295")


def check_rules(config: Any) -> None:
    """Stop at the first value in nested dataclasses that breaks its rule.

    Raises:
        ConfigError: names the key, the value found and what is possible.
    """
    for key, value, its_rule in _judged(config):
        numbers = value if isinstance(value, list) else [value]
        finite = all(math.isfinite(number) for number in numbers if isinstance(number, float))
        if not finite or not its_rule.holds(value):
            raise ConfigError(f"{key}={value}: expected {its_rule.expected}")


def _judged(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Rule]]:
    """Key, value and rule of every field that has a rule and a value."""
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            yield from _judged(value, f"{prefix}{f.name}.")
        elif value is not None and "rule" in f.metadata:
            yield prefix + f.name, value, f.metadata["rule"]
