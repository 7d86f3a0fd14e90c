"""What lies at a path: a run, a checkpoint, folds of one cross-validation, seeds, another multirun, a saved detector.

Every command that takes a path asks here, so that all of them accept the same things and refuse the others in the same
words. PyTorch and pandas are not imported: an exported detector is found without them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rexnet_ai_real.errors import UserError, one_line
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.jobs import (
    FOLD,
    OVERRIDES_FILE,
    SEED,
    Job,
    NotASweep,
    alike_but_for,
    describe,
    read_jobs,
    varying,
)

DETECTOR_FILE: Final = "detector.json"
"""What makes a folder a saved or exported detector."""
EXPECTED: Final = (
    "expected a run folder, a .ckpt of one, the folder of a multirun of folds or seeds, or a folder with "
    + DETECTOR_FILE
)


class NotADetector(UserError, ValueError):
    """The path holds no detector, or none that this program can use; the message says why and what to give."""

    def __init__(self, message: str) -> None:
        """`message` may quote what stands in the files."""
        super().__init__(one_line(message))


@dataclass(frozen=True)
class Run:
    """The folder of one training run."""

    run: RunFolder

    def require_checkpoint(self) -> Path:
        """Its best checkpoint.

        Raises:
            NotADetector: the run has not reached the end of an epoch.
        """
        file = self.run.best_checkpoint
        if not file.is_file():
            raise NotADetector(
                f"{self.run.path} is a run without {file.relative_to(self.run.path)}: it ended before its first epoch "
                f"did. Train again, or continue it with resume={self.run.path}"
            )
        return file


@dataclass(frozen=True)
class Checkpoint:
    """A file, taken for a checkpoint until it is read."""

    file: Path
    run: RunFolder | None
    """The run that it belongs to; None: it stands alone."""


@dataclass(frozen=True)
class _Together:
    """A multirun whose jobs are one detector: the logits of their networks are averaged."""

    folder: Path
    jobs: tuple[Job, ...]
    """At least one of them is finished."""

    @property
    def finished(self) -> list[Job]:
        """The jobs that came to their end, by number."""
        return [job for job in self.jobs if job.status == "finished"]


class Folds(_Together):
    """The multirun of one cross-validation."""


class Seeds(_Together):
    """A multirun whose jobs differ in their seed alone; networks of different widths are no detector together."""


@dataclass(frozen=True)
class Sweep:
    """A multirun whose jobs are detectors of their own: they differ in settings, or repeat a fold."""

    folder: Path
    jobs: tuple[Job, ...]

    def refusal(self) -> NotADetector:
        """Why the jobs together are no detector, and what to give instead."""
        keys = tuple(key for key in varying(self.jobs) if key != FOLD)
        experiments = alike_but_for(FOLD, self.jobs)
        job = next((job for job in self.jobs if job.status == "finished"), self.jobs[0])
        if keys:
            shown = "; ".join(describe(bundle[0], keys) for bundle in experiments[:4])
            more = ", ..." if len(experiments) > 4 else ""
            difference = f"jobs that differ in {', '.join(keys)} ({shown}{more})"
        else:
            difference = "several jobs of one fold" if FOLD in job.settings else "jobs with the same settings"
        return NotADetector(
            f"{self.folder} is a multirun of {difference}; only the folds of one cross-validation, or seeds "
            f"alone, make one detector. "
            f"Give the folder of one job, such as {job.run.path}"
        )


@dataclass(frozen=True)
class Saved:
    """The folder of a saved or exported detector."""

    folder: Path


Found = Run | Checkpoint | Folds | Seeds | Sweep | Saved


def identify(path: Path) -> Found:
    """What lies at `path`, by the names of files; only the settings of a multirun's jobs are read.

    A multirun of a single job that is no fold is that job's run.

    Raises:
        NotADetector: none of these, a file of a saved detector instead of its folder, or a multirun of folds or
            seeds of which none is finished.
    """
    if path.is_file():
        return _file(path)
    if path.exists() and not path.is_dir():
        raise NotADetector(f"{path} is not a regular file: {EXPECTED}")
    if not path.is_dir():
        raise NotADetector(f"{path} does not exist: {EXPECTED}")
    if (path / DETECTOR_FILE).is_file():
        return Saved(path)
    if RunFolder(path).config_file.is_file():
        return Run(RunFolder(path))
    if not _holds_jobs(path):
        raise NotADetector(f"{path} holds no detector: {EXPECTED}")
    try:
        return _multirun(path, tuple(read_jobs(path)))
    except NotASweep as error:
        raise NotADetector(f"{path} cannot be read: {error}, or give the folder of one job") from error
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise NotADetector(
            f"{path} is a multirun, and {error.name}, which reads it, is not installed: pip install rexnet-ai-real, or "
            "give an exported detector"
        ) from error
    except Exception as error:  # a hand that edits YAML or JSON can break each in a dozen ways
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NotADetector(
            f"{path} cannot be read: overrides.yaml or metrics.json of one of its jobs was changed or cut off "
            f"({reason}). Restore the file, or give the folder of one job"
        ) from error


def is_a_detector(folder: Path) -> bool:
    """Whether a folder is meant as a detector rather than as images, by the names of files alone."""
    named = (folder / DETECTOR_FILE, RunFolder(folder).config_file)
    return any(file.is_file() for file in named) or _holds_jobs(folder)


def _holds_jobs(folder: Path) -> bool:
    """Whether it is that of a multirun; without YAML, which need not be installed."""
    return next(folder.glob(f"*/{OVERRIDES_FILE.as_posix()}"), None) is not None


def _file(path: Path) -> Checkpoint:
    if (path.parent / DETECTOR_FILE).is_file():
        raise NotADetector(f"{path} is only one of the files of a saved detector: give its folder, {path.parent}")
    run = RunFolder(path.parent.parent)
    is_known = run.config_file.is_file() and run.manifest_file.is_file()
    return Checkpoint(path, run if is_known else None)


def _multirun(folder: Path, jobs: tuple[Job, ...]) -> Run | Folds | Seeds | Sweep:
    folds = [job.settings.get(FOLD) for job in jobs if job.status == "finished"]
    if len(jobs) == 1 and FOLD not in jobs[0].settings:
        return Run(jobs[0].run)
    are_seeds = varying(jobs) == (SEED,) and len({job.settings.get(SEED) for job in jobs}) == len(jobs)
    if not are_seeds and (len(alike_but_for(FOLD, jobs)) > 1 or None in folds or len(set(folds)) < len(folds)):
        return Sweep(folder, jobs)
    if not folds:
        raise NotADetector(f"{folder} is a multirun without a finished job: wait for it, or see error.txt in its jobs")
    return (Seeds if are_seeds else Folds)(folder, jobs)
