"""The trained thing as users hold it: networks, preprocessing, operating point, and verdicts on images.

    detector = Detector.load("outputs/baseline/2026-11-22_10-00-00")
    for verdict in detector.predict(["a.jpg", "folder/"]):
        print(verdict.path, verdict.probability, verdict.label, verdict.error)

Images are decoded and prepared as in training, by the same code and the settings that travel with the weights.
PyTorch is imported only for detectors that run on it: an exported one needs ONNX Runtime or OpenVINO instead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rexnet_ai_real.detector.backends import BACKENDS
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import Description, read_description
from rexnet_ai_real.detector.engines.engine import Engine, choose_backend
from rexnet_ai_real.detector.verdict import Verdict, verdicts
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.loading import prepared_batches
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing, read_pixels
from rexnet_ai_real.images.walk import ImageFile, image_files
from rexnet_ai_real.runs.identify import NotADetector, Saved, identify

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from rexnet_ai_real.detector.engines.torch_engine import TorchEngine


@dataclass(frozen=True, eq=False)
class Detector:
    """What computes logits, and all that belongs to it. Made by `load`; never changed, only replaced."""

    engine: Engine
    description: Description

    @classmethod
    def load(
        cls, path: str | Path, *, backend: str = "auto", device: str = "auto", precision: str = "auto"
    ) -> "Detector":
        """Read a run folder, a checkpoint of one, a multirun of folds (one network per fold), or an exported detector.

        Nothing in the files is executed. A run and a checkpoint come uncalibrated.

        Args:
            path: folder or file.
            backend: torch, onnx, onnx-int8 or openvino; auto takes ONNX Runtime where an exported folder has its graph
                and no other device is asked for, else PyTorch. Runs and checkpoints need PyTorch.
            device: auto, or a device of PyTorch's: cpu, cuda, cuda:1, mps. Exported graphs run on the CPU.
            precision: of PyTorch and OpenVINO: auto (as in training: bfloat16 products where the processor has them),
                bf16-mixed, 16-mixed or 32-true.

        Raises:
            NotADetector: none of these, or damaged, or of other labels.
            UserError: a backend, device or precision that there is not, or whose library is not installed.
        """
        folder = Path(path)
        if not isinstance(identify(folder), Saved):
            if backend not in ("auto", "torch"):
                raise UserError(
                    f"backend={backend} runs exported detectors, and {folder} is none: export it first with "
                    f"python -m rexnet_ai_real.export {folder} OUT --formats {backend}"
                )
            return cls.on_torch(folder, device=device, precision=precision)
        if backend == "auto" and device not in ("auto", "cpu"):
            backend = "torch"
        chosen = choose_backend(folder, backend)
        if chosen == "torch":
            return cls.on_torch(folder, device=device, precision=precision)
        return cls._on_a_graph(folder, chosen, device, precision)

    @classmethod
    def on_torch(cls, path: str | Path, *, device: str = "auto", precision: str = "auto") -> "Detector":
        """`load` with backend="torch"."""
        from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
        from rexnet_ai_real.detector.storage import read_detector
        from rexnet_ai_real.models.factory import build_trained

        stored = read_detector(Path(path))
        try:
            networks = [build_trained(stored.description.architecture, state) for state in stored.states]
        except (TypeError, RuntimeError, UserError) as error:
            reason = " ".join(str(error).split())[:200]
            raise NotADetector(f"{path}: its weights and the network it names do not fit together: {reason}") from error
        engine = TorchEngine.of(networks, stored.description.preprocessing, device, precision)
        return cls(engine, stored.description)

    @classmethod
    def _on_a_graph(cls, folder: Path, backend: str, device: str, precision: str) -> "Detector":
        from rexnet_ai_real.detector.engines.graphs import GraphEngine, OnnxGraph, OpenVinoGraph

        if device not in ("auto", "cpu"):
            raise UserError(f"device={device}: backend={backend} runs on the CPU; use backend=torch")
        description = read_description(folder)
        file = folder / BACKENDS[backend][0]
        if backend == "openvino":
            return cls(GraphEngine(backend, OpenVinoGraph(file, description.fingerprint, precision)), description)
        if precision not in ("auto", "32-true"):
            raise UserError(f"precision={precision}: backend={backend} computes as it was exported; leave it out")
        return cls(GraphEngine(backend, OnnxGraph(file, description.fingerprint)), description)

    def save(self, folder: str | Path) -> None:
        """Write detector.json and model.safetensors for `load`, whole or not at all; other files there are left alone.

        Raises:
            OSError: the folder cannot be written.
            UserError: the detector does not run on PyTorch.
        """
        from rexnet_ai_real.detector.storage import StoredDetector, write_detector

        states = tuple(network.state_dict() for network in self.networks)
        write_detector(Path(folder), StoredDetector(self.description, states))

    def with_calibration(self, calibration: Calibration) -> "Detector":
        """The same networks under another operating point."""
        return replace(self, description=replace(self.description, calibration=calibration))

    @property
    def preprocessing(self) -> Preprocessing:
        """That of the training."""
        return self.description.preprocessing

    @property
    def calibration(self) -> Calibration:
        """Temperature, threshold and unsure band."""
        return self.description.calibration

    @property
    def architecture(self) -> dict[str, Any]:
        """Arguments of `models.build`, of all networks alike."""
        return self.description.architecture

    @property
    def training(self) -> dict[str, Any]:
        """What is known of the training, for people."""
        return self.description.training

    @property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, weights and preprocessing: all that `logits` depends on but the backend."""
        return self.description.fingerprint

    @property
    def networks(self) -> "tuple[nn.Module, ...]":
        """The networks themselves, in evaluation mode: (N, 3, H, W) -> logits (N, 2).

        Raises:
            UserError: the detector does not run on PyTorch.
        """
        return self.torch_engine.networks

    @property
    def device(self) -> "torch.device":
        """Where the networks are.

        Raises:
            UserError: the detector does not run on PyTorch.
        """
        return self.torch_engine.device

    def logits(self, images: "Tensor") -> "Tensor":
        """Uncalibrated log-odds of "AI-generated" (N,), float32, on the CPU; averaged over the networks.

        Args:
            images: normalised as in training, (N, 3, H, W), float32, on any device.

        Raises:
            ValueError: not of that shape.
            UserError: the detector does not run on PyTorch.
        """
        return self.torch_engine.logits_of(images)

    @property
    def torch_engine(self) -> "TorchEngine":
        """The engine, where it is PyTorch.

        Raises:
            UserError: it is another.
        """
        from rexnet_ai_real.detector.engines.torch_engine import TorchEngine

        if not isinstance(self.engine, TorchEngine):
            raise UserError(f"this detector runs on backend={self.engine.backend}: load it with backend=torch")
        return self.engine

    def predict(
        self,
        paths: str | Path | Iterable[str | Path],
        batch_size: int = 32,
        workers: int = 2,
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Verdict]:
        """A verdict on each file, lazily and in order; a file that gives no image is a verdict with an error.

        Memory does not grow with the number of files: at most two batches of prepared images wait for the network.

        Args:
            paths: files, and folders, which stand for everything in them, sorted by name, links to folders followed
                once. May be endless.
            batch_size: images that go through the network together.
            workers: threads that decode and prepare images ahead of the network.
            max_pixels: an image with more is a verdict with an error.

        Raises:
            ValueError: a batch size or a number of workers below 1.
        """
        return self.predict_files(image_files(paths), batch_size, workers, max_pixels=max_pixels)

    def predict_files(
        self,
        files: Iterable[ImageFile],
        batch_size: int = 32,
        workers: int = 2,
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Verdict]:
        """The same for files that were found already; folders among them are errors.

        Raises:
            ValueError: a batch size or a number of workers below 1.
        """
        if batch_size < 1 or workers < 1:
            raise ValueError(f"batch_size={batch_size}, workers={workers}: expected at least 1 of each")
        return self._predict(files, batch_size, workers, max_pixels)

    def _predict(self, files: Iterable[ImageFile], batch_size: int, workers: int, max_pixels: int) -> Iterator[Verdict]:
        def prepare(path: Path) -> Pixels:
            return read_pixels(path, self.preprocessing, max_pixels=max_pixels)

        for batch in prepared_batches(prepare, files, batch_size=batch_size, workers=workers):
            yield from self._verdicts(batch)

    def _verdicts(self, batch: list[tuple[ImageFile, Pixels | str]]) -> list[Verdict]:
        good = [(file.path, made) for file, made in batch if not isinstance(made, str)]
        answers: Iterator[Verdict] = iter(())
        if good:
            logits = self.engine.logits(np.stack([pixels for _, pixels in good]))
            answers = iter(verdicts([path for path, _ in good], logits.tolist(), self.calibration))
        return [Verdict.failed(file.path, made) if isinstance(made, str) else next(answers) for file, made in batch]
