"""All of a detector except its weights: detector.json, read and written without PyTorch.

The file may come from a stranger, so that every value is checked before anything uses it.
"""

import json
import math
import reprlib
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.errors import one_line
from rexnet_ai_real.files import NotPlain, require_plain, write_text
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.labels import LABELS
from rexnet_ai_real.runs.identify import DETECTOR_FILE, NotADetector

VERSION: Final = 1
MOST_BYTES: Final = 1 << 20
"""Of detector.json, which takes 2 kB for one network."""
MOST_NETWORKS: Final = 100
SHORT_SIDE: Final = "short_side"
"""Key in `Description.training` of the shorter side of its training images in pixels, the median."""
_MOST_CHARACTERS: Final = 200
"""Of a text in what is known of the training."""
_NESTED: Final = "lists inside lists without end"

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

    @property
    def familiar_side(self) -> int | None:
        """Pixels of the shorter side of images like those it was trained on; None: not recorded."""
        networks = self.training.get("networks")
        runs = (self.training, *(networks.values() if isinstance(networks, Mapping) else ()))
        sides = [run.get(SHORT_SIDE) for run in runs if isinstance(run, Mapping)]
        return max((side for side in sides if type(side) is int and side > 0), default=None)


def read_description(folder: Path) -> Description:
    """The detector.json of a saved or exported detector.

    Raises:
        NotADetector: missing, damaged, of other labels or of a later version.
    """
    file = folder / DETECTOR_FILE
    plain = mapping(_read_json(file), file, "it")
    if plain.get("version") != VERSION:
        raise NotADetector(f"{file} is of version {_shown(plain.get('version'))}; this program reads version {VERSION}")
    if plain.get("labels") != list(LABELS):
        raise NotADetector(
            f"{file} is a detector for the labels {_shown(plain.get('labels'))}; expected {list(LABELS)}"
        )
    networks, fingerprint = plain.get("networks", 1), plain.get("fingerprint")
    if not (_fits(networks, int) and 1 <= networks <= MOST_NETWORKS):
        raise NotADetector(f"{file}: networks must be from 1 to {MOST_NETWORKS}, got {_shown(networks)}")
    if not isinstance(fingerprint, str):
        raise NotADetector(f"{file}: fingerprint must be text, got {_shown(fingerprint)}")
    preprocessing = read_preprocessing(plain.get("preprocessing"), file)
    return Description(
        architecture=read_architecture(plain.get("architecture"), preprocessing, file, "architecture"),
        networks=networks,
        preprocessing=preprocessing,
        calibration=_read_calibration(plain.get("calibration"), file),
        training=read_training(plain.get("training"), file),
        fingerprint=fingerprint,
    )


def read_architecture(plain: object, preprocessing: Preprocessing, file: Path, name: str) -> dict[str, Any]:
    """Arguments of `models.build`: numbers and words by name. Whether they name a network is for it to say.

    Args:
        plain: from the file.
        preprocessing: from the same file.
        file: for messages.
        name: of the entry, for messages.

    Raises:
        NotADetector: something else.
    """
    architecture = dict(mapping(plain, file, name))
    for key, value in architecture.items():
        if not (isinstance(key, str) and any(_fits(value, hint) for hint in (str, bool, float, types.NoneType))):
            raise NotADetector(f"{file}: {_shown(key)} in {name} must be a number or a word, got {_shown(value)}")
    if (size := architecture.get("image_size", preprocessing.image_size)) != preprocessing.image_size:
        raise NotADetector(
            f"{file}: its network is for images of {_shown(size)} px, and its preprocessing makes "
            f"{preprocessing.image_size} px of them"
        )
    return architecture


def read_training(plain: object, file: Path) -> dict[str, Any]:
    """What is known of the training, fit for a terminal: each text in one line, without control characters, not long.

    Raises:
        NotADetector: no mapping, or nested without end.
    """
    try:
        return dict(mapping(_cleaned(plain), file, "training"))
    except RecursionError as error:
        raise NotADetector(f"{file} is damaged: {_NESTED}") from error


def _cleaned(plain: object) -> object:
    if isinstance(plain, str):
        return one_line(plain, _MOST_CHARACTERS)
    if isinstance(plain, dict):
        return {_cleaned(key): _cleaned(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_cleaned(value) for value in plain]
    return plain


def read_preprocessing(plain: object, file: Path) -> Preprocessing:
    """The inverse of `Preprocessing.to_plain`.

    Raises:
        NotADetector: entries are missing, unknown or impossible.
    """
    entries = mapping(plain, file, "preprocessing")
    _require_types(Preprocessing, entries, file, "preprocessing")
    try:
        return Preprocessing.from_plain(entries)
    except ValueError as error:
        raise NotADetector(f"{file}: {_line(error)}") from error


def _read_calibration(plain: object, file: Path) -> Calibration:
    entries = mapping(plain, file, "calibration")
    _require_types(Calibration, entries, file, "calibration")
    try:
        return Calibration.from_plain(entries)
    except (TypeError, ValueError) as error:
        raise NotADetector(f"{file}: {_line(error)}") from error


def _read_json(file: Path) -> Any:
    try:
        require_plain(file, MOST_BYTES)
        return json.loads(file.read_text(encoding="utf-8"), parse_float=_finite, parse_constant=_finite)
    except RecursionError as error:
        raise NotADetector(f"{file} is damaged: {_NESTED}") from error
    except (OSError, NotPlain, ValueError) as error:
        raise NotADetector(
            f"{file} is missing or damaged: {_line(error)}. Save or export the detector again"
        ) from error


def _finite(text: str) -> float:
    """Numbers of JSON, among which Python counts NaN, and infinity written as 1e400."""
    if math.isfinite(number := float(text)):
        return number
    raise ValueError(f"{text[:20]} is no finite number")


def _require_types(cls: type, entries: Mapping[str, Any], file: Path, name: str) -> None:
    """Whether entries have the types of a dataclass's fields; missing and unknown ones are for the class to find.

    Raises:
        NotADetector: names the first that has not.
    """
    for key, hint in get_type_hints(cls).items():
        if key in entries and not _fits(entries[key], hint):
            expected = getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)
            raise NotADetector(f"{file}: impossible {name}: {key} must be {expected}, got {_shown(entries[key])}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of an annotated type: a finite number, text, None, or a list of such values."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and all(_fits(entry, get_args(hint)[0]) for entry in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _shown(value: object) -> str:
    """A value from the file in a message: short, whatever it is."""
    return reprlib.repr(value)[:80]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


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
    """The same value, which must be an object of JSON or a dictionary.

    Raises:
        NotADetector: it is something else.
    """
    if not isinstance(plain, dict):
        raise NotADetector(f"{file}: {name} must be an object with named entries, got {type(plain).__name__}")
    return cast(Mapping[str, Any], plain)
