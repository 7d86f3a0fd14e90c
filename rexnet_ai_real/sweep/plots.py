"""Figures of a sweep: the best validation loss over two settings, and the curves of every job in one panel."""

import math
from collections.abc import Sequence
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from rexnet_ai_real.figures import PAGE, PALETTE, VERMILLION, styled
from rexnet_ai_real.runs.jobs import PATIENCE, Job, is_number, short

SHOWN: Final = 10
"""Curves with their own colour and name; a legend of more would be unreadable."""
THIN: Final = 1.6
"""Points: the width of a line."""
SPAN: Final = (0.1, 0.7)
"""The colours of a heat map span at least and at most this much loss. 0.1: less is within what another seed changes,
and must not look like everything. 0.7: one run that diverged must not make all others look the same."""


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
    wide, high, between = (1.35, 0.75, ", ") if len(columns) <= 3 else (0.75, 0.9, "\n")  # inches of a cell
    notes: dict[tuple[int, int], str] = {}
    for job in jobs:
        cell = rows.index(job.settings[up]), columns.index(job.settings[across])
        best = job.best
        if best is None:
            notes[cell] = job.status
            continue
        losses[cell] = job.val_loss
        accuracy, epoch = f"{best['val_accuracy']:.1%}", f"epoch {best['epoch']:.0f}"
        notes[cell] = f"{job.val_loss:.4f}\n{accuracy}{between}{epoch}"
    with styled():
        figure = Figure(figsize=(max(4.2, 1.9 + wide * len(columns)), max(2.6, 1.3 + high * len(rows))))
        axes = figure.add_subplot()
        axes.grid(visible=False)
        axes.set_facecolor("#EEEEEE")
        colours = matplotlib.colormaps["cividis_r"]  # one ramp of lightness: the same order in print and to every eye
        lowest, highest = float(np.nanmin(losses)), float(np.nanmax(losses))
        top = lowest + min(max(highest - lowest, SPAN[0]), SPAN[1])
        shown = np.ma.masked_invalid(losses)
        image = axes.imshow(shown, origin="lower", aspect="auto", cmap=colours, vmin=lowest, vmax=top)
        for (row, column), text in notes.items():
            missing = math.isnan(losses[row, column])
            red, green, blue, _ = image.cmap(image.norm(losses[row, column])) if not missing else (1, 1, 1, 1)
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
            if missing:
                axes.add_patch(
                    Rectangle((column - 0.5, row - 0.5), 1, 1, hatch="///", fill=False, edgecolor="#BBBBBB", lw=0)
                )
        for row, column in np.argwhere(losses == lowest):  # several patiences may keep the same epoch
            frame = Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, fill=False, edgecolor=VERMILLION, lw=2.5)
            axes.add_patch(frame)
        axes.set_xticks(range(len(columns)), map(short, columns))
        axes.set_yticks(range(len(rows)), map(short, rows))
        axes.tick_params(length=0)
        axes.set(xlabel=across, ylabel=up, title="Best validation loss (accuracy, epoch)")
        beyond = "max" if highest > top else "neither"
        figure.colorbar(image, ax=axes, label="validation loss, lower is better", extend=beyond)
    return figure


def curves(jobs: Sequence[Job], keys: tuple[str, ...], *, ranked: bool = True) -> Figure:
    """Validation loss and F1 of every job over its epochs, the kept epoch marked with a dot, the last with a bar.

    Jobs with the very same curve share one line, and the legend names the values of all of them. Jobs that differ only
    in patience share a colour, since one curve is the beginning of the other: the shorter lies as a broad band below.

    Args:
        jobs: in the order of the legend.
        keys: the settings that vary.
        ranked: the best come first.
    """
    lines = _coinciding([job for job in jobs if job.best is not None])
    named, others = lines[:SHOWN], lines[SHOWN:]
    colours, widths = _colours(named), _widths(named)
    names = [describe_together(line, keys) or f"job {line[0].name}" for line in named]
    legend_rows = -(-(len(named) + bool(others)) // (1 if max(map(len, names)) > 45 else 2))
    with styled():
        figure = Figure(figsize=(PAGE, 3.3 + 0.2 * legend_rows))
        loss, f1 = figure.subplots(1, 2)
        for panel, column, title in ((loss, "val_loss", "Validation loss"), (f1, "val_f1", "Validation F1")):
            panel.set(xlabel="epoch", title=title)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            for job, *_ in others:
                panel.plot(job.history["epoch"], job.history[column], color="#C8C8C8", linewidth=1, zorder=1)
        for (job, *_), name in zip(named, names, strict=True):
            width = widths[job.name]
            line: dict[str, Any] = {"color": colours[_without_patience(job)], "linewidth": width}
            below = {"alpha": 0.45 if width > THIN else 1.0, "zorder": 3 - width / 100}
            for panel, column in ((loss, "val_loss"), (f1, "val_f1")):
                epochs, values = job.history["epoch"], job.history[column]
                panel.plot(epochs, values, **line, **below)
                bar: dict[str, Any] = {"marker": "|", "markersize": 6 + 2 * width, "markeredgewidth": 2}
                panel.plot(epochs.iloc[-1:], values.iloc[-1:], color=line["color"], **bar)
                if job.best is not None:
                    panel.plot(job.best["epoch"], job.best[column], "o", color=line["color"], markersize=4 + width)
            loss.plot([], [], **line, alpha=below["alpha"], marker="o", label=name)
        if others:
            loss.plot([], [], color="#C8C8C8", linewidth=1, label=f"{sum(map(len, others))} more")
        figure.legend(
            loc="outside lower center",
            title="best first" if ranked else None,
            ncols=-(-(len(named) + bool(others)) // legend_rows),
            handlelength=2.5,
        )
    return figure


def describe_together(jobs: Sequence[Job], keys: Sequence[str]) -> str:
    """The settings of jobs that share a curve: lr=1e-3, patience=5/8."""
    values = {key: list(dict.fromkeys(short(job.settings[key]) for job in jobs if key in job.settings)) for key in keys}
    return ", ".join(f"{key.rpartition('.')[2]}={'/'.join(found)}" for key, found in values.items() if found)


def _coinciding(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs with the same curves, together; groups, and jobs within a group, stay in order."""
    groups: dict[tuple[float, ...], list[Job]] = {}
    for job in jobs:
        curve = job.history[["epoch", "val_loss", "val_f1"]].fillna(-1.0).to_numpy(dtype=float)
        groups.setdefault(tuple(curve.ravel()), []).append(job)
    return list(groups.values())


def _widths(lines: Sequence[Sequence[Job]]) -> dict[str, float]:
    """A width for the first job of each line: among those that differ only in patience, the shorter the broader."""
    bundles: dict[Any, list[Job]] = {}
    for job, *_ in lines:
        bundles.setdefault(_without_patience(job), []).append(job)
    widths = {}
    for bundle in bundles.values():
        for rank, job in enumerate(sorted(bundle, key=lambda job: -len(job.history))):
            widths[job.name] = THIN + 2.4 * rank
    return widths


def _colours(lines: Sequence[Sequence[Job]]) -> dict[tuple[tuple[str, str], ...], Any]:
    bundles = list(dict.fromkeys(_without_patience(job) for job, *_ in lines))
    ramp = matplotlib.colormaps["cividis"](np.linspace(0, 0.92, len(bundles)))
    return dict(zip(bundles, PALETTE if len(bundles) <= len(PALETTE) else ramp, strict=False))


def _without_patience(job: Job) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in job.settings.items() if key != PATIENCE)
