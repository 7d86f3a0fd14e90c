"""What the makers of the formats share: the detector, its graph, and the comparison with PyTorch.

A maker writes one file and compares it: see `write_onnx`, `write_int8`, `write_openvino`.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rexnet_ai_real.detector.backends import Backend
from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.detector.engines.engine import Engine
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.detector.storage import StoredDetector, torch_engine, write_detector
from rexnet_ai_real.export import parity
from rexnet_ai_real.export.graph import has_exact_map, onnx_graph
from rexnet_ai_real.export.parity import Answers, Parity
from rexnet_ai_real.export.sample import Sample


@dataclass(frozen=True, eq=False)
class Making:
    """One export in progress."""

    folder: Path
    stored: StoredDetector
    sample: Sample
    """Images to compare on, and to choose the ranges of 8-bit activations on."""
    pixel_type: str
    """Of the graphs' input: uint8 or float32."""
    parities: list[Parity] = field(default_factory=list)
    """What was measured so far."""

    @property
    def description(self) -> Description:
        """All of the detector except its weights."""
        return self.stored.description

    @cached_property
    def graph(self) -> Any:
        """The detector as an onnx.ModelProto, for makers to convert; not to be changed.

        Raises:
            CannotExport: PyTorch cannot trace the network.
        """
        return onnx_graph(self._original.networks, self.description, self.pixel_type)

    def require_exact(self, backend: Backend) -> None:
        """Compare a file in float32 with PyTorch.

        Raises:
            ParityFailed: it does not answer as PyTorch does.
        """
        parity.require_exact(self.measure(backend, backend.format, precision="32-true"))

    def require_close(self, backend: Backend, instead: str) -> None:
        """Compare a lossy file with PyTorch, also on the held-out images alone: training images change less.

        Args:
            backend: of the file.
            instead: what to do where it is refused, for the message.

        Raises:
            ParityFailed: accuracy or AUROC on all images are too far off.
        """
        found = self.measure(backend, backend.format, held_out_too=True)
        parity.require_close(found, instead)

    def measure(self, backend: Backend, name: str, *, precision: str = "auto", held_out_too: bool = False) -> Parity:
        """Compare a file with PyTorch on all images, and keep the result under `name`.

        With `held_out_too` the comparison on the held-out images alone is kept as well, where only some are held out.
        """
        engine = backend.open(self.folder, self.description, "cpu", precision)
        return self.measure_engine(engine, name, held_out_too=held_out_too)

    def measure_engine(self, engine: Engine, name: str, *, held_out_too: bool = False) -> Parity:
        """The same of an engine that is there already."""
        answers = parity.answers(engine, self.sample, maps=self._answers.maps is not None, title=name)
        calibration, here = self.description.calibration, self.sample.held_out
        found = parity.compare(name, answers, self._answers, self.sample, calibration)
        self.parities.append(found)
        if held_out_too and here.any() and not here.all():
            some = answers.only(here), self._answers.only(here), self.sample.only(here)
            self.parities.append(parity.compare(f"{name}, held-out alone", *some, calibration))
        return found

    @cached_property
    def _original(self) -> TorchEngine:
        return exact_engine(self.stored)

    @cached_property
    def _answers(self) -> Answers:
        size = self.description.preprocessing.image_size
        maps = all(has_exact_map(network, size) for network in self._original.networks)
        return parity.answers(self._original, self.sample, maps=maps, title="PyTorch, float32")


def write_weights(making: Making, file: Path) -> None:
    """model.safetensors: the weights themselves, so there is nothing to compare."""
    write_detector(file.parent, making.stored)


def exact_engine(stored: StoredDetector) -> TorchEngine:
    """The networks in float32 on the CPU, as exports are compared with."""
    return torch_engine(stored, "the detector to export", "cpu", "32-true")
