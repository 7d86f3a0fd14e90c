"""What Hydra calls around the jobs of a multirun, so that `train` does not depend on sweeps."""

import atexit
import logging
import traceback
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict

from rexnet_ai_real.cli.ending import ending
from rexnet_ai_real.files import write_text
from rexnet_ai_real.runs.claim import claim, missing_folders, remove_empty, system_errors_in_words
from rexnet_ai_real.runs.jobs import ERROR_FILE, PRUNED_FILE, NotASweep
from rexnet_ai_real.runs.record import override
from rexnet_ai_real.sweep.foresight import check_jobs
from rexnet_ai_real.sweep.pruning import Pruned

log = logging.getLogger(__name__)


class SweepSummary(Callback):
    """Keeps a sweep going when a job fails, and writes its summary at the end, also when Ctrl-C is the end.

    Attached in conf/train.yaml under `hydra.callbacks`. In a single run it does nothing.
    """

    folder: Path
    new: list[Path]
    """Folders that were made for this multirun, the innermost first."""

    def __init__(self, check: str | None = None) -> None:
        """`check`: full name of a function that gets the settings of each job before the first one starts.

        It raises a UserError where a job cannot work.
        """
        self.check = check

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check all jobs, then make their folder, for this multirun alone.

        After Ctrl-C, when Hydra skips `on_multirun_end`, the exit summarises them. Hydra turns
        exceptions of callbacks into warnings, but lets SystemExit through.

        Raises:
            SystemExit: a job cannot work, or the folder holds jobs already or cannot be made.
        """
        with ending(), system_errors_in_words():
            if self.check:
                check_jobs(config, get_method(self.check))
            wanted = Path(config.hydra.sweep.dir)
            new = missing_folders(wanted)
            self.folder = _folder_of_jobs(config)
            is_new = bool(new) or self.folder != wanted
            self.new = [self.folder, *(folder for folder in new if folder != wanted)] if is_new else []
        atexit.register(self.summarise_interrupted)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Write a failed job's error to its folder, and continue: Hydra would raise it and skip the other jobs.

        The job then counts as one that returned NaN, which no sweeper takes for a good score. One that a search pruned
        has not failed; its folder says why it ended.
        """
        if config.hydra.mode != RunMode.MULTIRUN or job_return.status != JobStatus.FAILED:
            return
        error: Exception = job_return._return_value  # the public property would raise it
        folder = Path(config.hydra.runtime.output_dir)
        job_return.status = JobStatus.COMPLETED
        job_return.return_value = float("nan")
        if isinstance(error, Pruned):
            write_text(folder / PRUNED_FILE, f"{error}\n")
            log.info("Job %s ended: %s", config.hydra.job.num, error)
            return
        first_line = f"{type(error).__name__}: {error}".partition("\n")[0]
        file = folder / ERROR_FILE
        write_text(file, f"{first_line}\n\n{''.join(traceback.format_exception(error))}")
        log.error("Job %s failed: %s. The traceback is in %s", config.hydra.job.num, first_line, file)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Summarise, and end with exit status 1 if a job failed."""
        atexit.unregister(self.summarise_interrupted)
        from rexnet_ai_real.sweep.report import report  # matplotlib takes a second that a single run need not wait for

        try:
            summary = report(self.folder)
        except Exception as error:
            traceback.print_exc()
            again = f"python -m rexnet_ai_real.sweep {self.folder}"
            raise SystemExit(
                f"All jobs have run, but the summary could not be written. To try again: {again}"
            ) from error
        if summary.problems:
            raise SystemExit("\n".join(summary.problems))

    def summarise_interrupted(self) -> None:
        """Write the summary of the jobs so far when the process ends before the sweep."""
        from rexnet_ai_real.sweep.report import report

        try:
            report(self.folder)
        except NotASweep:  # ended before the first job, such as by a value that cannot be: nothing is left behind
            if self.new:
                (self.folder / "multirun.yaml").unlink(missing_ok=True)
                remove_empty(self.new)


def _folder_of_jobs(config: DictConfig) -> Path:
    """The folder that the settings name; where it is the usual one, the name that is free is given to all jobs."""
    from rexnet_ai_real.config.compose import is_fresh  # `sweep --help` needs no NumPy

    folder, rename = Path(config.hydra.sweep.dir), is_fresh(config)
    journal = OmegaConf.select(config, "hydra.sweeper.journal")  # a search that goes on, or is shared
    if journal is None or not Path(journal).exists():
        folder = claim(folder, rename=rename)
    if rename:
        with flag_override(config, "readonly", False), open_dict(config):
            config.output_dir = str(folder)
            config.hydra.overrides.task.append(override("output_dir", str(folder)))
    return folder
