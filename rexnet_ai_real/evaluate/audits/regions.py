"""Regions of images, orders in which to look at them, and the class probability as they are hidden one by one.

Region deletion and insertion (Petsiuk et al. 2018, RISE), with two choices of our own. What is hidden is blurred, in
both directions: blank cells have edges and colours that no photograph has, and a detector of synthetic images may take
these for evidence. And regions are cells of a grid rather than pixels, since the final feature map has only 7 x 7
spatial positions.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine, require_torch
from rexnet_ai_real.labels import AI, REAL

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regions:
    """A grid of cells laid over images, and the images with all of their cells hidden."""

    images: Tensor
    """(N, 3, H, W), normalised."""
    hidden: Tensor
    """The same, blurred."""
    cell_of: Tensor
    """(H, W): the number of the cell, row by row, that a pixel lies in."""
    grid: int
    """Cells along each side."""

    @classmethod
    def of(cls, images: Tensor, grid: int) -> "Regions":
        """Lay a grid over images.

        Raises:
            ValueError: fewer pixels than cells along a side.
        """
        height, width = images.shape[-2:]
        if not 2 <= grid <= min(height, width):
            raise ValueError(f"grid={grid}: expected 2 to {min(height, width)} cells along the side of these images")
        rows, columns = (torch.arange(side) * grid // side for side in (height, width))
        # Half a cell: what lies within a cell is averaged away, while the light and dark of the image stay.
        sigma = min(height, width) / grid / 2
        return cls(images, blurred(images, sigma), rows[:, None] * grid + columns, grid)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.grid**2

    def mean_heat(self, maps: npt.NDArray[np.float32]) -> Array:
        """Heat maps (N, H, W) -> mean heat of each cell (N, cells)."""
        cell_of = self.cell_of.reshape(-1).numpy()
        flat = maps.reshape(len(maps), -1).astype(np.float64)
        sums = np.stack([np.bincount(cell_of, heat, minlength=self.cells) for heat in flat])
        return np.asarray(sums / np.bincount(cell_of, minlength=self.cells))

    def nearness(self) -> Array:
        """How near to the middle each cell lies, (N, cells): the prior of photographers, who centre what matters."""
        centre = (self.grid - 1) / 2
        row, column = np.divmod(np.arange(self.cells), self.grid)
        return np.tile(-np.hypot(row - centre, column - centre), (len(self.images), 1))

    def view(self, order: npt.NDArray[np.int64], count: int, *, insertion: bool = False) -> Tensor:
        """The first `count` cells in `order` (N, cells) hidden; with insertion, all others hidden."""
        first = torch.from_numpy(np.argsort(order, axis=1) < count)[:, self.cell_of][:, None]
        return torch.where(first ^ insertion, self.hidden, self.images)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of images (N, C, H, W), cut at three sigma, mirrored at the edges.

    Down the columns, then along the rows: torchvision's one kernel of 97 x 97 takes 7 times as long (0.14 s an image).
    """
    reach = min(math.ceil(3 * sigma), *(side - 1 for side in images.shape[-2:]))  # reflection padding allows no more
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2)
    kernel = (weights / weights.sum()).view(1, 1, -1, 1)
    padded = F.pad(images, [reach] * 4, mode="reflect").flatten(0, 1)[:, None]
    return F.conv2d(F.conv2d(padded, kernel), kernel.mT).view_as(images)


def ordered(scores: Array, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Cells (N, cells) from the highest score to the lowest; ties, as in an empty heat map, in random order."""
    tie_breaker = random.random(scores.shape)
    return np.asarray(np.lexsort((tie_breaker, -scores), axis=-1), dtype=np.int64)


def networks_of(detector: Detector) -> TorchEngine:
    """The networks in PyTorch, which regions and heat maps are tested on.

    Raises:
        UserError: the detector is an exported graph.
    """
    return require_torch(detector.engine, "The test of heat maps")


def class_probabilities(detector: Detector, images: Tensor, targets: npt.NDArray[np.int64]) -> Array:
    """Calibrated probability of one class per image, (N,).

    Raises:
        ValueError: the detector gives logits that are not finite.
    """
    logits = networks_of(detector).logits_of(images).double().numpy()
    if not np.isfinite(logits).all():
        raise ValueError("the detector gives logits that are not finite: look at its weights and at its precision")
    return detector.calibration.probabilities(np.where(targets == AI, logits, -logits))


def predicted_classes(detector: Detector, images: Tensor) -> npt.NDArray[np.int64]:
    """The class that the threshold gives each image, (N,): the one whose heat `explain` shows."""
    probabilities = detector.calibration.probabilities(np.nan_to_num(networks_of(detector).logits_of(images).numpy()))
    return np.where(probabilities >= detector.calibration.threshold, AI, REAL).astype(np.int64)


def probability_curves(
    detector: Detector,
    regions: Regions,
    order: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    steps: int,
    ends: tuple[Array, Array],
) -> Array:
    """The probability of the target class while cells are deleted and while they are inserted, (N, 2, steps + 1).

    `ends` are the probabilities (N,) of the untouched and of the wholly hidden images, the same for every order.
    """
    counts = np.rint(np.linspace(0, regions.cells, steps + 1)).astype(int).tolist()[1:-1]
    between = [
        [class_probabilities(detector, regions.view(order, count, insertion=insertion), targets) for count in counts]
        for insertion in (False, True)
    ]
    untouched, hidden = ends
    return np.stack([[untouched, *between[0], hidden], [hidden, *between[1], untouched]]).transpose(2, 0, 1)
