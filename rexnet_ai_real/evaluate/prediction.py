"""Logits of images as they are or corrupted. Images of a fold go to the network that has not seen them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.engine import logits_of_views
from rexnet_ai_real.evaluate.cached_logits import corrupted_logits
from rexnet_ai_real.evaluate.corruptions import NONE, Corruption
from rexnet_ai_real.evaluate.part import LabelledImage, Part
from rexnet_ai_real.evaluate.rivals.function import FunctionEngine, function_logits
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.metrics.scores import FloatArray

UNTOUCHED: Final = (NONE,)


def predicted_logits(
    part: Part,
    detector: Callable[[int], Detector],
    *,
    corruptions: Sequence[Corruption] = UNTOUCHED,
    cache: Path,
    settings: DataConfig,
    title: str,
) -> FloatArray:
    """Logits before any temperature, (n, corruptions).

    Args:
        part: the images.
        detector: fold -> the detector that predicts its images.
        corruptions: what is done to each image first.
        cache: folder of finished predictions, by weights, preprocessing and images; a second call continues there.
        settings: batch_size, workers and max_pixels.
        title: beside the progress bar.

    Raises:
        UnreadableImage: an image is gone or damaged; the message begins with its path.
        ValueError: logits that are not finite.
    """
    images = part.images()
    logits = np.empty((len(part), len(corruptions)))
    for fold in part.folds:
        here = np.flatnonzero(part.rows["fold"] == fold)
        logits[here] = _logits(
            detector(fold),
            [images[k] for k in here],
            corruptions,
            cache,
            settings,
            title if len(part.folds) == 1 else f"{title}, fold {fold}",
        )
    return logits


def _logits(
    detector: Detector,
    images: Sequence[LabelledImage],
    corruptions: Sequence[Corruption],
    cache: Path,
    settings: DataConfig,
    title: str,
) -> FloatArray:
    """Logits of images that one detector predicts."""
    shared: dict[str, Any] = {
        "fingerprint": _cache_key(detector),
        "cache": cache,
        "corruptions": corruptions,
        "workers": max(1, settings.workers),
        "max_pixels": settings.max_pixels,
        "progress": True,
        "title": title,
    }
    if isinstance(detector.engine, FunctionEngine):
        return function_logits(detector.engine, images, **shared)
    preprocessing = detector.preprocessing
    return corrupted_logits(
        images,
        _in_batches(detector, settings.batch_size),
        prepare=lambda image, *_: preprocessing.to_views(image),
        # Corruptions are of the image as it is stored.
        enough=preprocessing.enough if tuple(corruptions) == UNTOUCHED else None,
        **shared,
    )


def seeing_only(detector: Detector, view: str) -> Detector:
    """The same detector, on any backend, that judges one of `VIEWS` alone; for measuring, not for saving."""
    described = detector.description
    preprocessing = replace(described.preprocessing, views=(view,))
    fingerprint = f"{described.fingerprint} {view}"  # tells its predictions apart in a cache
    return replace(detector, description=replace(described, preprocessing=preprocessing, fingerprint=fingerprint))


def _cache_key(detector: Detector) -> str:
    """What the logits depend on. PyTorch and a graph, above all one in 8 bits, differ in more than rounding."""
    backend = detector.engine.backend
    return detector.fingerprint if backend == "torch" else f"{detector.fingerprint} {backend}"


def _in_batches(detector: Detector, size: int) -> Callable[[Iterable[Pixels]], FloatArray]:
    def predict(images: Iterable[Pixels]) -> FloatArray:
        return np.concatenate(
            [logits_of_views(detector.engine, np.stack(batch)).astype(np.float64) for batch in _batched(images, size)]
        )

    return predict


def _batched(images: Iterable[Pixels], size: int) -> Iterator[list[Pixels]]:
    waiting = iter(images)
    while batch := list(islice(waiting, size)):
        yield batch
