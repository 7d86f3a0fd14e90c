"""The exact class-activation map as heat: what each position of an image adds to the detector's answer."""

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.engines.engine import Engine, logits_of_views
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.labels import AI


def logits_and_first_maps(engine: Engine, views: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean logits (N,) over the views of images (N, views, size, size, 3), and maps (N, h, w) of their first view.

    Raises:
        UserError: the network has no such map.
    """
    logits, maps = engine.logits_and_maps(np.ascontiguousarray(views[:, 0]))
    return (logits_of_views(engine, views) if views.shape[1] > 1 else logits), maps


def heat_towards(maps: NDArray[np.float32], targets: NDArray[np.intp]) -> NDArray[np.float32]:
    """What of each signed map (N, h, w) for "AI-generated" speaks for the image's own target (N,), zero or more."""
    towards = np.where((targets == AI)[:, None, None], maps, -maps)
    # The logit is the mean over all positions, plus the bias: this much is what one position adds.
    heat: NDArray[np.float32] = (np.maximum(towards, 0) / maps[0].size).astype(np.float32)
    return heat


def predicted(logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.intp]:
    """The class (N,) that the threshold gives."""
    return (calibration.probabilities(np.nan_to_num(logits)) >= calibration.threshold).astype(np.intp)
