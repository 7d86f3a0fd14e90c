"""The trained thing as users hold it: networks, preprocessing, operating point, and verdicts on pictures.

    detector = Detector.load("outputs/baseline/2026-11-22_10-00-00")
    for verdict in detector.predict(["a.jpg", "folder/"]):
        print(verdict.path, verdict.probability, verdict.label, verdict.error)

Pictures are decoded and prepared as in training, by the same code and the settings that travel with the weights.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rexnet_ai_real.data.decode import MAX_PIXELS, UnreadablePicture, decode
from rexnet_ai_real.data.transforms import Preprocessing
from rexnet_ai_real.detector_files import UNCALIBRATED, NotADetector, StoredDetector, read_detector, write_detector
from rexnet_ai_real.device import AUTOCAST, autocast, best_device, best_precision
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluation.operating_point import Calibration
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.models import build
from rexnet_ai_real.picture_files import PictureFile, made_ahead, picture_files
from rexnet_ai_real.verdict import Verdict, verdicts

__all__ = ["UNCALIBRATED", "Detector", "NotADetector", "Verdict"]


@dataclass(frozen=True, eq=False)
class Detector:
    """One network or several, and all that belongs to them. Made by `load`; never changed, only replaced."""

    networks: tuple[nn.Module, ...]
    """In evaluation mode, on `device`: (N, 3, H, W) -> logits (N, 2). The logits of several are averaged."""
    architecture: dict[str, Any]
    """Arguments of `models.build`, of all networks alike."""
    preprocessing: Preprocessing
    """That of the training."""
    calibration: Calibration
    """Temperature, threshold and unsure band."""
    training: dict[str, Any]
    """What is known of the training, for people."""
    device: torch.device
    precision: str
    """bf16-mixed, 16-mixed or 32-true."""

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto", precision: str = "auto") -> "Detector":
        """Read a run folder, a checkpoint of one, a multirun of folds (one network per fold), or a saved detector.

        Nothing in the files is executed. A run and a checkpoint come uncalibrated.

        Args:
            path: folder or file.
            device: auto, or a device of PyTorch's: cpu, cuda, cuda:1, mps.
            precision: auto (as in training: bfloat16 products where the processor has them), bf16-mixed, 16-mixed or
                32-true.

        Raises:
            NotADetector: none of these, or damaged, or of other labels.
            UserError: a device or a precision that there is not.
        """
        chosen = _device(device)
        if precision not in ("auto", *AUTOCAST):
            raise UserError(f"precision={precision}: expected auto or one of {', '.join(AUTOCAST)}")
        stored = read_detector(Path(path))
        return cls(
            networks=tuple(_network(stored, number, Path(path)).to(chosen) for number in range(len(stored.states))),
            architecture=stored.architecture,
            preprocessing=stored.preprocessing,
            calibration=stored.calibration,
            training=stored.training,
            device=chosen,
            precision=best_precision(chosen) if precision == "auto" else precision,
        )

    def save(self, folder: str | Path) -> None:
        """Write detector.json and model.safetensors for `load`, whole or not at all; other files there are left alone.

        Raises:
            OSError: the folder cannot be written.
        """
        write_detector(Path(folder), self._stored)

    def with_calibration(self, calibration: Calibration) -> "Detector":
        """The same networks under another operating point."""
        return replace(self, calibration=calibration)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, weights and preprocessing: all that `logits` depends on but the device."""
        return self._stored.fingerprint

    def logits(self, pictures: Tensor) -> Tensor:
        """Uncalibrated log-odds of "AI-generated" (N,), float32, on the CPU; averaged over the networks.

        Args:
            pictures: normalised by `preprocessing`, (N, 3, H, W), float32, on any device.

        Raises:
            ValueError: not of that shape.
        """
        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise ValueError(
                f"pictures of shape {tuple(pictures.shape)}: expected (N, 3, H, W) from preprocessing.transform()"
            )
        if not len(pictures):
            return torch.empty(0)
        with torch.inference_mode(), autocast(self.device, self.precision):
            batch = pictures.to(self.device).contiguous(memory_format=torch.channels_last)
            outputs = torch.stack([network(batch).float() for network in self.networks])
        return (outputs[..., AI] - outputs[..., REAL]).mean(dim=0).cpu()

    def predict(
        self,
        paths: str | Path | Iterable[str | Path],
        batch_size: int = 32,
        workers: int = 2,
        *,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Verdict]:
        """A verdict on each file, lazily and in order; a file that gives no picture is a verdict with an error.

        Memory does not grow with the number of files: at most two batches of prepared pictures wait for the network.

        Args:
            paths: files, and folders, which stand for everything in them, sorted by name, links to folders followed
                once. May be endless.
            batch_size: pictures that go through the network together.
            workers: threads that decode and prepare pictures ahead of the network.
            max_pixels: a picture with more is a verdict with an error.

        Raises:
            ValueError: a batch size or a number of workers below 1.
        """
        if batch_size < 1 or workers < 1:
            raise ValueError(f"batch_size={batch_size}, workers={workers}: expected at least 1 of each")
        return self._predict(picture_files(paths), batch_size, workers, max_pixels)

    def _predict(
        self, files: Iterator[PictureFile], batch_size: int, workers: int, max_pixels: int
    ) -> Iterator[Verdict]:
        transform = self.preprocessing.transform()

        def prepare(file: PictureFile) -> Tensor | str:
            if file.error is not None:
                return file.error
            try:
                prepared: Tensor = transform(decode(Path(file.path), max_pixels=max_pixels))
            except UnreadablePicture as error:
                return str(error)
            except Exception as error:  # a name with a zero byte, a picture larger than the memory left: one bad row
                return f"cannot be prepared: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
            return prepared

        prepared = made_ahead(prepare, files, workers=workers, ahead=2 * batch_size)
        while batch := list(islice(prepared, batch_size)):
            yield from self._verdicts(batch)

    def _verdicts(self, batch: list[tuple[PictureFile, Tensor | str]]) -> list[Verdict]:
        good = [(file.path, made) for file, made in batch if isinstance(made, Tensor)]
        answers: Iterator[Verdict] = iter(())
        if good:
            logits = self.logits(torch.stack([picture for _, picture in good]))
            answers = iter(verdicts([path for path, _ in good], logits.tolist(), self.calibration))
        return [next(answers) if isinstance(m, Tensor) else Verdict.failed(file.path, m) for file, m in batch]

    @property
    def _stored(self) -> StoredDetector:
        states = tuple(network.state_dict() for network in self.networks)
        return StoredDetector(states, self.architecture, self.preprocessing, self.calibration, self.training)


def _network(stored: StoredDetector, number: int, path: Path) -> nn.Module:
    try:
        network = build(**stored.architecture)
        network.load_state_dict(stored.states[number])
    except (TypeError, RuntimeError, UserError) as error:
        reason = " ".join(str(error).split())[:200]
        raise NotADetector(f"{path}: its weights and the network it names do not fit together: {reason}") from error
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval().to(memory_format=torch.channels_last)


def _device(name: str) -> torch.device:
    if name == "auto":
        return best_device()
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without CUDA asserts
        reason = str(error).partition("\n")[0]
        raise UserError(f"device={name} cannot be used ({reason}): expected auto, cpu, cuda or mps") from error
    return device
