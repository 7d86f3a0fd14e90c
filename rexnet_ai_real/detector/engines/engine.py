"""What computes a detector's logits: PyTorch, or an exported graph on ONNX Runtime or OpenVINO."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.backends import BACKENDS
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.runs.identify import NotADetector

FINGERPRINT: Final = "fingerprint"
"""Key in the metadata of an exported graph: of the detector that it was exported from."""


class Engine(Protocol):
    """Batches of images to logits."""

    @property
    def backend(self) -> str:
        """One of `BACKENDS`."""

    def logits(self, images: Pixels) -> NDArray[np.float32]:
        """Uncalibrated log-odds of "AI-generated" (N,), from images (N, size, size, 3) in RGB, not normalised."""

    def logits_and_maps(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same logits, and the exact class-activation map (N, h, w) for "AI-generated", signed.

        Raises:
            UserError: a network that has no such map.
        """


def choose_backend(folder: Path, backend: str) -> str:
    """The backend that runs an exported folder: the one asked for, or with "auto" the first that can.

    Raises:
        UserError: a backend that there is not, or whose library is not installed.
        NotADetector: the folder has no file for it.
    """
    if backend == "auto":
        exported = [name for name, (file, _) in BACKENDS.items() if (folder / file).is_file()]
        ready = [name for name in exported if find_spec(BACKENDS[name][1])]
        if not exported:
            files = ", ".join(file for file, _ in BACKENDS.values())
            raise NotADetector(f"{folder} has none of {files}: its weights are missing. Save or export it again")
        if not ready:
            libraries = " or ".join(dict.fromkeys(BACKENDS[name][1] for name in exported))
            raise UserError(f"{folder} needs {libraries}, which is not installed: install {libraries} with pip")
        return ready[0]
    if backend not in BACKENDS:
        raise UserError(f"backend={backend}: expected auto or one of {', '.join(BACKENDS)}")
    file, library = BACKENDS[backend]
    if not (folder / file).is_file():
        raise NotADetector(
            f"{folder} has no {file}, which backend={backend} runs: export the detector with --formats "
            f"{'safetensors' if backend == 'torch' else backend}"
        )
    if not find_spec(library):
        raise UserError(f"backend={backend} needs {library}, which is not installed: install {library} with pip")
    return backend


def check_fingerprint(file: Path, found: str | None, expected: str) -> None:
    """Stop where a graph and the description beside it are not of one detector.

    Raises:
        NotADetector: they are not.
    """
    if found != expected:
        raise NotADetector(
            f"{file} does not belong to the detector.json beside it: one of them was changed or is of another "
            "detector. Export the detector again"
        )
