"""What it costs and gains to give no answer: to images out of scope, and where the answer changes on the way.

Leaving out images nearest to the threshold is the plain alternative: a rule that leaves as many out has to beat it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rexnet_ai_real.labels import AI, UNSURE
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.metrics.scores import FloatArray, Scores
from rexnet_ai_real.metrics.selective import measure_answers


@dataclass(frozen=True, slots=True)
class Abstention:
    """A rule that leaves some images without an answer. Right: the answer at the threshold is."""

    n: int
    left_out: int
    share: Estimate
    """Of the images left without an answer."""
    all: Estimate
    """Share of all images answered right."""
    kept: Estimate
    """The same of those that still get an answer."""
    lost: Estimate
    """The same of those left out: a rule that costs nothing would leave out wrong answers only."""
    nearest: Estimate
    """The same as `kept` where as many are left out by how near they are to the threshold."""

    def plain(self) -> dict[str, object]:
        """For metrics.json."""
        shares = {"share": self.share, "accuracy_all": self.all, "accuracy_kept": self.kept}
        shares |= {"accuracy_left_out": self.lost, "accuracy_without_nearest": self.nearest}
        return {"n": self.n, "left_out": self.left_out} | {name: found.plain() for name, found in shares.items()}


def measure_abstention(margins: Scores, left_out: npt.NDArray[np.bool_], *, resamples: int, seed: int) -> Abstention:
    """What it costs and gains to give the images `left_out` (n,) no answer.

    Args:
        margins: whose logits are 0 at the threshold.
        left_out: by the rule.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    def right(answered: npt.NDArray[np.bool_]) -> tuple[Estimate, Estimate]:
        """Share of the images that is answered, and share of the answers that is right."""
        answers = np.where(answered, np.where(margins.logits >= 0, "ai", "real"), UNSURE)
        found = measure_answers(margins, answers, resamples=resamples, seed=seed)
        return found.coverage, found.error.complement

    count = int(left_out.sum())
    coverage, kept = right(~left_out)
    far = np.ones(len(margins), dtype=bool)
    far[np.argsort(np.abs(margins.logits), kind="stable")[:count]] = False
    return Abstention(
        n=len(margins),
        left_out=count,
        share=coverage.complement,
        all=right(np.ones(len(margins), dtype=bool))[1],
        kept=kept,
        lost=right(left_out)[1],
        nearest=right(far)[1],
    )


def flips(margins: FloatArray) -> npt.NDArray[np.bool_]:
    """Margins (n, deliveries) -> (n,) whether the answers differ between deliveries."""
    called = margins >= 0
    return np.asarray(called.any(axis=1) & ~called.all(axis=1))


def by_class(labels: npt.ArrayLike, left_out: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """How many real and how many AI images are left out."""
    ai = np.asarray(labels) == AI
    return int((left_out & ~ai).sum()), int((left_out & ai).sum())
