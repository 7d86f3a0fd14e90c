"""Reading a detector from a run, a checkpoint, a cross-validation or a saved folder, and saving it.

A saved detector is a folder with model.safetensors and detector.json. Neither can hold code, and checkpoints are read
as plain values only.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from rexnet_ai_real.detector.backends import TIMM, TORCH
from rexnet_ai_real.detector.description import (
    UNCALIBRATED,
    Description,
    read_architecture,
    read_description,
    read_preprocessing,
    write_description,
)
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.detector.training import training_of
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.models.checkpoint import AsksForCode, Damaged, read_plain, read_safetensors
from rexnet_ai_real.models.factory import build_trained
from rexnet_ai_real.runs.identify import (
    DETECTOR_FILE,
    EXPECTED,
    Checkpoint,
    Folds,
    NotADetector,
    Run,
    Saved,
    Seeds,
    Sweep,
    identify,
)
from rexnet_ai_real.runs.jobs import Job

WEIGHTS_FILE: Final = TORCH.file

State = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class StoredDetector:
    """All that a detector is."""

    description: Description
    states: tuple[State, ...]
    """The weights of each network."""

    @classmethod
    def of(
        cls,
        states: Sequence[State],
        architecture: Mapping[str, Any],
        preprocessing: Preprocessing,
        training: Mapping[str, Any],
    ) -> "StoredDetector":
        """Uncalibrated, with its fingerprint."""
        description = Description(
            architecture=dict(architecture),
            networks=len(states),
            preprocessing=preprocessing,
            calibration=UNCALIBRATED,
            training=dict(training),
            fingerprint=fingerprint(states, architecture, preprocessing),
        )
        return cls(description, tuple(states))


def fingerprint(states: Sequence[State], architecture: Mapping[str, Any], preprocessing: Preprocessing) -> str:
    """SHA-256 over all that the uncalibrated logits depend on."""
    digest = hashlib.sha256(json.dumps([architecture, preprocessing.to_plain()], sort_keys=True).encode())
    for state in states:
        for name, tensor in sorted(state.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_detector(path: Path) -> StoredDetector:
    """The detector at a path that `identify` knows. Runs no code from the files.

    Raises:
        NotADetector: there is none, or none that can be used.
    """
    match identify(path):
        case Saved(folder):
            return read_saved(folder)
        case Checkpoint(file):
            return read_checkpoint(file)
        case Run() as found:
            return read_run(found)
        case Folds() | Seeds() as found:
            return read_together(found)
        case Sweep() as found:
            raise found.refusal()


def read_checkpoint(path: Path) -> StoredDetector:
    """A checkpoint that training wrote; it holds architecture and preprocessing too.

    Raises:
        NotADetector: no checkpoint, another program's, damaged, or one that asks to run code, which is not done.
    """
    try:
        content = read_plain(path)
    except AsksForCode as error:
        raise NotADetector(
            f"{path} was not opened: it asks to run {error.function}, and a checkpoint of this program holds plain "
            "values only. Take it from a source that you trust, or train a detector yourself"
        ) from error
    except Damaged as error:
        raise NotADetector(f"{path} is damaged or no checkpoint ({error}): {EXPECTED}") from error
    named = content if isinstance(content, dict) else {}
    settings, weights, epoch = (named.get(key) for key in ("hyper_parameters", "state_dict", "epoch"))
    if not (
        isinstance(settings, dict)
        and {"model", "preprocessing"} <= settings.keys()
        and isinstance(weights, dict)
        and all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in weights.items())
        and isinstance(epoch, int)
    ):
        raise NotADetector(
            f"{path} does not say which network and which preprocessing its weights belong to: expected a checkpoint "
            "that `python -m rexnet_ai_real.train` wrote. Foreign weights can start a training: model.weights=PATH"
        )
    prefix = "network."
    state = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
    preprocessing = read_preprocessing(settings["preprocessing"], path)
    model = read_architecture(settings["model"], preprocessing, path, "model")
    architecture = {key: value for key, value in model.items() if key not in _START}
    return StoredDetector.of([state], architecture, preprocessing, {"epochs": epoch + 1})


_START: Final = ("weights", "compile", "freeze", "freeze_epochs", "freeze_norm")
"""Settings of the model that say how training began and ran, not what the network is."""


def read_run(found: Run) -> StoredDetector:
    """The best checkpoint of a run, with a summary of its training.

    Raises:
        NotADetector: the run ended before its first epoch did, or its checkpoint cannot be used.
    """
    checkpoint = found.require_checkpoint()
    stored = read_checkpoint(checkpoint)
    training = training_of(found.run, checkpoint)
    return replace(stored, description=replace(stored.description, training=training))


def read_together(found: Folds | Seeds) -> StoredDetector:
    """The networks of a multirun's finished jobs, by fold or seed, as one detector.

    Raises:
        NotADetector: jobs whose networks or preprocessing differ.
    """

    def number(job: Job) -> int:
        return int(job.config["seed"] if isinstance(found, Seeds) else job.config["data"].get("fold") or 0)

    jobs = sorted(found.finished, key=number)
    parts = [read_run(Run(job.run)) for job in jobs]
    descriptions = [part.description for part in parts]
    first = descriptions[0]
    if any((d.architecture, d.preprocessing) != (first.architecture, first.preprocessing) for d in descriptions):
        raise NotADetector(f"{found.folder}: its jobs differ in network or preprocessing; give the folder of one job")
    if len(parts) == 1:
        return parts[0]
    numbers = [number(job) for job in jobs]
    several = {"seeds": numbers} if isinstance(found, Seeds) else {"folds": jobs[0].config["data"].get("folds")}
    networks = {str(k): description.training for k, description in zip(numbers, descriptions, strict=True)}
    training = {**several, "networks": networks}
    return StoredDetector.of([part.states[0] for part in parts], first.architecture, first.preprocessing, training)


def read_saved(folder: Path) -> StoredDetector:
    """What `write_detector` saved.

    Raises:
        NotADetector: damaged, of other labels or of a later version, or files that do not belong together.
    """
    return _with_weights(folder, read_description(folder))


def _with_weights(folder: Path, description: Description) -> StoredDetector:
    stored = StoredDetector(description, _read_weights(folder / WEIGHTS_FILE))
    _require_together(folder / WEIGHTS_FILE, stored)
    return stored


def _require_together(file: Path, stored: StoredDetector) -> None:
    description = stored.description
    found = fingerprint(stored.states, description.architecture, description.preprocessing)
    if found != description.fingerprint or len(stored.states) != description.networks:
        raise NotADetector(
            f"{file} and {DETECTOR_FILE} do not belong together: one of them was changed or is of another detector. "
            "Save or export the detector again"
        )


def open_saved(folder: Path, description: Description, device: str, precision: str) -> TorchEngine:
    """A saved detector on PyTorch.

    Raises:
        NotADetector: its weights are damaged or belong to another description.
        UserError: no such device or precision.
    """
    return torch_engine(_with_weights(folder, description), folder, device, precision)


def open_timm(folder: Path, description: Description, device: str, precision: str) -> TorchEngine:
    """timm/model.safetensors on PyTorch: one network, its tensors under timm's names, which are this project's too.

    timm/config.json is for timm alone, and is not read: detector.json says which network it is.

    Raises:
        NotADetector: its weights are damaged or belong to another description.
        UserError: no such device or precision.
    """
    file = folder / TIMM.file
    stored = StoredDetector(description, (_read_tensors(file),))
    _require_together(file, stored)
    return torch_engine(stored, folder, device, precision)


def torch_engine(stored: StoredDetector, path: Path | str, device: str, precision: str) -> TorchEngine:
    """The networks of a detector that was read from `path`, ready for inference.

    Raises:
        NotADetector: the weights do not fit the architecture that comes with them.
        UserError: no such device or precision.
    """
    try:
        networks = [build_trained(stored.description.architecture, state) for state in stored.states]
    except Exception as error:  # whatever a network raises that is built from impossible settings
        reason = " ".join(str(error).split())[:200]
        raise NotADetector(f"{path}: its weights and the network it names do not fit together: {reason}") from error
    return TorchEngine.of(networks, stored.description.preprocessing, device, precision)


def write_detector(folder: Path, stored: StoredDetector) -> None:
    """Save model.safetensors and detector.json, each atomically.

    The fingerprint in detector.json, written last, makes a folder in which only the weights are new unreadable rather
    than wrong.
    """
    tensors = {
        f"{number}.{name}": tensor for number, state in enumerate(stored.states) for name, tensor in state.items()
    }
    write_tensors(folder / WEIGHTS_FILE, tensors)
    write_description(folder, stored.description)


def write_tensors(file: Path, tensors: State) -> None:
    """Write a .safetensors file atomically.

    Raises:
        OSError: it cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with write_atomically(file) as temporary:
        try:
            save_file(plain, temporary, metadata={"format": "pt"})
        except SafetensorError as error:  # of a full disk too
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code), str(file)) from error


def _read_weights(file: Path) -> tuple[State, ...]:
    """The state of each network, whose tensors' names begin with its number: 0.stem.conv.weight."""
    states: dict[int, State] = {}
    for key, tensor in _read_tensors(file).items():
        number, _, name = key.partition(".")
        if not (number.isascii() and number.isdecimal() and len(number) < 4):
            raise NotADetector(f"{file} holds {key[:80]}: expected names that begin with a network's number (0.stem)")
        states.setdefault(int(number), {})[name] = tensor
    return tuple(states[number] for number in sorted(states))


def _read_tensors(file: Path) -> State:
    try:
        return read_safetensors(file)
    except Damaged as error:
        raise NotADetector(f"{file} is missing or damaged ({error}). Save or export the detector again") from error
