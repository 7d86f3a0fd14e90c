"""Where detectors come from (a run, a checkpoint, a cross-validation, a saved detector) and how they are saved.

A saved detector is a folder with model.safetensors and detector.json. Neither can carry code, and checkpoints are read
as plain values only.
"""

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rexnet_ai_real.config import INTERPOLATIONS, RESIZES
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.data.transforms import Preprocessing
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluation.operating_point import Calibration
from rexnet_ai_real.files import write_atomically, write_text
from rexnet_ai_real.labels import LABELS
from rexnet_ai_real.run_folder import RunFolder

WEIGHTS_FILE: Final = "model.safetensors"
DETECTOR_FILE: Final = "detector.json"
VERSION: Final = 1
EXPECTED: Final = (
    f"expected a run folder, a .ckpt of one, the folder of a multirun of folds, or a folder with {DETECTOR_FILE}"
)

UNCALIBRATED: Final = Calibration(
    temperature=1.0,
    threshold=0.5,
    threshold_rule="0.5 on uncalibrated probabilities: nothing is promised",
    unsure_low=0.5,
    unsure_high=0.5,
    coverage=1.0,
    error_target=None,
    confidence=None,
    band_rule="no unsure band: every picture is answered",
    n_real=0,
    n_ai=0,
    notes=("Not calibrated: evaluate the detector to fit a temperature, a threshold and an unsure band.",),
)

State = dict[str, Tensor]


class NotADetector(UserError, ValueError):
    """What was given holds no detector, or none that this program can use; the message says why and what to give."""


@dataclass(frozen=True, eq=False)
class StoredDetector:
    """All that a detector is, in plain values."""

    states: tuple[State, ...]
    """The weights of each network."""
    architecture: dict[str, Any]
    """Arguments of `models.build`, of all networks alike."""
    preprocessing: Preprocessing
    calibration: Calibration
    training: dict[str, Any]
    """What is known of how it was trained, for people: pictures, epochs, metrics."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, weights and preprocessing: all that the uncalibrated logits depend on."""
        digest = hashlib.sha256(json.dumps([self.architecture, self.preprocessing.to_plain()], sort_keys=True).encode())
        for state in self.states:
            for name, tensor in sorted(state.items()):
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


def read_detector(path: Path) -> StoredDetector:
    """The detector in a run folder, a checkpoint, a multirun of folds or a saved folder. Runs no code of theirs.

    Raises:
        NotADetector: anything else.
    """
    if path.is_file():
        return read_checkpoint(path)
    if not path.is_dir():
        raise NotADetector(f"{path} does not exist: {EXPECTED}")
    if (path / DETECTOR_FILE).is_file():
        return read_saved(path)
    run = RunFolder(path)
    return read_run(run) if run.config_file.is_file() else read_folds(path)


def read_checkpoint(path: Path) -> StoredDetector:
    """A checkpoint that training wrote; it brings architecture and preprocessing along.

    Raises:
        NotADetector: no checkpoint, another program's, damaged, or one that asks to run code, which is not done.
    """
    if path.name in (WEIGHTS_FILE, DETECTOR_FILE):
        raise NotADetector(f"{path} is one of the two files of a saved detector: give its folder, {path.parent}")
    try:
        content = torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if code := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise NotADetector(
                f"{path} was not opened: it asks to run {code[1]}, and a checkpoint of this program holds plain values "
                "only. Take it from a source that you trust, or train a detector yourself"
            ) from error
        raise NotADetector(f"{path} is damaged or no checkpoint: {EXPECTED}") from error
    except Exception as error:  # a file of another kind shows as any of a dozen types
        raise NotADetector(f"{path} is damaged or no checkpoint: {EXPECTED}") from error
    named = content if isinstance(content, dict) else {}
    settings, weights, epoch = (named.get(key) for key in ("hyper_parameters", "state_dict", "epoch"))
    if not (
        isinstance(settings, dict)
        and {"model", "preprocessing"} <= settings.keys()
        and isinstance(weights, dict)
        and isinstance(epoch, int)
    ):
        raise NotADetector(
            f"{path} does not say which network and which preprocessing its weights belong to: expected a checkpoint "
            "that `python -m rexnet_ai_real.train` wrote. Foreign weights can start a training: model.weights=PATH"
        )
    prefix = "network."
    state = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
    model = {key: value for key, value in _mapping(settings["model"], path, "model").items() if key not in _START}
    preprocessing = _preprocessing(settings["preprocessing"], path)
    return StoredDetector((state,), model, preprocessing, UNCALIBRATED, {"epochs": epoch + 1})


