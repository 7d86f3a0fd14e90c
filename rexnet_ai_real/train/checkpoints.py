"""Checkpoints: written so that a kill or a full disk at any moment leaves the former one, and found again to resume."""

import io
import logging
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from rexnet_ai_real.config import ConfigError
from rexnet_ai_real.files import write_atomically
from rexnet_ai_real.models.checkpoint import AsksForCode, Damaged, read_plain
from rexnet_ai_real.runs.folder import RunFolder

log = logging.getLogger(__name__)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the target, waits until the disk has the bytes, and only then replaces the former file.

    Lightning's own writes to the folder for temporary files and moves the file from there, which on another file
    system is a copy that can be cut off.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Save `checkpoint` at `path`.

        Raises:
            OSError: it cannot be written; the former file is still there.
        """
        # In memory first: torch.save reports a full disk as a RuntimeError without its reason.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        target = Path(path)
        with write_atomically(target) as temporary, temporary.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(target.parent)

    def load_checkpoint(self, path: str | Path, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint; its notes of where checkpoints lie are those of the folder in which it is found.

        Lightning would otherwise forget the best score of a run whose folder was moved, and replace best.ckpt with the
        next epoch, however bad.
        """
        checkpoint = super().load_checkpoint(path, *arguments, **options)
        folder = os.path.realpath(Path(path).parent)
        for state in checkpoint.get("callbacks", {}).values():
            if "best_model_path" in state:
                state |= {key: _moved(state[key], folder) for key in state if key.endswith("_path")}
                state["best_k_models"] = {_moved(file, folder): loss for file, loss in state["best_k_models"].items()}
                state["dirpath"] = folder
        return checkpoint


def checkpoint_to_resume(resume: str, folder: RunFolder) -> tuple[Path, int]:
    """The checkpoint from which a run continues, and how many epochs it has.

    It is the one that `resume` names, or else last.ckpt. In place of a damaged last.ckpt best.ckpt is taken, and said.

    Raises:
        ConfigError: there is none that can be read; the message says why.
    """
    named = Path(resume) if resume.endswith(".ckpt") else folder.last_checkpoint
    if not named.is_file():
        raise ConfigError(
            f"resume={resume}: there is no {named} to continue from; if the run ended before its first "
            "epoch did, begin a new one"
        )
    try:
        return named, _epochs(named)
    except ConfigError as error:
        if named != folder.last_checkpoint or not folder.best_checkpoint.is_file():
            raise ConfigError(f"resume={resume}: {error}") from error
        try:
            epochs = _epochs(folder.best_checkpoint)
        except ConfigError as another:
            raise ConfigError(f"resume={resume}: {error}, and {another}") from another
        log.warning("%s; continuing from %s, after epoch %d", error, folder.best_checkpoint, epochs)
        return folder.best_checkpoint, epochs


def _epochs(file: Path) -> int:
    """How many epochs a checkpoint has seen."""
    try:
        content = read_plain(file)
    except Damaged as error:
        raise ConfigError(f"{file} is damaged (cut off, or not a checkpoint)") from error
    except AsksForCode as error:
        raise ConfigError(f"{file} was not opened: it asks to run {error.function}") from error
    if not isinstance(content, dict) or not {"epoch", "state_dict", "loops", "callbacks"} <= content.keys():
        raise ConfigError(f"{file} holds no training to continue, perhaps weights alone (those go to model.weights)")
    batches = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    if not batches["is_last_batch"]:
        raise ConfigError(
            f"{file} was written in the middle of an epoch (trainer.val_check_interval); resume=FOLDER continues from "
            "the end of the last one"
        )
    return int(content["epoch"]) + 1


def _moved(file: str, folder: str) -> str:
    return os.path.join(folder, os.path.basename(file)) if file else file


def _sync_folder(folder: Path) -> None:
    """Make the replacement itself survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
