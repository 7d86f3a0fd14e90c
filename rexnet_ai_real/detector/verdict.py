"""What the detector says of one image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.images.tiers import Tier
from rexnet_ai_real.labels import OUT_OF_SCOPE, UNSURE, Label, percent

Answer = Literal["ai", "real", "unsure", "out of scope"]
Delivered = Sequence[tuple[Tier, float]]
"""Logits of one image after deliveries."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the detector says of one image; of a file that gives no image, why it does not."""

    path: str
    probability: float | None
    """Calibrated P(AI-generated); None when the image failed."""
    label: Answer | None
    """By the detector's operating point, unless the image is out of scope; None when the image failed."""
    error: str | None = None
    """Why there is no answer, in one short line that does not repeat the path."""
    logit: float | None = None
    """The network's log-odds of "AI-generated" before calibration."""
    leaning: Label | None = None
    """The answer at the threshold, which is given without a promise too; None when the image failed."""
    reason: str | None = None
    """Why the label is "unsure" or "out of scope", in one short line; None where the detector keeps its promise."""
    remark: str | None = None
    """What makes the image hard to judge, such as its size; None where there is nothing to say."""

    @classmethod
    def failed(cls, path: str, error: str) -> "Verdict":
        """No answer, and why."""
        return cls(path, None, None, error)

    def always(self) -> "Verdict":
        """The same with the answer at the threshold in place of none. The reason stays: nothing is promised."""
        return replace(self, label=self.leaning)


def verdicts(
    paths: Sequence[str],
    logits: Sequence[float],
    calibration: Calibration,
    remarks: Sequence[str | None] | None = None,
    outside: Sequence[str | None] | None = None,
    delivered: Sequence[Delivered] | None = None,
) -> list[Verdict]:
    """Uncalibrated logits of images to verdicts; a logit that is no number is a failed image.

    Args:
        paths: of the images.
        logits: of the images as they are.
        calibration: of the detector.
        remarks: what makes each hard to judge.
        outside: why each is out of scope.
        delivered: each after deliveries: where one of them changes the answer, it is "unsure".
    """
    nothing: list[None] = [None] * len(paths)
    sound = [logit if math.isfinite(logit) else 0.0 for logit in logits]
    probabilities = calibration.probabilities(sound)
    answers = calibration.decide(probabilities)
    return [
        _limited(
            _verdict(path, logit, float(probability), cast(Answer, str(answer)), calibration, remark),
            calibration,
            why_outside,
            copies or (),
        )
        if math.isfinite(logit)
        else Verdict.failed(path, f"the network answers {logit} instead of a finite logit: its weights are damaged")
        for path, logit, probability, answer, remark, why_outside, copies in zip(
            *(paths, logits, probabilities, answers, remarks or nothing, outside or nothing, delivered or nothing),
            strict=True,
        )
    ]


def promise(calibration: Calibration) -> str:
    """What the unsure band is for: "at most 10 % wrong answers"; without a promise "enough right answers"."""
    target = calibration.error_target
    return "enough right answers" if target is None else f"at most {100 * target:g} % wrong answers"


def answers_nothing(calibration: Calibration) -> bool:
    """Whether the promise that was asked for cannot be kept on any image."""
    return calibration.coverage == 0


def _verdict(
    path: str, logit: float, probability: float, label: Answer, calibration: Calibration, remark: str | None
) -> Verdict:
    leaning: Label = "ai" if probability >= calibration.threshold else "real"
    reason = why_unsure(calibration) if label == "unsure" else None
    return Verdict(path, probability, label, None, logit, leaning, reason, remark)


def _limited(verdict: Verdict, calibration: Calibration, outside: str | None, delivered: Delivered) -> Verdict:
    """The verdict, without an answer where the image is out of scope or a delivery changes the answer."""
    if outside is not None:
        return replace(verdict, label=OUT_OF_SCOPE, reason=outside)
    if verdict.label != UNSURE and (change := _change(verdict, calibration, delivered)):
        return replace(verdict, label=UNSURE, reason=change)
    return verdict


def _change(verdict: Verdict, calibration: Calibration, delivered: Delivered) -> str | None:
    """Which delivery changes the answer, the one that changes it most."""
    assert verdict.probability is not None
    found = [(tier, float(calibration.probabilities(logit))) for tier, logit in delivered]
    others = [(tier, p) for tier, p in found if (p >= calibration.threshold) != (verdict.leaning == "ai")]
    if not others:
        return None
    before = verdict.probability
    tier, after = max(others, key=lambda other: abs(other[1] - before))
    return (
        f"the answer changes when the image is re-compressed ({percent(before)} as it is, {percent(after)} at "
        f"{tier.title})"
    )


def why_unsure(calibration: Calibration) -> str:
    """The reason of every answer "unsure" that the unsure band gives."""
    if answers_nothing(calibration):
        return f"this detector cannot promise {promise(calibration)} on any images"
    band = f"between {percent(calibration.unsure_low)} and {percent(calibration.unsure_high)}"
    return f"{promise(calibration)} cannot be promised {band}"
