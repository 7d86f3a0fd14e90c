"""The folder of an exported detector, written whole or not at all: the formats asked for, parity, model card."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rexnet_ai_real.detector.backends import BACKENDS, INT8_FILE, ONNX_FILE, OPENVINO_FILE
from rexnet_ai_real.detector.description import Description, write_description
from rexnet_ai_real.detector.engines.engine import Engine
from rexnet_ai_real.detector.engines.graphs import GraphEngine, OnnxGraph, OpenVinoGraph
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.detector.storage import StoredDetector, write_detector
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export import parity
from rexnet_ai_real.export.formats import FORMATS
from rexnet_ai_real.export.graph import has_exact_map, onnx_graph
from rexnet_ai_real.export.int8 import CALIBRATION, quantised
from rexnet_ai_real.export.model_card import model_card
from rexnet_ai_real.export.openvino import has_bfloat16, write_openvino
from rexnet_ai_real.export.parity import Answers, Parity
from rexnet_ai_real.export.sample import Sample
from rexnet_ai_real.export.source import Source
from rexnet_ai_real.export.weights import mean_weights, with_new_statistics
from rexnet_ai_real.files import write_text
from rexnet_ai_real.models.factory import build_trained
from rexnet_ai_real.runs.identify import DETECTOR_FILE

PARITY_FILE: Final = "parity.json"
CARD_FILE: Final = "README.md"


@dataclass(frozen=True)
class Request:
    """What is to be exported."""

    formats: tuple[str, ...]
    """Of `FORMATS`."""
    images: Path | None = None
    """Folder with class folders, or where the images of the run are now; None: where they were."""
    count: int = 1000
    """Images to compare on, at most."""
    pixel_type: str = "uint8"
    """Of the graphs' input."""
    average_weights: bool = False
    """One network with the mean weights of all."""
    overwrite: bool = False
    """Replace an exported folder that is there already."""
    license: str | None = None
    """For the model card."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    sample: str
    """On what the parities were measured, in words."""
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
        UserError: no detector, no images where they are needed, a library that is missing, a folder in use.
        ParityFailed: a format does not answer as PyTorch does. Nothing is written.
    """
    check_request(out, request)
    source = Source.open(model)
    sample = source.sample(request.images, request.count)
    if not sample.real and ("onnx-int8" in request.formats or request.average_weights):
        raise UserError(
            "onnx-int8 and averaged weights are measured on real images, and those of the training are not known or "
            "not there: give a folder that holds ai/ and real/ as --images"
        )
    parities: list[Parity] = []
    if request.average_weights:
        source, kept = _averaged(source, sample)
        parities.append(kept)
    with _whole(out, request.overwrite) as folder:
        parities += _write_formats(folder, source.stored, sample, request)
        sizes = {name: _size(folder, FORMATS[name][0]) for name in FORMATS if name in request.formats}
        write_text(folder / PARITY_FILE, _parity_json(source.stored, sample, parities, sizes))
        card = model_card(source, sample, parities, sizes, request.license, request.pixel_type)
        write_text(folder / CARD_FILE, card)
    return Exported(out, sample.title, tuple(parities), sizes)


def check_request(out: Path, request: Request) -> None:
    """Find out before the work what would stop it after.

    Raises:
        UserError: a library is missing, or the folder is in use.
    """
    packages = [package for name in request.formats for package in FORMATS[name][1]]
    missing = [package for package in dict.fromkeys(packages) if find_spec(package) is None]
    if missing:
        extra = "export,openvino" if "openvino" in missing else "export"
        raise UserError(f"{', '.join(missing)} is not installed: pip install 'rexnet-ai-real[{extra}]'")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; a folder is expected")
    if out.is_dir() and any(out.iterdir()):
        if not (out / DETECTOR_FILE).is_file():
            raise UserError(f"{out} holds other things than an exported detector: give a new or an empty folder")
        if not request.overwrite:
            raise UserError(f"{out} holds a detector already: --overwrite replaces it, with all that is in the folder")


