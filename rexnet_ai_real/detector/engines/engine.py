"""What computes a detector's logits: PyTorch, or an exported graph on ONNX Runtime or OpenVINO."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.backends import BACKENDS, TORCH, Backend
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.runs.identify import NotADetector

if TYPE_CHECKING:
    import torch

FINGERPRINT: Final = "fingerprint"
"""Key in the metadata of an exported graph: of the detector that it was exported from."""
AUTO: Final = "auto"


class Engine(Protocol):
    """Batches of images to logits."""

    @property
    def backend(self) -> str:
        """One of `BACKENDS`."""

    @property
    def device(self) -> "torch.device | str":
        """Where it computes."""

    def logits(self, images: Pixels) -> NDArray[np.float32]:
        """Uncalibrated log-odds of "AI-generated" (N,), from images (N, size, size, 3) in RGB, not normalised."""

    def logits_and_maps(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same logits, and the exact class-activation map (N, h, w) for "AI-generated", signed.

        Raises:
            UserError: the network has no such map.
        """


def choose_backend(folder: Path, name: str) -> Backend:
    """The backend that runs an exported folder: the one asked for, or with "auto" the first that can.

    Raises:
        UserError: no such backend, or its library is not installed.
        NotADetector: the folder has no file for it.
    """
    if name == AUTO:
        exported = [backend for backend in BACKENDS.values() if (folder / backend.file).is_file()]
        if not exported:
            files = ", ".join(backend.file for backend in BACKENDS.values())
            raise NotADetector(f"{folder} has none of {files}: its weights are missing. Save or export it again")
        ready = [backend for backend in exported if backend.is_installed]
        if not ready:
            libraries = " or ".join(dict.fromkeys(backend.library for backend in exported))
            raise UserError(f"{folder} needs {libraries}, which is not installed: install {libraries} with pip")
        return ready[0]
    backend = _known(name)
    if not (folder / backend.file).is_file():
        raise NotADetector(
            f"{folder} has no {backend.file}, which backend={name} runs: export the detector with --formats "
            f"{backend.format}"
        )
    if not backend.is_installed:
        raise UserError(
            f"backend={name} needs {backend.library}, which is not installed: install {backend.library} with pip"
        )
    return backend


def require_exported(path: Path, name: str) -> None:
    """Refuse to run on a backend that needs an exported file what is not exported.

    Args:
        path: of a run, a checkpoint or a multirun, all of which run on PyTorch alone.
        name: of the backend asked for.

    Raises:
        UserError: the backend is not PyTorch.
    """
    if name != AUTO and (backend := _known(name)) is not TORCH:
        raise UserError(
            f"backend={name} runs exported detectors, and {path} is none: export it first with "
            f"python -m rexnet_ai_real.export {path} OUT --formats {backend.format}"
        )


def check_fingerprint(file: Path, found: str | None, expected: str) -> None:
    """Refuse a graph that is not of the detector that the description beside it is of.

    Raises:
        NotADetector: their fingerprints differ.
    """
    if found != expected:
        raise NotADetector(
            f"{file} does not belong to the detector.json beside it: one of them was changed or is of another "
            "detector. Export the detector again"
        )


def _known(name: str) -> Backend:
    if name not in BACKENDS:
        raise UserError(f"backend={name}: expected auto or one of {', '.join(BACKENDS)}")
    return BACKENDS[name]
