"""Whether an exported graph answers as the network in PyTorch does, measured on images. If not, it is not exported."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.engines.engine import Engine
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export.sample import Sample
from rexnet_ai_real.progress import track

LOGIT: Final = 1e-4
"""Largest difference of a logit that an exact format may make."""
MAP: Final = 1e-3
"""Largest difference at a spatial position of the map, in units of the logit: values reach 24, and were off by 4e-5."""
ACCURACY: Final = 0.01
"""Largest difference of accuracy, at P(AI) 0.5 before calibration, that a lossy one may make."""
AUROC: Final = 0.01
_BATCH: Final = 32
_ROUNDING: Final = 1e-9


class ParityFailed(UserError, ValueError):
    """An export that does not answer as the original does; the message gives the figures."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What an engine answers on a sample."""

    logits: NDArray[np.float32]
    """(n,)"""
    maps: NDArray[np.float32] | None
    """(n, h, w), or none."""

    def only(self, mask: NDArray[np.bool_]) -> "Answers":
        """Those on some of the images."""
        return Answers(self.logits[mask], None if self.maps is None else self.maps[mask])


@dataclass(frozen=True)
class Parity:
    """An engine's answers against those of the original. Accuracy and AUROC: None on images that do not define it."""

    name: str
    images: int
    held_out: int
    """How many of them the detector is known not to have learned from."""
    logit_difference: float
    """The largest."""
    logit_rms: float
    map_difference: float | None
    """The largest, in the units of the logit; None without maps."""
    same_verdict: float
    """Share of the images with the same verdict at the detector's operating point."""
    accuracy: float | None
    accuracy_before: float | None
    auroc: float | None
    auroc_before: float | None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @property
    def is_exact(self) -> bool:
        """Whether it holds what a format in float32 promises."""
        return self.logit_difference <= LOGIT and (self.map_difference or 0) <= MAP

    @property
    def is_close(self) -> bool:
        """Whether it holds what a lossy format promises."""
        if self.accuracy is None or self.accuracy_before is None or self.auroc is None or self.auroc_before is None:
            return False
        within_accuracy = abs(self.accuracy - self.accuracy_before) <= ACCURACY + _ROUNDING
        return within_accuracy and abs(self.auroc - self.auroc_before) <= AUROC + _ROUNDING

    def __str__(self) -> str:
        words = f"logits differ by at most {self.logit_difference:.2g} on {self.images} images"
        if self.map_difference is not None:
            words += f", maps by at most {self.map_difference:.2g}"
        if self.accuracy is None or self.accuracy_before is None or self.auroc is None or self.auroc_before is None:
            return f"{words}; accuracy and AUROC are not defined on them"
        return (
            f"{words}; accuracy {self.accuracy:.2%} instead of {self.accuracy_before:.2%}, "
            f"AUROC {self.auroc:.4f} instead of {self.auroc_before:.4f}"
        )


def answers(engine: Engine, sample: Sample, *, maps: bool, title: str) -> Answers:
    """Run a sample through an engine, under a progress bar.

    Args:
        engine: of any backend.
        sample: n images.
        maps: whether it has maps.
        title: beside the progress bar.
    """
    batches = [sample.pixels[start : start + _BATCH] for start in range(0, len(sample), _BATCH)]
    made = track(
        (engine.logits_and_maps(batch) if maps else (engine.logits(batch), None) for batch in batches),
        title,
        len(batches),
    )
    logits, heat = zip(*made, strict=True)
    return Answers(np.concatenate(logits), np.concatenate(heat) if maps else None)


def compare(name: str, found: Answers, original: Answers, sample: Sample, calibration: Calibration) -> Parity:
    """How far answers are off from those of the original.

    Raises:
        ParityFailed: logits that are not finite.
    """
    if not np.isfinite(found.logits).all():
        raise ParityFailed(
            f"{name}: {int((~np.isfinite(found.logits)).sum())} logits are not finite. Nothing was written"
        )
    difference = np.abs(found.logits - original.logits).astype(np.float64)
    verdicts = [calibration.decide(calibration.probabilities(a.logits)) for a in (found, original)]
    has_maps = found.maps is not None and original.maps is not None
    return Parity(
        name=name,
        images=len(sample),
        held_out=int(sample.held_out.sum()) if sample.real else 0,
        logit_difference=float(difference.max()),
        logit_rms=float(np.sqrt((difference**2).mean())),
        map_difference=float(np.abs(found.maps - original.maps).max()) if has_maps else None,  # type: ignore[operator]
        same_verdict=float((verdicts[0] == verdicts[1]).mean()),
        accuracy=_accuracy(found, sample),
        accuracy_before=_accuracy(original, sample),
        auroc=_auroc(found, sample),
        auroc_before=_auroc(original, sample),
    )


def require_exact(parity: Parity) -> None:
    """Stop unless `is_exact`.

    Raises:
        ParityFailed: it is not.
    """
    if not parity.is_exact:
        bounds = f"at most {LOGIT:g} in logit and {MAP:g} in the map are allowed"
        raise ParityFailed(f"{parity.name} does not answer as PyTorch does: {parity}; {bounds}. Nothing was written")


def require_close(parity: Parity, instead: str) -> None:
    """Stop unless `is_close`.

    Args:
        parity: of a lossy export.
        instead: what to do, for the message.

    Raises:
        ParityFailed: it is not.
    """
    if not parity.is_close:
        bounds = f"at most {ACCURACY * 100:g} point of accuracy and {AUROC:g} of AUROC are allowed"
        raise ParityFailed(f"{parity.name}: {parity}; {bounds}. Nothing was written; {instead}")


def _accuracy(found: Answers, sample: Sample) -> float | None:
    return float(((found.logits > 0) == sample.labels).mean()) if sample.real else None


def _auroc(found: Answers, sample: Sample) -> float | None:
    if not sample.real or len(np.unique(sample.labels)) < 2:
        return None
    return float(roc_auc_score(sample.labels, found.logits))