_START: Final = ("weights", "compile")
"""Settings of the model that say how training began and ran, not what the network is."""


def read_run(run: RunFolder) -> StoredDetector:
    """The best checkpoint of a run, with what the run tells of its training.

    Raises:
        NotADetector: the run ended before its first epoch did, or its checkpoint cannot be used.
    """
    if not run.best_checkpoint.is_file():
        raise NotADetector(
            f"{run.path} is a run without {run.best_checkpoint.relative_to(run.path)}: it ended before its first epoch "
            f"did. Train again, or go on with resume={run.path}"
        )
    return replace(read_checkpoint(run.best_checkpoint), training=_summary(run))


def read_folds(folder: Path) -> StoredDetector:
    """The networks of a cross-validation's finished jobs, by fold, as one detector.

    Raises:
        NotADetector: no multirun, no finished job, or jobs that differ in more than the fold.
    """
    from rexnet_ai_real.sweep.jobs import FOLD, NotASweep, read_jobs, varying  # brings Hydra along

    try:
        jobs = read_jobs(folder)
    except NotASweep:
        raise NotADetector(f"{folder} holds no detector: {EXPECTED}") from None
    finished = [job for job in jobs if job.status == "finished"]
    if not finished:
        raise NotADetector(f"{folder} is a multirun without a finished job: wait for it, or see error.txt in its jobs")
    other = [key for key in varying(jobs) if key != FOLD]
    folds = [job.config["data"]["fold"] for job in finished]
    if other or len(set(folds)) < len(folds):
        difference = f"jobs that differ in {', '.join(other)}" if other else "several jobs of one fold"
        raise NotADetector(
            f"{folder} is a multirun of {difference}; only the folds of one cross-validation make one detector. "
            f"Give the folder of one job, such as {finished[0].run.path}"
        )
    finished.sort(key=lambda job: job.config["data"]["fold"] or 0)
    parts = [read_run(job.run) for job in finished]
    first = parts[0]
    if any((part.architecture, part.preprocessing) != (first.architecture, first.preprocessing) for part in parts):
        raise NotADetector(f"{folder}: its jobs differ in network or preprocessing; give the folder of one job")
    if len(parts) == 1:
        return first
    training = {
        "folds": int(finished[0].config["data"]["folds"]),
        "networks": {str(job.config["data"]["fold"]): part.training for job, part in zip(finished, parts, strict=True)},
    }
    return replace(first, states=tuple(part.states[0] for part in parts), training=training)


def read_saved(folder: Path) -> StoredDetector:
    """What `write_detector` saved.

    Raises:
        NotADetector: damaged, of other labels or of a later version, or files that do not belong together.
    """
    file = folder / DETECTOR_FILE
    try:
        plain = _mapping(json.loads(file.read_text(encoding="utf-8")), file, "it")
    except ValueError as error:
        raise NotADetector(f"{file} is damaged: {error}. Save or export the detector again") from error
    if plain.get("version") != VERSION:
        raise NotADetector(f"{file} is of version {plain.get('version')}; this program reads version {VERSION}")
    if plain.get("labels") != list(LABELS):
        raise NotADetector(f"{file} is a detector for the labels {plain.get('labels')}; expected {list(LABELS)}")
    architecture = dict(_mapping(plain.get("architecture"), file, "architecture"))
    preprocessing = _preprocessing(plain.get("preprocessing"), file)
    try:
        calibration = Calibration.from_plain(_mapping(plain.get("calibration"), file, "calibration"))
    except (TypeError, ValueError) as error:
        raise NotADetector(f"{file}: {error}") from error
    training = dict(_mapping(plain.get("training"), file, "training"))
    stored = StoredDetector(_read_weights(folder / WEIGHTS_FILE), architecture, preprocessing, calibration, training)
    if stored.fingerprint != plain.get("fingerprint"):
        raise NotADetector(
            f"{WEIGHTS_FILE} and {DETECTOR_FILE} in {folder} do not belong together: one of them was changed or is of "
            "another detector. Save or export the detector again"
        )
    return stored


