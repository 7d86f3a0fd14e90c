"""What a collection, generator or source is ranked against, so that its AUROC is the same in every table."""

from typing import Final

import numpy as np
import numpy.typing as npt

from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.scores import BoolArray

RANKED_AGAINST: Final = "What has a single class is ranked against the left-out images of the other class of its fold"
"""The rule in words; where images are not predicted fold by fold, all have one fold."""


def ranked_against(own: BoolArray, labels: npt.ArrayLike, folds: npt.ArrayLike) -> BoolArray:
    """The images (mask, (n,)) with which those of `own` are ranked: none where these hold both classes.

    Else all of the other class that the same fold held out: logits of one network alone can be compared.

    Args:
        own: (n,) the images of a collection or generator.
        labels: (n,) 0 real, 1 AI-generated.
        folds: (n,) whose network judged each.
    """
    of_class, of_fold = np.asarray(labels), np.asarray(folds)
    lacking = [label for label in (REAL, AI) if not (of_class[own] == label).any()]
    return np.isin(of_class, lacking) & np.isin(of_fold, of_fold[own])
