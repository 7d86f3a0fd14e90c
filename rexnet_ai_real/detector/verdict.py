"""What the detector says of one image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from rexnet_ai_real.detector.calibration import Calibration

Answer = Literal["ai", "real", "unsure"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the detector says of one image; of a file that gives no image, why it does not."""

    path: str
    probability: float | None
    """Calibrated P(AI-generated); None when the image failed."""
    label: Answer | None
    """By the detector's operating point; None when the image failed."""
    error: str | None = None
    """Why there is no answer, in one short line that does not repeat the path."""
    logit: float | None = None
    """The network's log-odds of "AI-generated" before calibration."""

    @classmethod
    def failed(cls, path: str, error: str) -> "Verdict":
        """No answer, and why."""
        return cls(path, None, None, error)


def verdicts(paths: Sequence[str], logits: Sequence[float], calibration: Calibration) -> list[Verdict]:
    """Uncalibrated logits of images to verdicts; a logit that is no number is a failed image."""
    sound = [logit if math.isfinite(logit) else 0.0 for logit in logits]
    probabilities = calibration.probabilities(sound)
    answers = calibration.decide(probabilities)
    return [
        Verdict(path, float(probability), cast(Answer, str(answer)), None, logit)
        if math.isfinite(logit)
        else Verdict.failed(path, f"the network answers {logit} instead of a finite logit: its weights are damaged")
        for path, logit, probability, answer in zip(paths, logits, probabilities, answers, strict=True)
    ]