def write_detector(folder: Path, stored: StoredDetector) -> None:
    """Save model.safetensors and detector.json, each whole or not at all.

    The fingerprint in detector.json, written last, makes a folder in which only the weights are new unreadable rather
    than wrong.
    """
    tensors = {
        f"{number}.{name}": tensor.detach().cpu().contiguous()
        for number, state in enumerate(stored.states)
        for name, tensor in state.items()
    }
    plain = {
        "version": VERSION,
        "labels": list(LABELS),
        "architecture": stored.architecture,
        "networks": len(stored.states),
        "preprocessing": stored.preprocessing.to_plain(),
        "calibration": stored.calibration.plain(),
        "training": stored.training,
        "fingerprint": stored.fingerprint,
    }
    text = json.dumps(plain, indent=2, allow_nan=False)
    with write_atomically(folder / WEIGHTS_FILE) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_text(folder / DETECTOR_FILE, text + "\n")


def _read_weights(file: Path) -> tuple[State, ...]:
    """The state of each network, whose tensors' names begin with its number: 0.stem.conv.weight."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise NotADetector(f"{file} is missing or damaged ({error}). Save or export the detector again") from error
    states: dict[int, State] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        if not number.isdecimal():
            raise NotADetector(f"{file} holds {key}: expected 0.{key}, names that begin with a network's number")
        states.setdefault(int(number), {})[name] = tensor
    return tuple(states[number] for number in sorted(states))


def _summary(run: RunFolder) -> dict[str, Any]:
    """The pictures, length and metrics of a run; no paths, since a saved detector is passed on."""
    config = run.read_config()
    summary: dict[str, Any] = {"name": config["name"], "data": config["data"]["name"], "seed": config["seed"]}
    if run.manifest_file.is_file():
        manifest = read_manifest(run.manifest_file)
        counts = manifest[manifest["split"] != ""].groupby(["split", "label"]).size()
        summary["pictures"] = {
            split: {LABELS[label]: int(count) for label, count in counts[split].items()}
            for split in ("train", "val", "test")
            if split in counts.index
        }
    if run.metrics_file.is_file():
        metrics = run.read_metrics()
        summary |= {key: metrics[key] for key in ("epochs", "best_epoch", "seconds", "val", "test")}
    return summary


def _mapping(plain: object, file: Path, name: str) -> Mapping[str, Any]:
    if not isinstance(plain, dict):
        raise NotADetector(f"{file}: {name} must be an object with named entries, got {type(plain).__name__}")
    return cast(Mapping[str, Any], plain)


def _preprocessing(plain: object, file: Path) -> Preprocessing:
    entries = dict(_mapping(plain, file, "preprocessing"))
    try:
        preprocessing = Preprocessing.from_plain(entries)
    except (KeyError, TypeError) as error:
        raise NotADetector(f"{file}: preprocessing has missing or unknown entries ({error})") from error
    channels = (*preprocessing.mean, *preprocessing.std)
    sound = (
        isinstance(preprocessing.image_size, int)
        and 0 < preprocessing.image_size <= _LARGEST
        and preprocessing.resize in RESIZES
        and preprocessing.interpolation in INTERPOLATIONS
        and len(preprocessing.mean) == len(preprocessing.std) == 3
        and all(isinstance(value, int | float) for value in channels)
        and min(preprocessing.std) > 0
    )
    if not sound:
        raise NotADetector(f"{file}: no preprocessing that can be done: {entries}")
    return preprocessing


_LARGEST: Final = 4096
"""Pixels a side; a stranger's file must not ask for all the memory."""
