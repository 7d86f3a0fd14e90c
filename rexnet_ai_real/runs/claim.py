"""Folders for new runs: each is made for one run alone, and none takes the place of another."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import claim_folder
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.jobs import ERROR_FILE, OVERRIDES_FILE

RANKS: Final = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Where launchers of several processes tell each its number; the first that is set counts, as Lightning has it."""
LOG_FORMAT: Final = "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"


class FolderTaken(UserError, FileExistsError):
    """The folder holds something that the run would replace. The message says what can be done."""


def is_first_process() -> bool:
    """Whether this process writes the files of the run: under DDP the other processes only compute."""
    rank = next((os.environ[name] for name in RANKS if name in os.environ), "0")
    return rank == "0" and os.environ.get("NODE_RANK", "0") == "0"


def claim(path: Path, *, rename: bool) -> Path:
    """Make the folder of a new run or multirun, and give its path.

    Args:
        path: parents are made as well.
        rename: where the name is taken, add -2, -3 ...: of processes that start at the same time each gets its own.
            False: the folder may be there, and hold other things. What a failed job left in it is removed.

    Raises:
        FolderTaken: it holds a run or a multirun.
        OSError: it cannot be made.
    """
    if rename:
        return claim_folder(path)
    if what := held(path):
        resume = f"resume={path} continues the run. " if what == "a run" else ""
        raise FolderTaken(
            f"output_dir={path} holds {what}, and nothing is overwritten. {resume}For a new one give another folder, "
            "or leave output_dir out"
        )
    path.mkdir(parents=True, exist_ok=True)
    if (path / ERROR_FILE).exists():
        RunFolder(path).clear()
        (path / ERROR_FILE).unlink()
    return path


@contextmanager
def claimed(path: Path, *, rename: bool) -> Iterator[RunFolder]:
    """The folder of a new run, with its log. It is removed again where the run fails before `begin`.

    Raises:
        FolderTaken, OSError: as `claim`.
    """
    new = missing_folders(path)
    folder = RunFolder(claim(path, rename=rename))
    if rename:  # another process may have made `path` in the meantime
        new = [folder.path, *(parent for parent in new if parent != path)]
    try:
        with written_to(folder.log_file):
            yield folder
    finally:
        if not folder.config_file.exists():
            folder.log_file.unlink(missing_ok=True)
            remove_empty(new)


def missing_folders(path: Path) -> list[Path]:
    """The folder and those around it that do not exist yet, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, in this order, in which nothing lies."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def begin(folder: RunFolder, config: dict[str, Any]) -> None:
    """Save the configuration of a run as the first of its files: from here on the folder holds a run.

    Raises:
        FolderTaken: another process was faster.
        OSError: the folder cannot be written.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        folder.config_file.open("x").close()
    except FileExistsError as error:
        raise FolderTaken(f"{folder.path} holds a run, and nothing is overwritten: give another output_dir") from error
    folder.write_config(config)


@contextmanager
def written_to(log_file: Path) -> Iterator[None]:
    """Append what is logged to a file too, which is made with the first line."""
    handler = logging.FileHandler(log_file, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


@contextmanager
def system_errors_in_words() -> Iterator[None]:
    """Say in one line what the system refuses: a full disk, a folder that cannot be written.

    Raises:
        UserError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, UserError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise UserError(
            f"{where}{error.strerror or error}. What was complete is kept. Make room or give another output_dir; "
            "resume=FOLDER continues a run after its last complete epoch"
        ) from error


def held(folder: Path) -> str | None:
    """What a folder holds that a new run would replace: "a run", "a multirun", or None."""
    if (folder / ERROR_FILE).exists():  # a job that failed, and may be run again
        return None
    run = RunFolder(folder)
    if run.config_file.exists() or run.metrics_file.exists() or any(run.checkpoints.glob("*.ckpt")):
        return "a run"
    return "a multirun" if any(folder.glob(f"*/{OVERRIDES_FILE}")) else None
