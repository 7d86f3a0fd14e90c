"""Figures of a report: reliability, ROC, precision-recall, risk-coverage, score histograms, intervals side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.figures import BLUE, GREEN, NAMES, VERMILLION, styled
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.metrics.curves import Band, Reliability, RiskCoverage
from rexnet_ai_real.metrics.scores import FloatArray, Scores

_GREY = "#7F7F7F"


def reliability_figure(before: Reliability, after: Reliability | None) -> Figure:
    """Observed share of AI images over the predicted P(AI); below, the number of images."""
    with styled():
        figure = Figure(figsize=(4.6, 4.9))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot((0, 1), (0, 1), color=_GREY, linewidth=1, linestyle="--", label="perfect")
        shown = [(before, GREEN, "s", "as trained")] if after else []
        shown.append((after or before, BLUE, "o", "calibrated" if after else "observed"))
        for found, colour, marker, label in shown:
            band = found.observed
            there = ~np.isnan(band.value)
            style: dict[str, Any] = {"marker": marker, "markersize": 5, "color": colour, "label": label}
            if found is before and after:  # two sets of bars would hide each other
                upper.plot(band.x[there], band.value[there], linestyle="none", markerfacecolor="none", **style)
                continue
            ends = np.nan_to_num(np.stack([band.value - band.low, band.high - band.value])[:, there])
            upper.errorbar(band.x[there], band.value[there], ends, elinewidth=1, linestyle="none", **style)
        found = after or before
        lower.bar(found.edges[:-1], found.counts, np.diff(found.edges), align="edge", color=BLUE, alpha=0.7)
        upper.set(ylabel="share that is AI", ylim=(-0.03, 1.03), xlim=(0, 1))
        upper.legend(loc="upper left")
        lower.set(xlabel="P(AI) of the detector", ylabel="images")
    return figure


def roc_figure(band: Band, auroc: Estimate, point: tuple[float, float] | None) -> Figure:
    """True- over false-positive rate, with the operating point (FPR, TPR) where there is one."""
    with styled():
        figure = Figure(figsize=(4.4, 4.2))
        axes = figure.subplots()
        _curve(axes, band, BLUE, f"AUROC {auroc}")
        axes.plot((0, 1), (0, 1), color=_GREY, linewidth=1, linestyle="--", label="guessing")
        if point:
            axes.plot(*point, marker="*", markersize=13, color=VERMILLION, linestyle="none", markeredgecolor="black")
            axes.annotate("threshold", point, (9, -11), textcoords="offset points")
        axes.set(xlabel="real images called AI (FPR)", ylabel="AI images found (TPR)", xlim=(-0.01, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")
    return figure


def pr_figure(band: Band, average_precision: Estimate, share: float) -> Figure:
    """Precision over recall; `share`: of AI among the images, which is the precision of guessing."""
    with styled():
        figure = Figure(figsize=(4.4, 4.2))
        axes = figure.subplots()
        _curve(axes, band, BLUE, f"average precision {average_precision}")
        axes.axhline(share, color=_GREY, linewidth=1, linestyle="--", label="guessing")
        axes.set(xlabel="AI images found (recall)", ylabel="AI among those called AI (precision)", xlim=(0, 1))
        axes.set_ylim(min(0.5, share) - 0.05, 1.01)
        axes.legend(loc="lower left")
    return figure


def risk_coverage_figure(
    at_threshold: RiskCoverage,
    at_half: RiskCoverage | None,
    answers: tuple[float, float] | None,
    target: float | None,
) -> Figure:
    """Error rate when only the most confident images are answered; the star: coverage and error of the unsure band.

    The curve `at_half`, at P(AI) 0.5, stands beside that of the chosen threshold, so that neither is taken for both.
    """
    with styled():
        figure = Figure(figsize=(4.8, 3.6))
        axes = figure.subplots()
        _curve(axes, at_threshold.risk, BLUE, "at the chosen threshold" if at_half else "at P(AI) 0.5")
        if at_half:
            axes.plot(at_half.risk.x, at_half.risk.value, color=GREEN, linestyle="--", label="at P(AI) 0.5")
        if target is not None:
            axes.axhline(target, color=_GREY, linewidth=1, linestyle=":", label="error rate promised")
        if answers:
            style: dict[str, Any] = {"marker": "*", "markersize": 13, "color": VERMILLION, "markeredgecolor": "black"}
            axes.plot(*answers, linestyle="none", label="the unsure band", zorder=4, **style)
        axes.set(xlabel="share of images answered", ylabel="share of answers wrong", xlim=(0, 1.01))
        axes.set_ylim(0, None)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(loc="best")
    return figure


def histogram_figure(scores: Scores, calibrations: Sequence[Calibration]) -> Figure:
    """How P(AI) is distributed over the images of each class, with the threshold and the unsure band."""
    with styled():
        figure = Figure(figsize=(5.6, 3.4))
        axes = figure.subplots()
        for label, colour, hatch in ((REAL, BLUE, None), (AI, VERMILLION, "//")):
            values = scores.probabilities[scores.labels == label]
            name = f"{NAMES[label]} (n = {values.size:,})"
            axes.hist(values, np.linspace(0, 1, 31).tolist(), color=colour, alpha=0.55, label=name, hatch=hatch)
        threshold = float(np.mean([calibration.threshold for calibration in calibrations]))
        low, high = (float(np.mean([getattr(c, end) for c in calibrations])) for end in ("unsure_low", "unsure_high"))
        axes.axvline(threshold, color="black", linewidth=1.4, label=f"threshold {threshold:.2f}")
        if low < high:
            axes.axvspan(low, min(high, 1.0), color=_GREY, alpha=0.18, linewidth=0, label="unsure")
        axes.set(xlabel="calibrated P(AI)", ylabel="images", xlim=(0, 1))
        figure.legend(loc="outside upper center", ncols=4, columnspacing=1.2, handlelength=1.6)
    return figure


def interval_figure(rows: Mapping[str, Estimate], title: str, *, chance: float | None = None) -> Figure:
    """One estimate after another, each a point with its 95% interval; `chance` draws a line."""
    with styled():
        figure = Figure(figsize=(5.6, 0.9 + 0.36 * len(rows)))
        axes = figure.subplots()
        for row, estimate in enumerate(rows.values()):
            if estimate.defined:
                ends = np.nan_to_num([[estimate.value - estimate.low], [estimate.high - estimate.value]])
                axes.errorbar(estimate.value, row, xerr=ends, fmt="o", color=BLUE if row else VERMILLION, capsize=3)
        if chance is not None:
            axes.axvline(chance, color=_GREY, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.02), xlabel=title)
        axes.grid(visible=False, axis="y")
    return figure


def _curve(axes: Axes, band: Band, colour: str, label: str) -> None:
    axes.plot(band.x, band.value, color=colour, label=label)
    axes.fill_between(band.x, *_filled(band), color=colour, alpha=0.16, linewidth=0)


def _filled(band: Band) -> tuple[FloatArray, FloatArray]:
    return np.where(np.isnan(band.low), band.value, band.low), np.where(np.isnan(band.high), band.value, band.high)
