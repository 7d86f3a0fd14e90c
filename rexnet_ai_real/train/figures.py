"""The figures of one run: learning curves, the confusion matrix, images with their heat maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray
from torch import nn

from rexnet_ai_real.figures import BLUE, GREEN, NAMES, PAGE, VERMILLION, styled
from rexnet_ai_real.images.decode import decode
from rexnet_ai_real.images.heat import colour_bar, overlay
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.transforms import denormalise, to_tensor
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.training import METRICS, readable
from rexnet_ai_real.models.cam import heat_maps, scaled

THRESHOLD: Final = 0.5
"""Of P(AI), above which an image is called AI. `evaluate` chooses a better one."""
PARTS: Final = {"train": "training", "val": "validation", "test": "test"}


def learning_curve(history: pd.DataFrame, name: str) -> Figure:
    """One metric over the epochs, training and validation, with the epoch of the lowest validation loss marked.

    Args:
        history: a run's history.csv, one row per epoch, epochs counted from 1.
        name: of a training metric; its columns are train_NAME and val_NAME.
    """
    metric = METRICS[name]
    with styled():
        figure = Figure()
        axes = figure.subplots()
        epochs = history["epoch"]
        train, val = history[f"train_{name}"], history[f"val_{name}"]
        axes.plot(epochs, train, color=BLUE, linestyle="--", marker="o", label="training")
        axes.plot(epochs, val, color=VERMILLION, marker="s", label="validation")
        if history["val_loss"].notna().any():
            row = history["val_loss"].idxmin()
            best_epoch, best = int(epochs[row]), float(val[row])
            label = f"best epoch {best_epoch} by validation loss ({readable(name, best)})"
            axes.axvline(best_epoch, color="#4D4D4D", linestyle=":", linewidth=1.2, zorder=1)
            star: dict[str, Any] = {"marker": "*", "markersize": 13, "color": VERMILLION, "markeredgecolor": "black"}
            axes.plot(best_epoch, best, linestyle="none", zorder=4, label=label, **star)
        axes.set(xlabel="epoch", ylabel=metric.title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(float(epochs.min()) - 0.5, float(epochs.max()) + 0.5)
        if metric.is_percentage:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(loc="outside upper center", ncols=3, columnspacing=1.1, handlelength=1.8, handletextpad=0.5)
    return figure


def confusion(labels: ArrayLike, probabilities: ArrayLike, *, part: str) -> Figure:
    """How many images of each class were assigned to which, as counts and as shares of the true class.

    Args:
        labels: true classes (N,), 0 for real and 1 for AI.
        probabilities: P(AI) (N,); above 0.5 means a prediction of AI.
        part: of the images: train, val or test.
    """
    true, predicted = np.asarray(labels, dtype=int), (np.asarray(probabilities) > THRESHOLD).astype(int)
    counts = np.zeros((2, 2), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with styled():
        figure = Figure(figsize=(3.5, 3.4))
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        for row, column in np.ndindex(2, 2):
            share = shares[row, column]
            style: dict[str, Any] = {"ha": "center", "color": "white" if share > 0.55 else "black"}
            axes.text(column, row, f"{counts[row, column]:,}", va="bottom", fontsize=16, **style)
            axes.text(column, row + 0.06, f"{share:.1%}", va="top", fontsize=10, **style)
        totals = [f"{name}\n(n = {n:,})" for name, n in zip(NAMES, counts.sum(axis=1), strict=True)]
        axes.set_xticks((REAL, AI), NAMES)
        axes.set_yticks((REAL, AI), totals)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(True)
        axes.set(xlabel="predicted", ylabel="true")
        accuracy = np.trace(counts) / max(counts.sum(), 1)
        figure.suptitle(
            f"{counts.sum():,} {PARTS[part]} images, accuracy {accuracy:.1%}\npredicted AI: P(AI) above {THRESHOLD}",
            fontsize=10,
        )
    return figure


def image_grid(images: NDArray[np.float32], labels: Sequence[int], columns: int = 8) -> Figure:
    """A batch of images under their classes.

    Args:
        images: (N, H, W, 3), from 0 to 1.
        labels: N times 0 for real or 1 for AI.
        columns: images in a row.
    """
    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    with styled():
        figure = Figure(figsize=(PAGE, rows * (PAGE / columns * height / width + 0.25) + 0.1))
        for axes, *shown in zip_longest(figure.subplots(rows, columns, squeeze=False).flat, images, labels):
            axes.set_axis_off()
            if shown[0] is not None:
                axes.imshow(shown[0], interpolation="antialiased")
                axes.set_title(NAMES[shown[1]], fontsize=9, pad=3, color=(BLUE, VERMILLION)[shown[1]])
    return figure


@dataclass(frozen=True, slots=True)
class HeatImage:
    """An image, its heat map and the prediction."""

    image: NDArray[np.float32]
    """(H, W, 3), from 0 to 1."""
    heat: NDArray[np.float32]
    """(H, W), from 0 to 1."""
    label: int
    """The truth: 0 real, 1 AI."""
    probability: float
    """P(AI)."""

    @property
    def prediction(self) -> int:
        """The predicted class."""
        return AI if self.probability > THRESHOLD else REAL

    @property
    def correct(self) -> bool:
        """Whether the prediction is right."""
        return self.prediction == self.label


def heat_panel(images: Sequence[HeatImage], columns: int = 4) -> Figure:
    """Each image over its heat map, with true class, prediction and probability: right ones first, wrong ones below.

    Raises:
        ValueError: no images.
    """
    groups = [[p for p in images if p.correct is correct] for correct in (True, False)]
    rows = [group[i : i + columns] for group in groups for i in range(0, len(group), columns)]
    if not rows:
        raise ValueError("no images for the panel: give at least one")
    width, tile, title, foot = PAGE, 1.68, 0.4, 0.55  # inches
    row_height = title + 2 * tile + 0.06
    height = foot + len(rows) * row_height
    pitch = width / columns
    with styled():
        figure = Figure(figsize=(width, height))
        figure.set_layout_engine("none")  # positions are computed here, so that all tiles have one size

        def axes_at(left: float, bottom: float, wide: float, high: float) -> Axes:
            return figure.add_axes((left / width, bottom / height, wide / width, high / height))

        for row, shown_in_row in enumerate(rows):
            top = height - row * row_height - title
            for column, shown in enumerate(shown_in_row):
                left = column * pitch + (pitch - tile) / 2
                _draw_pair(axes_at(left, top - tile, tile, tile), axes_at(left, top - 2 * tile, tile, tile), shown)
        _draw_scale(axes_at(width / 2 - 1.2, 0.33, 2.4, 0.1))
    return figure


def _draw_pair(upper: Axes, lower: Axes, shown: HeatImage) -> None:
    upper.imshow(shown.image, interpolation="antialiased", aspect="auto")
    lower.imshow(overlay(shown.image, shown.heat), interpolation="antialiased", aspect="auto")
    for axes in (upper, lower):
        axes.set(xticks=(), yticks=())
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set(visible=True, edgecolor=GREEN if shown.correct else VERMILLION, linewidth=2.2)
    confidence = shown.probability if shown.prediction == AI else 1 - shown.probability
    mark = "\N{CHECK MARK}" if shown.correct else "\N{BALLOT X}"
    upper.set_title(f"true {NAMES[shown.label]}\npredicted {NAMES[shown.prediction]} {confidence:.2f} {mark}", pad=4)


def _draw_scale(axes: Axes) -> None:
    axes.imshow(colour_bar(256, 1), aspect="auto", extent=(0, 1, 0, 1))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set(yticks=(), xticks=())
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(-0.03, 0.45, "none", ha="right", va="center", fontsize=9)
    axes.text(1.03, 0.45, "strongest of the image", ha="left", va="center", fontsize=9)
    axes.set_xlabel("evidence for the predicted class", fontsize=9, labelpad=3)


def shown_rows(predictions: pd.DataFrame, *, correct: int = 2, wrong: int = 4) -> pd.DataFrame:
    """Which images a panel shows: the most confident `correct` of each class, then the most confident `wrong` ones.

    Args:
        predictions: rows of predictions.csv: path, label, split, logit, probability. The same rows in any order give
            the same choice.
        correct: how many of each class, at most.
        wrong: how many of both classes together, at most.
    """
    ordered = predictions.assign(confidence=predictions["logit"].abs()).sort_values(
        ["confidence", "path"], ascending=[False, True]
    )
    is_correct = (ordered["logit"] > 0) == (ordered["label"] == AI)
    kept = [ordered[is_correct & (ordered["label"] == label)].head(correct) for label in (REAL, AI)]
    return pd.concat([*kept, ordered[~is_correct].head(wrong)]).drop(columns="confidence")


def cam_panel(network: nn.Module, root: Path, predictions: pd.DataFrame, preprocessing: Preprocessing) -> Figure:
    """The class-activation panel of a run: images as the network sees them, heat for the predicted class.

    Args:
        network: (N, 3, H, W) -> logits (N, 2).
        root: the folder that the paths of the images start from.
        predictions: rows of predictions.csv from which `shown_rows` chooses.
        preprocessing: of the run.
    """
    rows = shown_rows(predictions)
    images = to_tensor([decode(root / path, enough=preprocessing.enough) for path in rows["path"]], preprocessing)
    targets = [AI if logit > 0 else REAL for logit in rows["logit"]]
    heat = scaled(heat_maps(network, images, targets))
    shown = denormalise(images, preprocessing).permute(0, 2, 3, 1).numpy()
    rows_shown = zip(shown, heat, rows["label"], rows["probability"], strict=True)
    return heat_panel([HeatImage(image, h, int(label), float(p)) for image, h, label, p in rows_shown])
