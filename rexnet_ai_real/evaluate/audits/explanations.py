"""Whether heat maps say where the detector looks: deletion and insertion against two priors, and a random network.

A map that explains the detector finds the decisive regions better than chance, and better than the guess that they lie
in the middle. And the map of a network with random weights looks different (Adebayo et al. 2018, "Sanity checks for
saliency maps"): where it does not, maps show the edges of images, whatever was learned.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.evaluate.audits.heat_probe import (
    DIRECTIONS,
    EXACT,
    ORDERS,
    Direction,
    Example,
    HeatProbe,
    Order,
    Traces,
    shown_method,
)
from rexnet_ai_real.evaluate.audits.regions import networks_of
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval, resampling_weights
from rexnet_ai_real.metrics.scores import FloatArray, IntArray
from rexnet_ai_real.models.cam import METHODS
from rexnet_ai_real.progress import progress_bar

PRIORS: Final[tuple[Order, ...]] = ("random", "centre")
ALIKE: Final = 0.5
"""Rank correlation from which on maps share a quarter of the variance of their ranks: too much for random weights."""

SIZES: Final = ((0.1, "slightly"), (0.3, "moderately"), (math.inf, "much"))
"""Words for the smallest advantage as a share of the largest possible: below 10 %, below 30 %, and from there on."""

_NAMES: Final = {"random": "random order", "centre": "order from the centre"}


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The mean probability of the predicted class while cells are hidden or shown in one order."""

    direction: Direction
    order: Order
    mean: FloatArray
    """(steps + 1,), at the shares of the audit."""
    low: FloatArray
    high: FloatArray
    area: Estimate
    """Under the curve: low is good in deletion, high in insertion."""
    advantage: Estimate | None
    """By how much the area of the heat maps is better than this one's (paired); above zero they win. None for heat."""


@dataclass(frozen=True, slots=True, eq=False)
class ExplanationAudit:
    """What `evaluate_explanations` found."""

    n: int
    n_groups: int
    method: str
    grid: int
    shares: FloatArray
    """(steps + 1,) of the cells hidden or shown, 0 to 1."""
    curves: tuple[Curve, ...]
    """One for each direction and order."""
    effect: Estimate
    """By how much blurring the whole image lowers P(predicted class): the largest effect that any order can have."""
    similarity: Estimate
    """Mean rank correlation over the cells between the maps of the network and of one with random weights."""
    examples: tuple[Example, ...]

    def curve(self, direction: Direction, order: Order) -> Curve:
        """One of the curves."""
        return next(each for each in self.curves if (each.direction, each.order) == (direction, order))

    def advantages(self, prior: Order) -> dict[Direction, Estimate]:
        """By how much the heat maps are better than a prior, above zero; undefined for themselves."""
        found = {direction: self.curve(direction, prior).advantage for direction in DIRECTIONS}
        return {direction: advantage for direction, advantage in found.items() if advantage is not None}

    def beats(self, prior: Order) -> bool:
        """Whether the heat maps are shown to be better than a prior: in both directions the interval is above zero."""
        return all(advantage.low > 0 for advantage in self.advantages(prior).values())

    @property
    def share(self) -> float:
        """The smallest advantage over a prior, as a share of the largest that any order could have; NaN without one.

        The largest is `effect`: an order cannot do more than take all of it away with the first cell.
        """
        smallest = min(each.value for prior in PRIORS for each in self.advantages(prior).values())
        return smallest / self.effect.value if self.effect.value > 0 else math.nan

    @property
    def depends_on_weights(self) -> bool:
        """Whether maps of random weights are shown to differ from the network's."""
        return self.similarity.high < ALIKE

    @property
    def finding(self) -> str:
        """In plain words."""
        lost = [prior for prior in PRIORS if not self.beats(prior)]
        if not self.effect.low > 0:
            answer = "Whether the heat maps explain anything cannot be told: blurring whole images changes no verdict."
        elif lost:
            names = " or ".join(_NAMES[prior] for prior in lost)
            answer = f"The heat maps are not shown to beat {names}: do not read them as explanations."
        elif not self.depends_on_weights:
            answer = "The heat maps beat both priors, but are not shown to differ from those of random weights."
        else:
            size = next(words for limit, words in SIZES if self.share < limit)
            answer = (
                f"The heat maps find what the detector uses {size} better than a guess: by at least {self.share:.0%} "
                "of what is possible."
            )
        compared = "; ".join(
            f"over {_NAMES[prior]} " + ", ".join(f"{d} {_signed(a)}" for d, a in self.advantages(prior).items())
            for prior in PRIORS
        )
        return (
            f"{answer} Their advantage in the mean probability of the predicted class ({self.n} images, "
            f"{self.method}, {self.grid} x {self.grid} cells): {compared}. Blurring whole images lowers that "
            f"probability by {self.effect}, the largest possible effect. Rank correlation with the maps of random "
            f"weights: {self.similarity}."
        )

    def plain(self) -> dict[str, object]:
        """For JSON: settings, curves, areas, advantages, the finding."""
        curves = [
            {
                "direction": each.direction,
                "order": each.order,
                **{name: getattr(each, name).tolist() for name in ("mean", "low", "high")},
                "area": each.area.plain(),
                "advantage": each.advantage.plain() if each.advantage else None,
            }
            for each in self.curves
        ]
        settings = {name: getattr(self, name) for name in ("n", "n_groups", "method", "grid")}
        share = None if math.isnan(self.share) else self.share
        measured = {"effect": self.effect.plain(), "share": share, "similarity": self.similarity.plain()}
        return settings | {"shares": self.shares.tolist(), "curves": curves} | measured | {"finding": self.finding}


