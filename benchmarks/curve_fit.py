"""A learning curve as a line: error = a + b log10(size), by least squares, with the interval of resampled images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.paired_rows import MEAN, Measured
from rexnet_ai_real.figures import PALETTE, styled
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.metrics.scores import FloatArray


@dataclass(frozen=True)
class Curve:
    """The error abroad, 1 - mean AUROC over the collections left out, at each size."""

    sizes: tuple[int, ...]
    measured: tuple[Measured, ...]
    """In the order of the sizes, all of the same images."""

    @property
    def errors(self) -> FloatArray:
        """Of each point, (points,)."""
        return np.array([1 - point.estimate(MEAN).value for point in self.measured])

    @property
    def per_decade(self) -> Estimate:
        """b: how much the error changes with ten times as much."""
        return self._estimate(self._fit(self.errors[:, None])[1], self._fit(self._samples)[1])

    def predicted(self, size: float) -> Estimate:
        """The error at another size, by the line."""
        value, samples = (
            a + b * np.log10(size) for a, b in (self._fit(self.errors[:, None]), self._fit(self._samples))
        )
        return self._estimate(value, samples)

    @property
    def _samples(self) -> FloatArray:
        """Errors, (points, resamples): a resample draws the same images at every size."""
        return np.stack([1 - point.samples[:, point.names.index(MEAN)] for point in self.measured])

    def _fit(self, errors: FloatArray) -> FloatArray:
        """Errors (points, r) -> a and b, (2, r)."""
        x = np.stack([np.ones(len(self.sizes)), np.log10(self.sizes)], axis=1)
        return np.asarray(np.linalg.lstsq(x, errors, rcond=None)[0])

    @staticmethod
    def _estimate(value: FloatArray, samples: FloatArray) -> Estimate:
        low, high = percentile_interval(samples[:, None])
        return Estimate(float(value[0]), float(low[0]), float(high[0]))


def draw(curves: Mapping[str, Curve], file: Path) -> None:
    """Error against each size, a panel each, with its line drawn on to ten times the largest."""
    with styled():
        figure, axes = plt.subplots(1, len(curves), figsize=(7.2, 2.7), sharey=True, squeeze=False)
        for panel, (name, curve), colour in zip(axes[0], curves.items(), PALETTE, strict=False):
            points = [point.estimate(MEAN) for point in curve.measured]
            spans = np.array([[max(p.high - p.value, 0), max(p.value - p.low, 0)] for p in points]).T
            panel.errorbar(curve.sizes, curve.errors, yerr=spans, fmt="o", color=colour, capsize=2)
            ends = (curve.sizes[0], 10 * curve.sizes[-1])
            line = np.geomspace(*ends, 20)
            predicted: Sequence[Estimate] = [curve.predicted(size) for size in line]
            panel.plot(line, [p.value for p in predicted], color=colour, linestyle="--")
            panel.fill_between(line, [p.low for p in predicted], [p.high for p in predicted], color=colour, alpha=0.15)
            panel.set(xscale="log", xlabel=f"{name} in training")
        axes[0][0].set(ylabel="1 - AUROC abroad")
        with write_atomically(file) as temporary:
            figure.savefig(temporary, dpi=110, metadata={"Software": None})
        plt.close(figure)
