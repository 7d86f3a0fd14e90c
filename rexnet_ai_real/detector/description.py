"""All of a detector except its weights: detector.json, read and written without PyTorch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.files import write_text
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.labels import LABELS
from rexnet_ai_real.runs.identify import DETECTOR_FILE, NotADetector

VERSION: Final = 1

UNCALIBRATED: Final = Calibration(
    temperature=1.0,
    threshold=0.5,
    threshold_rule="0.5 on uncalibrated probabilities: nothing is promised",
    unsure_low=0.5,
    unsure_high=0.5,
    coverage=1.0,
    error_target=None,
    confidence=None,
    band_rule="no unsure band: every image is answered",
    n_real=0,
    n_ai=0,
    notes=("Not calibrated: evaluate the detector to fit a temperature, a threshold and an unsure band.",),
)


@dataclass(frozen=True)
class Description:
    """All of a detector except its weights, in plain values."""

    architecture: dict[str, Any]
    """Arguments of `models.build`; the same for all networks."""
    networks: int
    """How many there are; their logits are averaged."""
    preprocessing: Preprocessing
    """The same as in training."""
    calibration: Calibration
    """Temperature, threshold and unsure band."""
    training: dict[str, Any]
    """What is known of its training, for people to read: images, epochs, metrics."""
    fingerprint: str
    """SHA-256 over architecture, weights and preprocessing: all that the uncalibrated logits depend on."""


def read_description(folder: Path) -> Description:
    """The detector.json of a saved or exported detector.

    Raises:
        NotADetector: missing, damaged, of other labels or of a later version.
    """
    file = folder / DETECTOR_FILE
    try:
        plain = mapping(json.loads(file.read_text(encoding="utf-8")), file, "it")
    except (OSError, ValueError) as error:
        raise NotADetector(f"{file} is missing or damaged: {error}. Save or export the detector again") from error
    if plain.get("version") != VERSION:
        raise NotADetector(f"{file} is of version {plain.get('version')}; this program reads version {VERSION}")
    if plain.get("labels") != list(LABELS):
        raise NotADetector(f"{file} is a detector for the labels {plain.get('labels')}; expected {list(LABELS)}")
    try:
        return Description(
            architecture=dict(mapping(plain.get("architecture"), file, "architecture")),
            networks=int(plain.get("networks", 1)),
            preprocessing=Preprocessing.from_plain(mapping(plain.get("preprocessing"), file, "preprocessing")),
            calibration=Calibration.from_plain(mapping(plain.get("calibration"), file, "calibration")),
            training=dict(mapping(plain.get("training"), file, "training")),
            fingerprint=str(plain.get("fingerprint")),
        )
    except NotADetector:
        raise
    except (TypeError, ValueError) as error:
        raise NotADetector(f"{file}: {error}") from error


def write_description(folder: Path, description: Description) -> None:
    """Write detector.json atomically.

    Raises:
        OSError: the folder cannot be written.
    """
    plain = {
        "version": VERSION,
        "labels": list(LABELS),
        "architecture": description.architecture,
        "networks": description.networks,
        "preprocessing": description.preprocessing.to_plain(),
        "calibration": description.calibration.plain(),
        "training": description.training,
        "fingerprint": description.fingerprint,
    }
    write_text(folder / DETECTOR_FILE, json.dumps(plain, indent=2, allow_nan=False) + "\n")


def mapping(plain: object, file: Path, name: str) -> Mapping[str, Any]:
    """`plain`, which must be an object of JSON or a dictionary.

    Raises:
        NotADetector: it is something else.
    """
    if not isinstance(plain, dict):
        raise NotADetector(f"{file}: {name} must be an object with named entries, got {type(plain).__name__}")
    return cast(Mapping[str, Any], plain)