def evaluate_explanations(
    images: Iterable[Tensor],
    groups: npt.ArrayLike,
    detector: Detector | Sequence[Detector],
    *,
    method: str | None = None,
    grid: int = 7,
    steps: int = 10,
    batch_size: int = 16,
    examples: int = 3,
    resamples: int = 2000,
    seed: int = 0,
    progress: bool = True,
) -> ExplanationAudit:
    """Deletion and insertion along the heat maps that `explain` shows, in random order and from the centre.

    What is explained is the class that the detector predicts, right or wrong. With 10 steps each image takes 77
    passes of a network.

    Args:
        images: (3, H, W) each, by the detector's preprocessing; read once, in order.
        groups: (n,) numbers or names of near-duplicate groups, for the bootstrap.
        detector: of all images, or one for each image, as in a cross-validation, those of one detector in a row.
            The heat map of several networks is the mean of their maps.
        method: "cam", the exact map, or one of `cam.METHODS`; None: the one that `explain` shows for these networks.
        grid: cells along each side; 7 are the spatial positions of ReXNet's final map at 224 px.
        steps: from the untouched to the blurred image, at least 2.
        batch_size: images that go through the network together.
        examples: how many images are kept for a figure, drawn at random.
        resamples: of the bootstrap by group.
        seed: of the random orders, the random weights, the bootstrap and the examples.
        progress: show a bar on stderr.

    Raises:
        ValueError: no images, another number of images than of groups or detectors, an unknown method, a network
            without a final feature map, logits that are not finite.
    """
    names = np.asarray(groups)
    n = names.size
    if method not in (None, EXACT, *METHODS):
        raise ValueError(f"method={method!r}: expected one of {', '.join((EXACT, *METHODS))}")
    if steps < 2:
        raise ValueError(f"steps={steps}: expected at least 2, or there is nothing between the ends")
    if not n:
        raise ValueError("no images to explain: the part of the data that is evaluated is empty")
    detectors = [detector] * n if isinstance(detector, Detector) else list(detector)
    if len(detectors) != n:
        raise ValueError(f"{len(detectors)} detectors for {n} groups: give one, or one for each image")
    method = method or shown_method(networks_of(detectors[0]))
    images, random = iter(images), np.random.default_rng(seed)
    shown = random.choice(n, min(examples, n), replace=False)
    traces: list[Traces] = []
    done = 0
    probe: HeatProbe | None = None
    with progress_bar(shown=progress) as bar:
        task = bar.add_task("Explanations", total=n)
        for current, batch in _batches(images, detectors, batch_size):
            if probe is None or probe.detector is not current:
                probe = HeatProbe.of(current, batch, method=method, grid=grid, steps=steps, seed=seed)
            traces.append(probe.measure(batch, random, [row - done for row in shown if 0 <= row - done < len(batch)]))
            done += len(batch)
            bar.advance(task, len(batch))
    if done < n or next(images, None) is not None:
        count = str(done) if done < n else f"more than {n}"
        raise ValueError(f"{count} images for {n} groups: expected one group for each image")
    numbers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return summarise(Traces.joined(traces), numbers, method=method, grid=grid, resamples=resamples, seed=seed)


