"""What computes a detector's logits: PyTorch, or an exported graph on ONNX Runtime or OpenVINO."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.backends import BACKENDS, TORCH, Backend
from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.runs.identify import NotADetector

if TYPE_CHECKING:
    import torch

AUTO: Final = "auto"
AUTO_TORCH: Final = "auto, on torch"
"""As `AUTO`, of the backends that run on PyTorch, and so on other devices than the CPU."""
ROUTINE_SIZE: Final = 512
"""Pixels a side up to which a batch is computed as it comes."""
PIXELS_AT_ONCE: Final = 32 * ROUTINE_SIZE**2
"""Of larger images in one forward pass."""


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


def logits_of_views(engine: Engine, images: Pixels) -> NDArray[np.float32]:
    """The mean logit (N,) of each image over its views, from (N, views, size, size, 3)."""
    views = [engine.logits(np.ascontiguousarray(images[:, view])) for view in range(images.shape[1])]
    return np.mean(views, axis=0, dtype=np.float32) if len(views) > 1 else views[0]


def choose_backend(folder: Path, name: str, has: Callable[[str], bool] | None = None) -> Backend:
    """The backend that runs an exported folder: the one asked for, or with "auto" the first that can.

    Args:
        folder: of the detector.
        name: auto, `AUTO_TORCH` or one of `BACKENDS`.
        has: whether a file is in the folder, where the folder is not on this machine.

    Raises:
        UserError: no such backend, or its library is not installed.
        NotADetector: the folder has no file for it.
    """
    has = has or (lambda file: (folder / file).is_file())
    if name == AUTO_TORCH:
        on_torch = (known for known in BACKENDS.values() if known.library == TORCH.library and has(known.file))
        name = next(on_torch, TORCH).name
    if name == AUTO:
        exported = [backend for backend in BACKENDS.values() if has(backend.file)]
        if not exported:
            files = ", ".join(backend.file for backend in BACKENDS.values())
            raise NotADetector(f"{folder} has none of {files}: its weights are missing. Save or export it again")
        ready = [backend for backend in exported if backend.is_installed]
        if not ready:
            libraries = " or ".join(dict.fromkeys(backend.library for backend in exported))
            raise UserError(f"{folder} needs {libraries}, which is not installed: install {libraries} with pip")
        return ready[0]
    backend = _known(name)
    if not has(backend.file):
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
    if name not in (AUTO, AUTO_TORCH) and (backend := _known(name)) is not TORCH:
        raise UserError(
            f"backend={name} runs exported detectors, and {path} is none: export it first with "
            f"python -m rexnet_ai_real.export {path} OUT --formats {backend.format}"
        )


def facts(description: Description) -> dict[str, str]:
    """What a graph's metadata must have in common with detector.json: all that its logits depend on.

    The fingerprint alone is no proof beside a graph, whose weights cannot be hashed again: it would still be the same
    where only the preprocessing in detector.json was changed.
    """
    return {
        "fingerprint": description.fingerprint,
        "preprocessing": json.dumps(description.preprocessing.to_plain()),
        "architecture": json.dumps(description.architecture),
        "networks": str(description.networks),
    }


def check_facts(file: Path, found: Mapping[str, str], description: Description) -> None:
    """Refuse a graph that is not of the detector that the description beside it is of.

    Args:
        file: of the graph.
        found: its metadata.
        description: the detector.json beside it.

    Raises:
        NotADetector: they differ.
    """
    differing = [key for key, value in facts(description).items() if found.get(key) != value]
    if differing:
        raise NotADetector(
            f"{file} does not belong to the detector.json beside it: they differ in {', '.join(differing)}. One of "
            "them was changed or is of another detector. Export the detector again"
        )


def at_once(image_size: int) -> int | None:
    """How many images of a size may go through the network together; None: any number."""
    return None if image_size <= ROUTINE_SIZE else max(PIXELS_AT_ONCE // image_size**2, 1)


def in_parts(images: Pixels) -> list[Pixels]:
    """A batch (N, size, size, 3) as the batches that go through the network one after the other, to bound memory."""
    most = at_once(images.shape[1]) or max(len(images), 1)
    return [images[start : start + most] for start in range(0, len(images), most)] or [images]


def _known(name: str) -> Backend:
    if name not in BACKENDS:
        raise UserError(f"backend={name}: expected auto or one of {', '.join(BACKENDS)}")
    return BACKENDS[name]
