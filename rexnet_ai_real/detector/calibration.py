"""The operating point stored with a detector: temperature, threshold, unsure band, and what they promise.

How it is fitted is the evaluation's business (`evaluate.calibration`), so that a detector needs none of that code.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

NEVER_AI = math.nextafter(1.0, 2.0)
"""An upper end of the unsure band that no probability reaches."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become verdicts. All probabilities are P(AI-generated) after the temperature."""

    temperature: float
    """P(AI) = sigmoid(logit / temperature) (Guo et al. 2017)."""
    threshold: float
    """At or above it an image is called AI, where "unsure" is no allowed answer."""
    threshold_rule: str
    """How the threshold was chosen and what it guarantees, in words."""
    unsure_low: float
    """Below it an image is called real."""
    unsure_high: float
    """At or above it an image is called AI; between the two it is "unsure". Without a band both are the threshold."""
    coverage: float
    """Share of the images used for fitting that is answered."""
    error_target: float | None
    """Promised largest error rate among answered images; None: no band was asked for."""
    confidence: float | None
    """With which the promise holds, over the drawing of the images used for fitting."""
    band_rule: str
    """What is promised of the answered images and on how many images it rests, in words."""
    n_real: int
    """Real images used for fitting."""
    n_ai: int
    notes: tuple[str, ...] = ()
    """Cautions for the reader of a report."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be an operating point."""
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"a temperature must be positive and finite, got {self.temperature}")
        if not 0 <= self.unsure_low <= self.threshold <= self.unsure_high <= NEVER_AI:
            raise ValueError(
                f"expected 0 <= unsure_low <= threshold <= unsure_high, got {self.unsure_low}, {self.threshold}, "
                f"{self.unsure_high}"
            )

    def probabilities(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Logits of any shape -> calibrated P(AI) of the same shape."""
        # 1 / (1 + exp(-x)) without overflow, and exact to the last digits near 0.
        return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(logits, dtype=np.float64) / self.temperature)))

    def decide(self, probabilities: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """Calibrated P(AI), any shape -> "ai", "real" or "unsure" of the same shape.

        Raises:
            ValueError: a probability that is NaN or outside 0 to 1.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        if not np.all((p >= 0) & (p <= 1)):
            raise ValueError("probabilities must lie between 0 and 1 and not be NaN; pass `probabilities(logits)`")
        return np.where(p >= self.unsure_high, "ai", np.where(p < self.unsure_low, "real", "unsure"))

    def plain(self) -> dict[str, Any]:
        """Numbers, strings and one list, for JSON or a checkpoint."""
        return asdict(self) | {"notes": list(self.notes)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Calibration":
        """The inverse of `plain`.

        Raises:
            ValueError: keys that are missing or unknown, numbers that are not.
        """
        names = {field.name for field in fields(cls)}
        missing, unknown = sorted(names - set(plain)), sorted(set(plain) - names)
        if missing or unknown:
            raise ValueError(
                f"not a stored calibration: missing {', '.join(missing) or 'nothing'}, "
                f"unknown {', '.join(unknown) or 'nothing'}"
            )
        for name in ("temperature", "threshold", "unsure_low", "unsure_high", "coverage"):
            if isinstance(plain[name], bool) or not isinstance(plain[name], int | float):
                raise ValueError(f"{name} in a stored calibration must be a number, got {plain[name]!r}")
        return cls(**{**plain, "notes": tuple(plain["notes"])})
