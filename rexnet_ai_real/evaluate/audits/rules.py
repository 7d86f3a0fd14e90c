"""The strongest rule of one or two conditions on file facts, in words: a shortcut that a detector may have learned."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.labels import AI, LABELS, REAL, Label

_CUTS = 24  # thresholds tried per number: its 24 inner quantiles
_COMMON = 0.02  # share of the images that must have a value for "is" and "is not" to be tried
_WORTH_A_CONDITION = 0.02  # balanced accuracy that a second condition must add


@dataclass(frozen=True)
class Feature:
    """One fact of n files: numbers (float, NaN where the format lacks the fact), flags (bool) or names (str)."""

    name: str
    values: NDArray[Any]

    def __getitem__(self, rows: NDArray[Any]) -> "Feature":
        return Feature(self.name, self.values[rows])

    @property
    def varies(self) -> bool:
        """Whether any two files differ in it."""
        values = self.values
        return len(values) > 1 and not bool(
            np.all((values == values[0]) | ((values != values) & (values[0] != values[0])))
        )


@dataclass(frozen=True)
class Condition:
    """A comparison of one feature with one value. A missing number meets no condition."""

    feature: str
    relation: str
    value: float | bool | str

    def holds(self, feature: Feature) -> NDArray[np.bool_]:
        """Which of the n files meet it."""
        values = feature.values
        held: NDArray[np.bool_]
        match self.relation:
            case "<=":
                held = values <= self.value
            case ">":
                held = values > self.value
            case "is not":
                held = (values != self.value) & (
                    values == values
                )  # NaN, which differs from itself, is no "other value"
            case _:
                held = values == self.value
        return held

    @property
    def words(self) -> str:
        """Such as "width > 1024", "container is PNG", "square" or "not progressive"."""
        if isinstance(self.value, bool):
            return self.feature if self.value else f"not {self.feature}"
        value = f"{self.value:.6g}" if isinstance(self.value, float) else self.value or "unknown"
        return f"{self.feature} {self.relation} {value}"


@dataclass(frozen=True)
class Rule:
    """Says one class where all conditions hold and the other class where they do not."""

    conditions: tuple[Condition, ...]
    says: Label

    @property
    def words(self) -> str:
        """Such as "container is PNG and width <= 1024: says AI"."""
        conditions = " and ".join(condition.words for condition in self.conditions)
        return f"{conditions}: says {'AI' if self.says == 'ai' else 'real'}"

    def fires(self, features: Sequence[Feature]) -> NDArray[np.bool_]:
        """Which of the n files meet every condition."""
        by_name = {feature.name: feature for feature in features}
        held = [condition.holds(by_name[condition.feature]) for condition in self.conditions]
        return np.asarray(np.logical_and.reduce(held), dtype=bool)

    def predict(self, features: Sequence[Feature]) -> NDArray[np.int64]:
        """The class of each of the n files, 0 or 1."""
        return np.where(self.fires(features), LABELS.index(self.says), 1 - LABELS.index(self.says))


def strongest_rule(features: Sequence[Feature], labels: NDArray[np.int64]) -> Rule | None:
    """The rule of at most two conditions with the best balanced accuracy on these files; None where no feature varies.

    Every pair is tried, so the best one looks better here than it is: measure it on files that were not searched.
    """
    conditions = [condition for feature in features for condition in _conditions(feature)]
    if not conditions:
        return None
    by_name = {feature.name: feature for feature in features}
    held = np.stack([condition.holds(by_name[condition.feature]) for condition in conditions], axis=1)
    # rates[label][i, j]: share of the class on which conditions i and j both hold; the diagonal has the single ones.
    rates = {}
    for label in (REAL, AI):
        rows = held[labels == label].astype(np.float32)
        rates[label] = rows.T @ rows / max(len(rows), 1)
    gain = np.abs(rates[AI] - rates[REAL])
    single, pair = int(gain.diagonal().argmax()), np.unravel_index(int(gain.argmax()), gain.shape)
    chosen = (single, single) if gain[pair] - gain[single, single] < 2 * _WORTH_A_CONDITION else pair
    unique = tuple(conditions[index] for index in dict.fromkeys(int(index) for index in chosen))
    return Rule(unique, "ai" if rates[AI][chosen] > rates[REAL][chosen] else "real")


def _conditions(feature: Feature) -> Iterator[Condition]:
    """The comparisons worth trying. No labels are used."""
    values = feature.values
    if not feature.varies:
        return
    if values.dtype == bool:
        yield from (Condition(feature.name, "is", answer) for answer in (True, False))
        return
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    distinct, counts = np.unique(known, return_counts=True)
    for value in distinct[counts >= max(2, _COMMON * len(values))].tolist():
        yield Condition(feature.name, "is", value)
        yield Condition(feature.name, "is not", value)
    if values.dtype.kind == "f":
        for cut in np.unique(np.quantile(known, np.linspace(0, 1, _CUTS + 2)[1:-1], method="lower")).tolist():
            yield Condition(feature.name, "<=", cut)
            yield Condition(feature.name, ">", cut)