def _write_formats(folder: Path, stored: StoredDetector, sample: Sample, request: Request) -> list[Parity]:
    """Write detector.json and the formats asked for; each graph is compared with PyTorch as soon as it is there."""
    description = stored.description
    if "safetensors" in request.formats:
        write_detector(folder, stored)
    else:
        write_description(folder, description)
    if set(request.formats) == {"safetensors"}:
        return []
    import onnx

    engine = _torch_engine(stored)
    trial = _Trial.of(engine, sample, description)
    graph = onnx_graph(engine.networks, description, request.pixel_type)
    onnx.save(graph, folder / ONNX_FILE)
    if "onnx" in request.formats:
        parity.require_exact(trial.measure("onnx", _on_onnx(folder, "onnx", description.fingerprint)))
    if "openvino" in request.formats:
        write_openvino(folder / ONNX_FILE, folder / OPENVINO_FILE, description.fingerprint)
        parity.require_exact(trial.measure("openvino", _on_openvino(folder, description.fingerprint, "32-true")))
        if has_bfloat16():  # what it computes in unless told otherwise: measured, and nothing is promised of it
            trial.measure("openvino, bfloat16", _on_openvino(folder, description.fingerprint, "bf16-mixed"))
    if "onnx-int8" in request.formats:
        onnx.save(quantised(graph, sample.training_like[:CALIBRATION]), folder / INT8_FILE)
        found = trial.measure("onnx-int8", _on_onnx(folder, "onnx-int8", description.fingerprint), apart=True)
        parity.require_close(found, "leave onnx-int8 out of --formats, or give more --images")
    if "onnx" not in request.formats:
        (folder / ONNX_FILE).unlink()
    return trial.found


@dataclass(frozen=True, eq=False)
class _Trial:
    """Engines against the network in PyTorch, on one sample."""

    sample: Sample
    original: Answers
    description: Description
    found: list[Parity] = field(default_factory=list)

    @classmethod
    def of(cls, engine: TorchEngine, sample: Sample, description: Description) -> "_Trial":
        size = description.preprocessing.image_size
        maps = all(has_exact_map(network, size) for network in engine.networks)
        return cls(sample, parity.answers(engine, sample, maps=maps, title="PyTorch, float32"), description)

    def measure(self, name: str, engine: Engine, *, apart: bool = False) -> Parity:
        """`apart`: also on the held-out images alone, since on those that were learned by heart little can change."""
        answers = parity.answers(engine, self.sample, maps=self.original.maps is not None, title=name)
        calibration = self.description.calibration
        found = parity.compare(name, answers, self.original, self.sample, calibration)
        self.found.append(found)
        here = self.sample.held_out
        if apart and here.any() and not here.all():
            parts = answers.only(here), self.original.only(here), self.sample.only(here)
            self.found.append(parity.compare(f"{name}, held-out alone", *parts, calibration))
        return found


def _torch_engine(stored: StoredDetector) -> TorchEngine:
    networks = [build_trained(stored.description.architecture, state) for state in stored.states]
    return TorchEngine.of(networks, stored.description.preprocessing, "cpu", "32-true")


def _on_onnx(folder: Path, backend: str, fingerprint: str) -> GraphEngine:
    return GraphEngine(backend, OnnxGraph(folder / BACKENDS[backend][0], fingerprint))


def _on_openvino(folder: Path, fingerprint: str, precision: str) -> GraphEngine:
    return GraphEngine("openvino", OpenVinoGraph(folder / OPENVINO_FILE, fingerprint, precision))


def _averaged(source: Source, sample: Sample) -> tuple[Source, Parity]:
    """One network for several, where it is as good; without the operating point and report, which are not its own."""
    stored = source.stored
    if len(stored.states) < 2:
        raise UserError("--average-weights: this detector is one network; give a multirun of folds, or leave it out")
    original = parity.answers(_torch_engine(stored), sample, maps=False, title=f"{len(stored.states)} networks")
    described = stored.description
    state = with_new_statistics(
        described.architecture,
        mean_weights(stored.states),
        described.preprocessing,
        sample.training_like[: 2 * CALIBRATION],
    )
    training = {**described.training, "weights_averaged": len(stored.states)}
    made = StoredDetector.of([state], described.architecture, described.preprocessing, training)
    answers = parity.answers(_torch_engine(made), sample, maps=False, title="averaged weights")
    found = parity.compare("averaged weights", answers, original, sample, described.calibration)
    parity.require_close(found, "leave --average-weights out: the graph then averages the logits")
    return replace(source, stored=made, report={}), found


def _size(folder: Path, file: str) -> int:
    parts = [folder / file, (folder / file).with_suffix(".bin")]
    return sum(part.stat().st_size for part in parts if part.is_file())


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


@contextmanager
def _whole(out: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that takes the place of `out` when the block ends without an error."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    old = temporary.with_name(f"{temporary.name}-old")
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if overwrite and out.is_dir():
            out.rename(old)
        temporary.rename(out)
    except BaseException:
        if old.is_dir() and not out.exists():
            old.rename(out)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
