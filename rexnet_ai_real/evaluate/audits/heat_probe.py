"""Tests heat maps on batches of images: probability curves, similarity to random weights, examples."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.evaluate.audits.regions import (
    Regions,
    class_probabilities,
    networks_of,
    ordered,
    predicted_classes,
    probability_curves,
)
from rexnet_ai_real.images.transforms import denormalise
from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.scores import FloatArray, IntArray
from rexnet_ai_real.models.cam import heat_maps, map_weights, scaled

EXACT: Final = "cam"
"""The exact class-activation map, which `explain` shows by default; other methods are those of `cam.METHODS`."""

Order = Literal["heat", "random", "centre"]
Direction = Literal["deletion", "insertion"]

ORDERS: Final[tuple[Order, ...]] = ("heat", "random", "centre")
DIRECTIONS: Final[tuple[Direction, ...]] = ("deletion", "insertion")
SHOWN_SHARE: Final = 0.3
"""Share of the cells that is hidden in the images of an example."""

_RANDOM_DRAWS: Final = 2  # random orders whose curves are averaged: one more halves the variance that chance adds


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An image with the first cells of one order hidden."""

    order: Order
    image: npt.NDArray[np.float32]
    """(H, W, 3), from 0 to 1."""
    probability: float
    """Of the class that is predicted for the untouched image."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image, its heat, and what hiding `SHOWN_SHARE` of its cells does."""

    image: npt.NDArray[np.float32]
    """(H, W, 3), from 0 to 1."""
    heat: npt.NDArray[np.float32]
    """(H, W), from 0 to 1."""
    target: int
    """The predicted class, which the heat speaks for."""
    probability: float
    """Of the target."""
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """What was measured of each image."""

    curves: FloatArray
    """(n, directions, orders, steps + 1): the probability of the predicted class."""
    similarity: FloatArray
    """(n,): rank correlation over the cells with the map of random weights; NaN where one of the maps is flat."""
    examples: tuple[Example, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence["Traces"]) -> "Traces":
        """One after the other."""
        return cls(
            np.concatenate([part.curves for part in parts]),
            np.concatenate([part.similarity for part in parts]),
            tuple(example for part in parts for example in part.examples),
        )


@dataclass(frozen=True, eq=False)
class HeatProbe:
    """A detector whose heat maps are tested, and its networks with random weights."""

    detector: Detector
    untrained: TorchEngine
    method: str
    """`EXACT` or one of `cam.METHODS`."""
    grid: int
    steps: int

    @classmethod
    def of(cls, detector: Detector, images: Tensor, *, method: str, grid: int, steps: int, seed: int) -> "HeatProbe":
        """`images` (N, 3, H, W) are those to which the random networks' batch norms are fitted."""
        engine = networks_of(detector)
        images = images.to(engine.device)
        untrained = tuple(random_weights(network, images, seed) for network in engine.networks)
        return cls(detector, replace(engine, networks=untrained), method, grid, steps)

    def measure(self, images: Tensor, random: np.random.Generator, examples: Iterable[int] = ()) -> Traces:
        """Images (N, 3, H, W), and the rows of those to keep as examples."""
        regions = Regions.of(images, self.grid)
        targets = predicted_classes(self.detector, images)
        maps = heat_of(networks_of(self.detector), images, targets, self.method)
        heat, no_scores = regions.mean_heat(maps), np.zeros((len(images), regions.cells))
        orders: dict[Order, list[IntArray]] = {
            "heat": [ordered(heat, random)],
            "random": [ordered(no_scores, random) for _ in range(_RANDOM_DRAWS)],
            "centre": [ordered(regions.nearness(), random)],
        }
        untouched, hidden = (
            class_probabilities(self.detector, each, targets) for each in (regions.images, regions.hidden)
        )

        def mean_curves(order: Order) -> FloatArray:
            ends = (untouched, hidden)
            drawn = [probability_curves(self.detector, regions, o, targets, self.steps, ends) for o in orders[order]]
            return np.asarray(np.mean(drawn, axis=0))

        untrained = regions.mean_heat(heat_of(self.untrained, images, targets, self.method))
        first = {name: orders[name][0] for name in ORDERS}
        kept = tuple(self._example(regions, first, targets, maps, row) for row in examples)
        curves = np.stack([mean_curves(order) for order in ORDERS], axis=2)
        return Traces(curves, rank_correlation(heat, untrained), kept)

    def _example(
        self,
        regions: Regions,
        orders: dict[Order, IntArray],
        targets: IntArray,
        maps: npt.NDArray[np.float32],
        row: int,
    ) -> Example:
        count = round(SHOWN_SHARE * regions.cells)
        views = [regions.view(order, count)[row] for order in orders.values()]
        images = torch.stack([regions.images[row], *views])
        probabilities = class_probabilities(self.detector, images, np.repeat(targets[row], len(images)))
        shown = denormalise(images, self.detector.preprocessing).permute(0, 2, 3, 1).float().cpu().numpy()
        parts = zip(orders, shown[1:], probabilities[1:].tolist(), strict=True)
        heat = scaled(maps[row : row + 1])[0]
        return Example(shown[0], heat, int(targets[row]), float(probabilities[0]), tuple(View(*part) for part in parts))


def random_weights(network: nn.Module, images: Tensor, seed: int) -> nn.Module:
    """A copy with every layer initialised anew, its batch norms fitted to images (N, 3, H, W).

    Without the fitting, signals would fade on their way through an untrained network and its maps would be flat.
    """
    fresh = copy.deepcopy(network)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
            if isinstance(module, _BatchNorm):
                module.momentum = None  # the statistics of this one pass
        with torch.no_grad():
            # Mirrored too, since batch norm has no variance of one value.
            fresh.train()(torch.cat([images, images.flip(-1)]).contiguous(memory_format=torch.channels_last))
    return fresh.eval()


def rank_correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Spearman's, row by row of (N, cells) and (N, cells); NaN where a row is constant."""
    ranks = [rankdata(values, axis=1) for values in (first, second)]
    centred = [values - values.mean(axis=1, keepdims=True) for values in ranks]
    norms = np.prod([np.linalg.norm(values, axis=1) for values in centred], axis=0)
    products = np.einsum("nc,nc->n", *centred)
    return np.asarray(np.divide(products, norms, out=np.full(len(norms), np.nan), where=norms > 0))


def shown_method(engine: TorchEngine) -> str:
    """How `explain` makes heat for these networks: exactly where that is possible, else by gradients."""
    try:
        for network in engine.networks:
            map_weights(network)
    except ValueError:
        return "gradcam"
    return EXACT


def heat_of(engine: TorchEngine, images: Tensor, targets: IntArray, method: str) -> npt.NDArray[np.float32]:
    """Heat for the targets (N, H, W), zero or more, as `explain` shows it: of several networks the mean map."""
    if method != EXACT:
        maps = [heat_maps(network, images, targets.tolist(), method=method) for network in engine.networks]
        return np.asarray(np.mean(maps, axis=0), dtype=np.float32)
    _, evidence = engine.logits_and_maps_of(images)
    towards = np.maximum(np.where((targets == AI)[:, None, None], evidence, -evidence), 0)
    enlarged = F.interpolate(torch.from_numpy(towards)[:, None], size=images.shape[-2:], mode="bilinear")
    return np.asarray(enlarged[:, 0].numpy(), dtype=np.float32)
