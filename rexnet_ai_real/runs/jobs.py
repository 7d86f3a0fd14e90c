"""The jobs of a multirun, read from their folders: what was set, how far each job came, how good its result is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

ERROR_FILE: Final = "error.txt"
PRUNED_FILE: Final = "pruned.txt"
"""Why a search ended a job before its time."""
OVERRIDES_FILE: Final = Path(".hydra", "overrides.yaml")
FOLD: Final = "data.fold"
SEED: Final = "seed"
PATIENCE: Final = "early_stopping.patience"
NOT_SETTINGS: Final = ("sweep", "output_dir")

Status = Literal["finished", "failed", "pruned", "unfinished"]


class NotASweep(UserError, ValueError):
    """The folder given holds no jobs of a multirun."""


@dataclass(frozen=True)
class Job:
    """One job of a multirun; files are read when asked for."""

    run: RunFolder
    overrides: tuple[str, ...]
    """As typed, in the order that Hydra applied them."""

    @property
    def name(self) -> str:
        """The folder's name: the job's number."""
        return self.run.path.name

    @cached_property
    def typed(self) -> dict[str, str]:
        """Key to override as typed, without the keys that say how jobs are run rather than what a job is."""
        typed = {override.lstrip("+~").partition("=")[0]: override for override in self.overrides}
        return {key: override for key, override in typed.items() if key not in NOT_SETTINGS}

    @property
    def settings(self) -> dict[str, str]:
        """Key to value, both as typed."""
        return {key: override.partition("=")[2] for key, override in self.typed.items()}

    @cached_property
    def error(self) -> str | None:
        """The first line of error.txt; None without one."""
        file = self.run.path / ERROR_FILE
        return file.read_text(encoding="utf-8").partition("\n")[0] if file.is_file() else None

    @property
    def status(self) -> Status:
        """Failed: error.txt exists; pruned: pruned.txt does; finished: metrics.json does.

        Unfinished: still running, or interrupted.
        """
        if self.error is not None:
            return "failed"
        if (self.run.path / PRUNED_FILE).is_file():
            return "pruned"
        return "finished" if self.metrics else "unfinished"

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """metrics.json; empty where the job has not come that far."""
        return self.run.read_metrics() if self.run.metrics_file.is_file() else {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.yaml, resolved.

        Raises:
            NotARun: the job failed before it wrote one.
        """
        return self.run.read_config()

    @cached_property
    def history(self) -> "pd.DataFrame":
        """history.csv, one row per epoch; empty where no epoch was finished."""
        import pandas as pd

        if not self.run.history_file.is_file():
            return pd.DataFrame(columns=["epoch", "val_loss", "seconds"], dtype=float)
        return pd.read_csv(self.run.history_file)

    @property
    def best(self) -> "pd.Series[Any] | None":
        """The row of the history with the lowest validation loss; None where no loss is known."""
        losses = self.history["val_loss"]
        return None if losses.isna().all() else self.history.loc[losses.idxmin()]

    @property
    def val_loss(self) -> float:
        """The lowest validation loss; infinite where none is known, so that such jobs sort last."""
        return math.inf if self.best is None else float(self.best["val_loss"])


def read_jobs(folder: Path) -> list[Job]:
    """Every job in the folder of a multirun, by number, whether finished or not.

    Raises:
        NotASweep: there are none, or the record of one is damaged.
    """
    import yaml

    files = folder.glob(f"*/{OVERRIDES_FILE.as_posix()}")
    jobs = []
    for file in files:
        try:
            overrides = tuple(yaml.safe_load(file.read_text(encoding="utf-8")) or ())
        except (yaml.YAMLError, OSError, ValueError, TypeError) as error:
            raise NotASweep(f"{file} was changed or cut off: restore it, or move that job's folder away") from error
        jobs.append(Job(RunFolder(file.parent.parent), overrides))
    if not jobs:
        raise NotASweep(
            f"{folder} holds no jobs of a sweep: expected what `python -m rexnet_ai_real.train -m ...` makes, a folder "
            "with a run folder for each job"
        )
    return sorted(jobs, key=lambda job: (not job.name.isdigit(), int(job.name) if job.name.isdigit() else 0, job.name))


def varying(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The keys in which the jobs differ, in the order typed."""
    keys = dict.fromkeys(key for job in jobs for key in job.settings)
    return tuple(key for key in keys if len({job.settings.get(key) for job in jobs}) > 1)


def alike_but_for(key: str, jobs: Sequence[Job]) -> list[list[Job]]:
    """Groups of jobs that differ in `key` alone; groups, and jobs within a group, stay in order."""
    groups: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in jobs:
        rest = tuple(sorted((k, v) for k, v in job.settings.items() if k != key))
        groups.setdefault(rest, []).append(job)
    return list(groups.values())


def describe(job: Job, keys: tuple[str, ...]) -> str:
    """The settings that set a job apart, in words: lr=1e-4, patience=3."""
    return ", ".join(f"{key.rpartition('.')[2]}={short(job.settings[key])}" for key in keys if key in job.settings)


def short(value: str) -> str:
    """A setting as people read it: 0.00044303752452182633 is 0.000443."""
    return f"{float(value):.3g}" if len(value) > 8 and is_number(value) else value


def is_number(text: str | None) -> bool:
    """Whether a setting is a finite number."""
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False
