"""Figures of a robustness table: one small panel per family, and the whole grid as a table of shaded cells."""

import math
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rexnet_ai_real.evaluate.corruptions import NONE

# Okabe and Ito's colours stay distinct in the common forms of colour blindness; markers tell the lines apart in print.
_LOOK: Final = {
    "accuracy": ("Accuracy", "#000000", "o"),
    "auroc": ("AUROC", "#0072B2", "s"),
    "recall": ("TPR at the threshold", "#D55E00", "^"),
    "specificity": ("TNR at the threshold", "#009E73", "v"),
}
# Families whose members are different things, not steps of one scale: points with bars, no line.
_UNORDERED: Final = frozenset({"framing", "sharing"})
_COLUMNS: Final = 3


def curves_figure(table: pd.DataFrame, metrics: tuple[str, ...] = ("auroc", "recall", "specificity")) -> Figure:
    """Metrics against severity with 95 % bands, a panel per family; `table` is that of `Robustness`."""
    families = _families(table)
    rows = math.ceil(len(families) / _COLUMNS)
    figure = Figure(figsize=(11, 2.4 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
    for panel, family in zip(axes, families, strict=False):
        _panel(panel, table, family, metrics)
    for panel in axes[len(families) :]:
        panel.axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(metrics), frameon=False)
    return figure


def heat_figure(table: pd.DataFrame, metric: str = "accuracy") -> Figure:
    """One metric under every corruption, a row per family; darker is worse, and the worst cell is framed."""
    families, cells = _families(table), table[table.metric == metric]
    untouched, others = cells[cells.corruption == NONE.name].iloc[0], cells[cells.corruption != NONE.name]
    widest = int(others.groupby("family").size().max())
    figure = Figure(figsize=(2.6 + 1.35 * widest, 0.55 * len(families) + 1.2), layout="constrained")
    panel = figure.subplots()
    # One scale for every detector, from guessing to perfect, so that figures can be laid side by side.
    shades = ScalarMappable(Normalize(0.5, 1), "viridis")
    for row, family in enumerate(families):
        for column, cell in enumerate(others[others.family == family].sort_values("severity").itertuples()):
            _cell(panel, column, row, cell, shades, framed=cell.value == others.value.min())
    panel.set(xlim=(-0.5, widest - 0.5), ylim=(len(families) - 0.5, -0.5), xticks=[])
    panel.set_yticks(range(len(families)), families)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    title = f"{_LOOK[metric][0]} with 95% interval, {untouched.n} images; untouched {_value(untouched)}"
    panel.set_title(title, fontsize=10, loc="left")
    figure.colorbar(shades, ax=panel, shrink=0.5, extend="min", pad=0.01)
    return figure


def _families(table: pd.DataFrame) -> list[str]:
    return [family for family in table.family.unique() if family != NONE.family]


def _panel(panel: Axes, table: pd.DataFrame, family: str, metrics: tuple[str, ...]) -> None:
    rows = table[table.family.isin((family, NONE.family))].sort_values("severity")
    ticks = rows[rows.metric == metrics[0]]
    positions = dict(zip(ticks.corruption, range(len(ticks)), strict=True))
    for number, metric in enumerate(metrics):
        line = rows[rows.metric == metric]
        title, colour, marker = _LOOK[metric]
        x = line.corruption.map(positions)
        if family in _UNORDERED:
            ends = [line.value - line.low, line.high - line.value]
            apart = x + 0.16 * (number - (len(metrics) - 1) / 2)
            panel.errorbar(apart, line.value, ends, fmt=marker, ms=4, color=colour, elinewidth=1, label=title)
        else:
            panel.plot(x, line.value, marker=marker, ms=4, lw=1.5, color=colour, label=title)
            panel.fill_between(x, line.low, line.high, color=colour, alpha=0.13, lw=0)
    panel.axhline(0.5, color="0.6", lw=0.8, ls=":")
    labels = [setting.replace(" px ", " px\n") or "as is" for setting in ticks.setting]
    panel.set_xticks(range(len(ticks)), labels, fontsize=7)
    panel.set_title(family, fontsize=10)
    panel.set_ylim(0, 1.03)
    panel.spines[["top", "right"]].set_visible(False)


def _cell(panel: Axes, column: int, row: int, cell: Any, shades: ScalarMappable, *, framed: bool) -> None:
    shade = shades.to_rgba(cell.value) if math.isfinite(cell.value) else (0.9, 0.9, 0.9, 1.0)
    edge, width = ("#D55E00", 3) if framed else ("white", 1)
    corner = (column - 0.48, row - 0.46)
    panel.add_patch(Rectangle(corner, 0.96, 0.92, facecolor=shade, edgecolor=edge, linewidth=width))
    luma = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2]
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "black" if luma > 0.5 else "white"}
    panel.text(column, row - 0.2, cell.setting, fontsize=8, **style)
    panel.text(column, row + 0.18, _value(cell), fontsize=8, fontweight="bold" if framed else "normal", **style)


def _value(cell: Any) -> str:
    return f"{cell.value:.2f} [{cell.low:.2f}, {cell.high:.2f}]" if math.isfinite(cell.value) else "undefined"