def summarise(
    traces: Traces, groups: IntArray, *, method: str, grid: int, resamples: int, seed: int
) -> ExplanationAudit:
    """Means with intervals from what was measured of each image; groups (n,) are numbered from 0."""
    n, steps = len(traces.curves), traces.curves.shape[-1] - 1
    flat, shape = traces.curves.reshape(n, -1), traces.curves.shape[1:]
    defined = ~np.isnan(traces.similarity)
    columns = np.column_stack([flat, np.where(defined, traces.similarity, 0.0), defined])

    def statistics(sums: FloatArray, weight: FloatArray) -> FloatArray:
        """Weighted sums of the columns (r, m) -> the means, areas, advantages, effect and similarity (r, k)."""
        means = (sums[:, :-2] / weight).reshape(len(sums), *shape)
        areas = np.trapezoid(means, dx=1 / steps, axis=-1)  # (r, directions, orders)
        gains = (areas[:, :, :1] - areas) * np.array([-1.0, 1.0])[:, None]  # deletion is better when it is lower
        effect = means[:, 0, 0, 0] - means[:, 0, 0, -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            similarity = sums[:, -2] / sums[:, -1]
        parts = (means, areas, gains, effect, similarity)
        return np.concatenate([part.reshape(len(sums), -1) for part in parts], axis=1)

    values = statistics(columns.sum(axis=0, keepdims=True), np.array([[n]]))[0]
    chunks = resampling_weights(groups, resamples, seed)
    samples = [statistics(w.astype(float) @ columns, w.sum(axis=1, keepdims=True, dtype=float)) for w in chunks]
    lows, highs = percentile_interval(np.concatenate(samples))
    sizes = np.cumsum([flat.shape[1], shape[0] * shape[1], shape[0] * shape[1], 1])
    (means, areas, gains, effect, similarity) = (
        [np.asarray(ends)[part] for ends in (values, lows, highs)] for part in np.split(np.arange(len(values)), sizes)
    )
    n_groups = int(groups.max()) + 1

    def estimate(ends: Sequence[FloatArray], row: int = 0) -> Estimate:
        value, low, high = (float(end[row]) for end in ends)
        if np.isnan(value):
            return Estimate.undefined("all maps of random weights are flat")
        if n_groups == 1:
            return Estimate(value, np.nan, np.nan, "one duplicate group only: no interval")
        return Estimate(value, low, high)

    curves = []
    for row, (direction, order) in enumerate((d, o) for d in DIRECTIONS for o in ORDERS):
        mean, low, high = (end.reshape(-1, steps + 1)[row] for end in means)
        advantage = None if order == "heat" else estimate(gains, row)
        curves.append(Curve(direction, order, mean, low, high, estimate(areas, row), advantage))
    return ExplanationAudit(
        n=n,
        n_groups=n_groups,
        method=method,
        grid=grid,
        shares=np.linspace(0, 1, steps + 1),
        curves=tuple(curves),
        effect=estimate(effect),
        similarity=estimate(similarity),
        examples=traces.examples,
    )


def _batches(images: Iterable[Tensor], detectors: Sequence[Detector], size: int) -> Iterator[tuple[Detector, Tensor]]:
    """Neighbouring images of one detector, `size` at a time, (N, 3, H, W)."""
    for _, run in groupby(zip(detectors, images, strict=False), key=lambda pair: id(pair[0])):
        while batch := list(islice(run, size)):
            yield batch[0][0], torch.stack([image for _, image in batch])


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
