"""Figures of an audit of explanations: probability curves, and examples of what hiding in each order does."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rexnet_ai_real.evaluate.audits.explanations import ExplanationAudit
from rexnet_ai_real.evaluate.audits.heat_probe import DIRECTIONS, ORDERS, SHOWN_SHARE, Example
from rexnet_ai_real.figures import BLUE, GREEN, NAMES, VERMILLION, styled
from rexnet_ai_real.images.heat import overlay

# Markers and dashes tell the lines apart in print.
_LOOK: Final = {
    "heat": ("strongest heat first", VERMILLION, "o", "-"),
    "random": ("random", BLUE, "s", "--"),
    "centre": ("centre first", GREEN, "^", ":"),
}
_TITLES: Final = {
    "deletion": ("Deletion: lower is better", "cells blurred"),
    "insertion": ("Insertion: higher is better", "cells restored"),
}


def curves_figure(audit: ExplanationAudit) -> Figure:
    """The mean probability of the predicted class with 95 % bands, while cells are hidden and while they come back."""
    with styled():
        figure = Figure(figsize=(7.2, 3.4))
        panels = figure.subplots(1, 2, sharey=True)
        for panel, direction in zip(panels, DIRECTIONS, strict=True):
            for order in ORDERS:
                each = audit.curve(direction, order)
                title, colour, marker, dashes = _LOOK[order]
                label = f"{title}, area {each.area.value:.3f}"
                panel.plot(audit.shares, each.mean, color=colour, marker=marker, linestyle=dashes, label=label)
                panel.fill_between(audit.shares, each.low, each.high, color=colour, alpha=0.13, linewidth=0)
            heading, label = _TITLES[direction]
            panel.set(title=heading, xlabel=label, xlim=(-0.06, 1.06))  # "100%" and "0%" of neighbours stay apart
            panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            # Both curves leave a corner free: below the falling one on the left, below the rising one on the right.
            panel.legend(loc="lower left" if direction == "deletion" else "lower right", handlelength=2.6)
        panels[0].set_ylabel("P(predicted class)")
        low = min(float(np.min(each.low)) for each in audit.curves)
        panels[0].set_ylim(max(0.0, low - 0.2), 1.01)  # room for the legend below the curves
    return figure


def examples_figure(audit: ExplanationAudit) -> Figure:
    """A row per example: the image, its heat, and the image with some cells hidden by each order.

    Raises:
        ValueError: the audit kept no examples.
    """
    if not audit.examples:
        raise ValueError("no examples to draw: evaluate with examples=1 or more")
    columns, tile = 2 + len(ORDERS), 7.2 / (2 + len(ORDERS))
    with styled():
        figure = Figure(figsize=(7.2, 0.35 + len(audit.examples) * (tile + 0.22)))
        grid = figure.subplots(len(audit.examples), columns, squeeze=False)
        for row, example in zip(grid, audit.examples, strict=True):
            _draw_row(list(row), example)
        titles = (_LOOK[order][0] for order in ORDERS)
        heads = ["image", "heat", *(f"{SHOWN_SHARE:.0%} blurred:\n{name}" for name in titles)]
        for axes, head in zip(grid[0], heads, strict=True):
            axes.set_title(head, fontsize=9, pad=4)
    return figure


def _draw_row(row: list[Axes], example: Example) -> None:
    images = [example.image, overlay(example.image, example.heat), *(view.image for view in example.views)]
    probabilities = [example.probability, None, *(view.probability for view in example.views)]
    for axes, image, probability in zip(row, images, probabilities, strict=True):
        axes.imshow(image, interpolation="antialiased")
        axes.set(xticks=(), yticks=())
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        if probability is not None:
            axes.set_xlabel(f"P({NAMES[example.target]}) = {probability:.2f}", fontsize=9, labelpad=2)
