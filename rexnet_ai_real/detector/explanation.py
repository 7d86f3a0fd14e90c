"""The explanation of one image: verdict, heat and metadata; and the scale that heat is shown on."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.verdict import Verdict

EVEN: Final = 2.0
"""Times the share of an even map that the strongest tenth of the positions must hold for heat to point anywhere.

An even map of 49 positions holds 10 % there. Maps of a network after two epochs, on images unlike those that it had
learned from, held 13 to 20 % (38 images): no place stands out. With planted evidence it is 60 % and more."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict, the evidence for one class in the image, and what the file's metadata say."""

    verdict: Verdict
    provenance: str = ""
    """What the metadata say of the image's origin, in one line; empty where the file could not be read."""
    target: int | None = None
    """The class that the heat shows evidence for; None when the image failed."""
    heat: NDArray[np.float32] | None = None
    """(h, w), zero or more, over the spatial positions of what the network saw; None when the image failed."""

    @property
    def greatest(self) -> float:
        """The greatest heat; 0 where nothing speaks for the class."""
        return 0.0 if self.heat is None else float(self.heat.max())

    @property
    def strongest_tenth(self) -> float:
        """Share of all heat that lies in the strongest tenth of the positions; 0 where there is no heat."""
        if self.heat is None or self.greatest <= 0:
            return 0.0
        strongest = np.partition(self.heat.ravel(), -self._tenth)[-self._tenth :]
        return float(strongest.sum(dtype=np.float64) / self.heat.sum(dtype=np.float64))

    @property
    def points_somewhere(self) -> bool:
        """Whether heat stands out anywhere: evidence that is spread evenly must not be painted as if it did."""
        return self.heat is not None and self.strongest_tenth >= EVEN * self._tenth / self.heat.size

    @property
    def _tenth(self) -> int:
        assert self.heat is not None
        return max(1, round(self.heat.size / 10))


@dataclass(frozen=True, slots=True)
class Scale:
    """How heat becomes colour."""

    unit: str
    """Of the heat, in a few words."""
    top: float | None = None
    """The heat that gets the last colour in every image; None: in each image its own greatest."""

    def top_of(self, explanation: Explanation) -> float:
        """The heat that gets the last colour in this image; 0 where there is no heat."""
        return explanation.greatest if self.top is None else self.top

    def positions(self, explanation: Explanation) -> NDArray[np.float32]:
        """The heat of an image that did not fail, from 0 to 1, as it would be painted."""
        assert explanation.heat is not None
        top = self.top_of(explanation)
        return explanation.heat / np.float32(top) if top > 0 else np.zeros_like(explanation.heat)

    def painted(self, explanation: Explanation) -> NDArray[np.float32]:
        """The same; nothing where the evidence points nowhere."""
        positions = self.positions(explanation)
        return positions if explanation.points_somewhere else np.zeros_like(positions)

    @property
    def note(self) -> str:
        """What may be compared."""
        if self.top is None:
            return "Scale of this image alone: its colours do not compare with those of other images"
        return "One scale for all images of this run: the same colour is the same heat"
