"""A trained detector as users hold it: engine, preprocessing, operating point, and verdicts on images.

    detector = Detector.load("outputs/baseline/2026-11-22_10-00-00")  # without an argument: the one that comes along
    for verdict in detector.predict(["a.jpg", "folder/"]):
        print(verdict.path, verdict.probability, verdict.label, verdict.error)

Images are decoded and prepared as in training, by the same code and by settings that are stored with the weights.
PyTorch is imported only for detectors that run on it: an exported one needs ONNX Runtime or OpenVINO instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rexnet_ai_real.detector.backends import TORCH
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import Description, read_description
from rexnet_ai_real.detector.engines.engine import (
    AUTO,
    AUTO_TORCH,
    Engine,
    at_once,
    choose_backend,
    logits_of_views,
    require_exported,
)
from rexnet_ai_real.detector.hub import locate
from rexnet_ai_real.detector.verdict import Delivered, Verdict, verdicts
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.decode import file_bytes
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.loading import prepared_batches
from rexnet_ai_real.images.preprocessing import Pixels, Preprocessing
from rexnet_ai_real.images.remarks import Remarked, read_with_remarks
from rexnet_ai_real.images.tiers import REDELIVERIES, read_redelivered
from rexnet_ai_real.images.walk import ImageFile, image_files, is_system_file
from rexnet_ai_real.runs.identify import Saved, identify


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    image: Remarked
    copies: tuple[Pixels, ...] = ()
    """After each of `REDELIVERIES`, where these are wanted."""


@dataclass(frozen=True, eq=False)
class Detector:
    """What computes logits, and its description. Made by `load`; never changed, only replaced."""

    engine: Engine
    description: Description
    origin: str | None = None
    """OWNER/NAME@COMMIT, where it was loaded from the Hugging Face Hub; "ready", where it comes with this program."""

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        backend: str = "auto",
        device: str = "auto",
        precision: str = "auto",
    ) -> "Detector":
        """Read a run folder, a checkpoint, a multirun of folds or seeds (one network each), or an exported detector.

        No code in the files is executed. A run and a checkpoint are not calibrated.

        Args:
            path: folder or file; or an exported detector on the Hugging Face Hub, OWNER/NAME or OWNER/NAME@REVISION,
                where no such file or folder exists. Without a network the copy in the Hub's cache is taken. None, or
                "ready": the detector that comes with this program.
            backend: onnx, torch, onnx-int8, openvino or timm. auto takes the first of these that an exported folder
                has a file for; where another device than the CPU is asked for, the first of torch and timm. Runs and
                checkpoints need torch.
            device: auto, or a PyTorch device: cpu, cuda, cuda:1, mps. Exported graphs run on the CPU.
            precision: of PyTorch and OpenVINO: auto (as in training: bfloat16 products where the processor has them),
                bf16-mixed, 16-mixed or 32-true.

        Raises:
            NotADetector: none of these, or damaged, or of other labels; or the Hub has none under this name.
            UserError: no such backend, device or precision, or its library is not installed.
        """
        if backend == AUTO and device not in ("auto", "cpu"):
            backend = AUTO_TORCH
        located = locate(path, backend)
        folder = located.path
        if isinstance(identify(folder), Saved):
            chosen = choose_backend(folder, backend)
            description = read_description(folder)
            return cls(chosen.open(folder, description, device, precision), description, located.origin)
        require_exported(folder, backend)
        if not TORCH.is_installed:
            raise UserError(
                f"{folder} is not exported and runs on PyTorch, which is not installed: pip install rexnet-ai-real, or "
                "export the detector where PyTorch is and give the exported folder"
            )
        from rexnet_ai_real.detector.storage import read_detector, torch_engine  # PyTorch takes seconds

        stored = read_detector(folder)
        return cls(torch_engine(stored, folder, device, precision), stored.description)

    def save(self, folder: str | Path) -> None:
        """Write detector.json and model.safetensors, each atomically, for `load`. Other files there are left alone.

        Raises:
            OSError: the folder cannot be written.
            UserError: the detector does not run on PyTorch.
        """
        from rexnet_ai_real.detector.engines.torch_engine import require_torch
        from rexnet_ai_real.detector.storage import StoredDetector, write_detector

        networks = require_torch(self.engine, "Saving a detector").networks
        states = tuple(network.state_dict() for network in networks)
        write_detector(Path(folder), StoredDetector(self.description, states))

    def with_calibration(self, calibration: Calibration) -> "Detector":
        """The same detector with another operating point."""
        return replace(self, description=replace(self.description, calibration=calibration))

    def with_views(self, views: Sequence[str]) -> "Detector":
        """The same networks, whose logits are averaged over these `VIEWS`: another detector, not calibrated.

        Raises:
            UserError: the detector does not run on PyTorch.
        """
        if self.preprocessing.views == tuple(views):
            return self
        from rexnet_ai_real.detector.engines.torch_engine import require_torch
        from rexnet_ai_real.detector.storage import StoredDetector

        engine, old = require_torch(self.engine, "Changing the views of a detector"), self.description
        preprocessing = replace(self.preprocessing, views=tuple(views))
        states = [network.state_dict() for network in engine.networks]
        stored = StoredDetector.of(states, old.architecture, preprocessing, old.training)
        return replace(self, engine=replace(engine, preprocessing=preprocessing), description=stored.description)

    @property
    def preprocessing(self) -> Preprocessing:
        """The same as in training."""
        return self.description.preprocessing

    @property
    def calibration(self) -> Calibration:
        """Temperature, threshold and unsure band."""
        return self.description.calibration

    @property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, weights and preprocessing: all that logits depend on, except the backend."""
        return self.description.fingerprint

    def predict(
        self,
        paths: str | Path | Iterable[str | Path],
        batch_size: int = 32,
        workers: int = 2,
        *,
        max_pixels: int = MAX_PIXELS,
        redeliver: bool = False,
    ) -> Iterator[Verdict]:
        """A verdict on each file, lazily and in order; a file that gives no image is a verdict with an error.

        Screenshots, text, flat graphics, and images with nothing on them or far fewer pixels than the network sees are
        "out of scope"; the probability and the way it leans are given all the same.

        Memory does not grow with the number of files: at most two batches of prepared images wait for the network.

        Args:
            paths: files, and folders, which stand for everything in them except what macOS and Windows put there
                (.DS_Store, Thumbs.db ...), sorted by name, links to folders followed once. May be endless.
            batch_size: images that go through the network together.
            workers: threads that decode and prepare images ahead of the network.
            max_pixels: an image with more is a verdict with an error.
            redeliver: also judge two smaller, re-compressed copies of each image, and be "unsure" where one of them
                changes the answer. Takes three times as long.

        Raises:
            ValueError: a batch size or a number of workers below 1.
        """
        files = image_files(paths, is_passed_over=is_system_file)
        return self.predict_files(files, batch_size, workers, max_pixels=max_pixels, redeliver=redeliver)

    def predict_files(
        self,
        files: Iterable[ImageFile],
        batch_size: int = 32,
        workers: int = 2,
        *,
        max_pixels: int = MAX_PIXELS,
        redeliver: bool = False,
    ) -> Iterator[Verdict]:
        """The same for files that were found already; folders among them are errors.

        Raises:
            ValueError: a batch size or a number of workers below 1.
        """
        if batch_size < 1 or workers < 1:
            raise ValueError(f"batch_size={batch_size}, workers={workers}: expected at least 1 of each")
        return self._predict(files, batch_size, workers, max_pixels, redeliver)

    def _predict(
        self, files: Iterable[ImageFile], batch_size: int, workers: int, max_pixels: int, redeliver: bool
    ) -> Iterator[Verdict]:
        def prepare(path: Path) -> _Prepared:
            with file_bytes(path) as data:
                side = self.description.familiar_side
                # Not from the decoding below: the frame is decoded at a reduced size, as in training, copies are not.
                image = read_with_remarks(data, self.preprocessing, max_pixels=max_pixels, familiar_side=side)
                if not redeliver:
                    return _Prepared(image)
                return _Prepared(image, read_redelivered(data, self.preprocessing, max_pixels=max_pixels))

        batch_size = min(batch_size, at_once(self.preprocessing.image_size) or batch_size)
        for batch in prepared_batches(prepare, files, batch_size=batch_size, workers=workers):
            yield from self._verdicts(batch)

    def _verdicts(self, batch: list[tuple[ImageFile, _Prepared | str]]) -> list[Verdict]:
        good = [(file.path, made) for file, made in batch if not isinstance(made, str)]
        answers: Iterator[Verdict] = iter(())
        if good:
            answers = iter(
                verdicts(
                    [path for path, _ in good],
                    logits_of_views(self.engine, np.stack([made.image.pixels for _, made in good])).tolist(),
                    self.calibration,
                    [made.image.remark for _, made in good],
                    [made.image.outside for _, made in good],
                    self._delivered([made.copies for _, made in good]),
                )
            )
        return [Verdict.failed(file.path, made) if isinstance(made, str) else next(answers) for file, made in batch]

    def _delivered(self, copies: list[tuple[Pixels, ...]]) -> list[Delivered] | None:
        """Logits of each image after each of `REDELIVERIES`; None where no copies were made."""
        if not copies[0]:
            return None
        logits = [logits_of_views(self.engine, np.stack(images)).tolist() for images in zip(*copies, strict=True)]
        return [tuple(zip(REDELIVERIES, of_image, strict=True)) for of_image in zip(*logits, strict=True)]
