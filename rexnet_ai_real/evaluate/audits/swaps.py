"""The swap test: does the verdict change when the same images come in other files?

Every image is re-encoded as PNG, as JPEG 90 and at a common size. A detector of images should not care; one that has
learned files loses true positives or true negatives, most of all when each class comes in the other's format. PNG
removes the container but keeps the traces that an earlier JPEG left in the pixels. JPEG 90 and the common size
overwrite or smooth these traces, so a loss there shows that the detector relied on them.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS, NONE, Corruption
from rexnet_ai_real.images.decode import decode
from rexnet_ai_real.labels import AI
from rexnet_ai_real.metrics.binary import METRICS, resampled_metrics, summarise
from rexnet_ai_real.metrics.bootstrap import Estimate, percentile_interval
from rexnet_ai_real.metrics.scores import FloatArray, Scores

COMMON_SIDE: Final = 256
"""Side in pixels of the square to which all images are brought: above the 224 that the network sees."""


def _as_png(image: Image.Image, _: np.random.Generator) -> Image.Image:
    memory = io.BytesIO()
    image.save(memory, "PNG", compress_level=1)  # the fastest; the pixels are the same at every level
    return decode(memory.getvalue())


def _at_common_size(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.resize((COMMON_SIDE, COMMON_SIDE), Image.Resampling.LANCZOS)


PNG: Final = Corruption("swap-png", "PNG", 1, "", _as_png)
JPEG: Final = next(corruption for corruption in CORRUPTIONS if corruption.name == "jpeg-90")
RESIZED: Final = Corruption(f"swap-{COMMON_SIDE}px", "size", 1, f"{COMMON_SIDE} x {COMMON_SIDE}", _at_common_size)
ENCODINGS: Final = (NONE, PNG, JPEG, RESIZED)
"""How each image is encoded; the columns of the logits that `swap_audit` takes."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Which encoding each class is given."""

    title: str
    real: Corruption
    ai: Corruption


SWAPS: Final = (
    Swap("all as PNG", PNG, PNG),
    Swap("all as JPEG 90", JPEG, JPEG),
    Swap("real as PNG, AI as JPEG 90", PNG, JPEG),
    Swap("real as JPEG 90, AI as PNG", JPEG, PNG),
    Swap(f"all at {COMMON_SIDE} x {COMMON_SIDE} px", RESIZED, RESIZED),
)


@dataclass(frozen=True, slots=True)
class Shift:
    """Effect of a swap on a detector at its fixed threshold: the rate after it, and after minus before (paired)."""

    swap: Swap
    tpr: Estimate
    tnr: Estimate
    auroc: Estimate
    tpr_shift: Estimate
    tnr_shift: Estimate
    auroc_shift: Estimate

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval of the shift of TPR or of TNR leaves out zero."""
        return any(shift.low > 0 or shift.high < 0 for shift in (self.tpr_shift, self.tnr_shift))

    @property
    def size(self) -> float:
        """The larger of the two shifts, without its sign."""
        return max([abs(shift.value) for shift in (self.tpr_shift, self.tnr_shift) if shift.defined], default=0.0)


@dataclass(frozen=True, slots=True)
class SwapAudit:
    """What the swap test found: one shift per swap, in the order of `SWAPS`."""

    n: int
    shifts: tuple[Shift, ...]

    @property
    def finding(self) -> str:
        """In plain words."""
        worst = max(self.shifts, key=lambda shift: shift.size)
        moved = [shift for shift in self.shifts if shift.beyond_chance]
        if not moved:
            return (
                f"Re-encoding the {self.n} images changes neither TPR nor TNR beyond chance; "
                f"the largest change is {worst.size:.2f} ({worst.swap.title})."
            )
        worst = max(moved, key=lambda shift: shift.size)
        return (
            f"The verdict depends on the file: {len(moved)} of {len(self.shifts)} ways of re-encoding the {self.n} "
            f"images change TPR or TNR beyond chance, most of all {worst.swap.title} "
            f"(TPR {_signed(worst.tpr_shift)}, TNR {_signed(worst.tnr_shift)})."
        )


def swap_audit(
    labels: Sequence[int] | NDArray[np.int64],
    logits: FloatArray,
    groups: Sequence[str] | NDArray[np.generic],
    *,
    threshold: float,
    resamples: int = 2000,
    seed: int = 0,
) -> SwapAudit:
    """The shifts from calibrated logits (n, len(ENCODINGS)) of n images in every encoding.

    Args:
        labels: (n,) 0 real, 1 AI-generated.
        logits: (n, encodings) log-odds of "AI-generated".
        groups: (n,) near-duplicate groups, drawn together by the bootstrap.
        threshold: on the probability, fixed before.
        resamples: of the paired bootstrap.
        seed: of the bootstrap.
    """
    is_ai = np.asarray(labels) == AI
    column = {encoding.name: logits[:, index] for index, encoding in enumerate(ENCODINGS)}
    before = Scores.of(labels, column[NONE.name], groups)
    shifts = []
    for swap in SWAPS:
        after = Scores.of(labels, np.where(is_ai, column[swap.ai.name], column[swap.real.name]), groups)
        rates, differences = _rates_and_shifts(before, after, threshold, resamples, seed)
        shifts.append(Shift(swap, *rates, *differences))
    return SwapAudit(len(before), tuple(shifts))


def _rates_and_shifts(
    before: Scores, after: Scores, threshold: float, resamples: int, seed: int
) -> tuple[list[Estimate], list[Estimate]]:
    # The same groups and seed give the same resamples, so the differences are paired.
    draws = [
        resampled_metrics(scores, threshold=threshold, resamples=resamples, seed=seed) for scores in (before, after)
    ]
    old, new = (
        summarise(scores, samples, threshold=threshold).estimates
        for scores, samples in zip((before, after), draws, strict=True)
    )
    lows, highs = percentile_interval(draws[1] - draws[0])
    rates, shifts = [], []
    for name in ("recall", "specificity", "auroc"):
        rates.append(new[name])
        at, difference = list(METRICS).index(name), new[name].value - old[name].value
        undefined = Estimate.undefined(new[name].reason)
        shifts.append(Estimate(difference, lows[at], highs[at]) if new[name].defined else undefined)
    return rates, shifts


def _signed(shift: Estimate) -> str:
    return (
        f"{shift.value:+.2f} [{shift.low:+.2f}, {shift.high:+.2f}]" if shift.defined else f"undefined: {shift.reason}"
    )
