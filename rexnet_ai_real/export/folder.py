"""The folder of an exported detector, written atomically: the formats asked for, parity, model card."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rexnet_ai_real.detector.description import write_description
from rexnet_ai_real.detector.storage import StoredDetector
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export import parity
from rexnet_ai_real.export.int8 import CALIBRATION
from rexnet_ai_real.export.making import Making, exact_engine
from rexnet_ai_real.export.model_card import model_card
from rexnet_ai_real.export.parity import Parity
from rexnet_ai_real.export.release import released, require_small
from rexnet_ai_real.export.replacing import explained, replacing
from rexnet_ai_real.export.request import Request, check_request
from rexnet_ai_real.export.sample import Sample
from rexnet_ai_real.export.source import ExportSource
from rexnet_ai_real.export.weights import mean_weights, with_new_statistics
from rexnet_ai_real.files import write_text

PARITY_FILE: Final = "parity.json"
CARD_FILE: Final = "README.md"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    sample: str
    """The images that the formats were compared on, in words."""
    parities: tuple[Parity, ...]
    sizes: Mapping[str, int]
    """Format -> bytes."""


def export(model: Path, out: Path, request: Request) -> Exported:
    """Write the detector at `model` to the folder `out`.

    Args:
        model: run folder, checkpoint, multirun of folds or saved detector.
        out: a new or empty folder; an exported one with `overwrite`.
        request: what is wanted.

    Raises:
        UserError: no detector, no images where they are needed, a library that is missing, a folder in use, a full or
            read-only disk.
        ParityFailed: a format does not answer as PyTorch does. Nothing is written.
    """
    with explained(out):
        return _export(model, out, request)


def _export(model: Path, out: Path, request: Request) -> Exported:
    check_request(out, request)
    source = ExportSource.open(model)
    if request.release:
        source = released(source, request.release)
    sample = source.sample(request.images, request.count)
    if not sample.real and request.needs_real_images:
        raise UserError(
            "onnx-int8 and averaged weights are measured on real images, and those of the training are unknown or "
            "gone: give a folder that holds ai/ and real/ as --images"
        )
    parities: list[Parity] = []
    if request.average_weights:
        source, kept = _averaged(source, sample)
        parities.append(kept)
    with replacing(out, request.overwrite) as folder:
        making = Making(folder, source.stored, sample, request.pixel_type, parities)
        write_description(folder, making.description)
        for backend in request.backends:
            backend.make(making, folder / backend.file)
        sizes = {
            backend.format: sum((folder / file).stat().st_size for file in backend.files)
            for backend in request.backends
        }
        write_text(folder / PARITY_FILE, _parity_json(source.stored, sample, parities, sizes))
        card = model_card(source, sample, parities, sizes, request.license, request.pixel_type)
        write_text(folder / CARD_FILE, card)
        if request.release:
            require_small(folder)
    return Exported(out, sample.title, tuple(parities), sizes)


def _averaged(source: ExportSource, sample: Sample) -> tuple[ExportSource, Parity]:
    """One network for several, where it is as good; without their operating point and report, which are not its own."""
    stored = source.stored
    if len(stored.states) < 2:
        raise UserError(
            "--average-weights: this detector is one network; give a multirun of folds or seeds, or leave it out"
        )
    original = parity.answers(exact_engine(stored), sample, maps=False, title=f"{len(stored.states)} networks")
    description = stored.description
    state = with_new_statistics(
        description.architecture,
        mean_weights(stored.states),
        description.preprocessing,
        sample.training_like[: 2 * CALIBRATION],
    )
    training = {**description.training, "weights_averaged": len(stored.states)}
    made = StoredDetector.of([state], description.architecture, description.preprocessing, training)
    answers = parity.answers(exact_engine(made), sample, maps=False, title="averaged weights")
    found = parity.compare("averaged weights", answers, original, sample, description.calibration)
    parity.require_close(found, "leave --average-weights out: the graph then averages the logits")
    return replace(source, stored=made, report={}), found


def _parity_json(stored: StoredDetector, sample: Sample, parities: list[Parity], sizes: Mapping[str, int]) -> str:
    plain = {
        "fingerprint": stored.description.fingerprint,
        "sample": sample.title,
        "allowed": {
            "exact": {"logit": parity.LOGIT, "map": parity.MAP},
            "lossy": {"accuracy": parity.ACCURACY, "auroc": parity.AUROC},
        },
        "parity": [found.plain() for found in parities],
        "bytes": dict(sizes),
        "versions": versions(),
    }
    return json.dumps(plain, indent=2, allow_nan=False) + "\n"


def versions() -> dict[str, str]:
    """Of the packages that export, as far as they are installed."""
    packages = ("rexnet-ai-real", "torch", "onnx", "onnxscript", "onnxruntime", "openvino")
    return {name: version(name) for name in packages if name == "rexnet-ai-real" or find_spec(name)}
