"""Figures of a sweep: the best validation loss over two settings, and the curves of every job in one panel."""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from rexnet_ai_real.figures import PALETTE, VERMILLION, styled
from rexnet_ai_real.runs.jobs import PATIENCE, Job, describe, is_number, short

DASHES: Final = ("-", (0, (4, 2)), (0, (1, 1.5)), "-.")
SHOWN: Final = 10
"""Curves with their own colour and name; a legend of more would be unreadable."""


def grid_keys(jobs: Sequence[Job], keys: Sequence[str]) -> tuple[str, str] | None:
    """The two settings that a heat map can show: exactly two that vary, both numbers, most combinations tried."""
    if len(keys) != 2 or not all(is_number(job.settings.get(key)) for job in jobs for key in keys):
        return None
    across, up = keys if keys[0] != PATIENCE else (keys[1], keys[0])
    cells = {(float(job.settings[across]), float(job.settings[up])) for job in jobs}
    columns, rows = {x for x, _ in cells}, {y for _, y in cells}
    return (across, up) if 2 * len(cells) > len(columns) * len(rows) else None


def heat_map(jobs: Sequence[Job], across: str, up: str) -> Figure:
    """Best validation loss over two numeric settings; the lowest is framed, jobs without a loss are hatched."""
    columns = sorted({job.settings[across] for job in jobs}, key=float)
    rows = sorted({job.settings[up] for job in jobs}, key=float)
    losses = np.full((len(rows), len(columns)), np.nan)
    notes: dict[tuple[int, int], str] = {}
    for job in jobs:
        cell = rows.index(job.settings[up]), columns.index(job.settings[across])
        best = job.best
        if best is None:
            notes[cell] = job.status
            continue
        losses[cell] = job.val_loss
        notes[cell] = f"{job.val_loss:.4f}\n{best['val_accuracy']:.1%}, epoch {best['epoch']:.0f}"
    with styled():
        figure = Figure(figsize=(max(4.2, 1.9 + 1.35 * len(columns)), max(2.6, 1.3 + 0.75 * len(rows))))
        axes = figure.add_subplot()
        axes.grid(visible=False)
        axes.set_facecolor("#EEEEEE")
        colours = matplotlib.colormaps["cividis_r"]  # one ramp of lightness: the same order in print and to every eye
        image = axes.imshow(np.ma.masked_invalid(losses), origin="lower", aspect="auto", cmap=colours)
        for (row, column), text in notes.items():
            missing = math.isnan(losses[row, column])
            red, green, blue, _ = image.cmap(image.norm(losses[row, column])) if not missing else (1, 1, 1, 1)
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
            if missing:
                axes.add_patch(
                    Rectangle((column - 0.5, row - 0.5), 1, 1, hatch="///", fill=False, edgecolor="#BBBBBB", lw=0)
                )
        for row, column in np.argwhere(losses == np.nanmin(losses)):  # several patiences may keep the same epoch
            frame = Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, fill=False, edgecolor=VERMILLION, lw=2.5)
            axes.add_patch(frame)
        axes.set_xticks(range(len(columns)), map(short, columns))
        axes.set_yticks(range(len(rows)), map(short, rows))
        axes.tick_params(length=0)
        axes.set(xlabel=across, ylabel=up, title="Best validation loss (accuracy, epoch)")
        figure.colorbar(image, ax=axes, label="validation loss, lower is better")
    return figure


def curves(jobs: Sequence[Job], keys: tuple[str, ...]) -> Figure:
    """Validation loss and F1 of every job over its epochs, the kept epoch marked; `jobs` come with the best first.

    Jobs that differ only in patience share a colour, since one curve is the beginning of the other.
    """
    run = [job for job in jobs if job.best is not None]
    named, others = run[:SHOWN], run[SHOWN:]
    colours, dashes = _colours(named), _dashes(named)
    with styled():
        names = [describe(job, keys) or f"job {job.name}" for job in named]
        figure = Figure(figsize=(7.0 + 0.075 * max(map(len, names)), 3.6))  # 0.075 inches a letter of the legend
        loss, f1 = figure.subplots(1, 2)
        for panel, column, title in ((loss, "val_loss", "Validation loss"), (f1, "val_f1", "Validation F1")):
            panel.set(xlabel="epoch", title=title)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            for job in others:
                panel.plot(job.history["epoch"], job.history[column], color="#C8C8C8", linewidth=1, zorder=1)
        for job, name in zip(named, names, strict=True):
            line = {"color": colours[_without_patience(job)], "linestyle": dashes[job.settings.get(PATIENCE)]}
            for panel, column in ((loss, "val_loss"), (f1, "val_f1")):
                panel.plot(job.history["epoch"], job.history[column], **line)
                if job.best is not None:
                    panel.plot(job.best["epoch"], job.best[column], "o", color=line["color"])
            loss.plot([], [], **line, marker="o", label=name)
        if others:
            loss.plot([], [], color="#C8C8C8", linewidth=1, label=f"{len(others)} more")
        figure.legend(loc="outside right center", title="best first", handlelength=3)
    return figure


def _dashes(jobs: Sequence[Job]) -> dict[str | None, Any]:
    """A pattern for each patience, solid for the smallest, whose curve lies over the others up to its end."""
    patiences = sorted({job.settings.get(PATIENCE) for job in jobs}, key=lambda text: float(text or 0))
    return dict(zip(patiences, cycle(DASHES), strict=False))


def _colours(jobs: Sequence[Job]) -> dict[tuple[tuple[str, str], ...], Any]:
    bundles = list(dict.fromkeys(_without_patience(job) for job in jobs))
    ramp = matplotlib.colormaps["cividis"](np.linspace(0, 0.92, len(bundles)))
    return dict(zip(bundles, PALETTE if len(bundles) <= len(PALETTE) else ramp, strict=False))


def _without_patience(job: Job) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in job.settings.items() if key != PATIENCE)
