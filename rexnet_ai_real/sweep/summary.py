"""The result of a sweep: its jobs ranked, what each patience would have kept, folds merged."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rexnet_ai_real.metrics.training import METRICS, columns
from rexnet_ai_real.runs.folds import FoldsDiffer
from rexnet_ai_real.runs.jobs import ERROR_FILE, FOLD, PATIENCE, Job, alike_but_for, read_jobs, varying
from rexnet_ai_real.sweep.cross_validation import CrossValidation, cross_validate
from rexnet_ai_real.sweep.patience import stops


@dataclass(frozen=True)
class Summary:
    """A sweep, read from the folder of its multirun. Epochs are counted as in history.csv, from 1."""

    folder: Path
    jobs: tuple[Job, ...]
    """Lowest validation loss first. Folds of the same settings stay together in their order, since no fold is better
    than another: settings come by their mean."""
    keys: tuple[str, ...]
    """The settings that vary."""
    table: pd.DataFrame
    """One row per job, in the order of `jobs`."""
    patience: pd.DataFrame
    """For each combination of the other settings, where each patience stops and what it keeps; see `Stop`."""
    folds: tuple[CrossValidation, ...]
    """One per combination of the other settings, the best first; empty when data.fold does not vary."""
    problems: tuple[str, ...]
    """Jobs that failed and folds that do not fit together, in words."""

    @property
    def ranked(self) -> bool:
        """Whether there is a choice: something besides the fold varies."""
        return any(key != FOLD for key in self.keys)

    @property
    def order(self) -> str:
        """The order of the jobs, in words."""
        if FOLD not in self.keys:
            return "lowest validation loss first"
        return "settings by their mean validation loss, lowest first" if self.ranked else "folds in their order"

    @property
    def winner(self) -> Job | None:
        """The finished job with the lowest validation loss, or a fold of the best settings; None without a choice."""
        if FOLD in self.keys:
            return self.folds[0].jobs[0] if len(self.folds) > 1 else None
        return next((job for job in self.jobs if job.status == "finished"), None)

    @property
    def winning_command(self) -> str | None:
        """Ready to paste: one run with the winner's settings, on the ordinary split."""
        return None if self.winner is None else command(self.winner, without=(FOLD,) if FOLD in self.keys else ())


def summarise(folder: Path) -> Summary:
    """Read every job in a multirun's folder.

    Raises:
        NotASweep: no jobs there.
    """
    jobs = read_jobs(folder)
    keys = varying(jobs)
    jobs = _by_settings(jobs) if FOLD in keys else sorted(jobs, key=lambda job: job.val_loss)
    failures = [
        f"Job {job.name} failed: {job.error} (more in {job.run.path / ERROR_FILE})" for job in jobs if job.error
    ]
    folds, differences = _merge_folds(jobs) if FOLD in keys else ([], [])
    return Summary(
        folder=folder,
        jobs=tuple(jobs),
        keys=keys,
        table=pd.DataFrame([_row(job, keys) for job in jobs]),
        patience=_patience_table(jobs, tuple(key for key in keys if key != PATIENCE)),
        folds=tuple(folds),
        problems=(*failures, *differences),
    )


def _by_settings(jobs: Sequence[Job]) -> list[Job]:
    """Settings by their mean validation loss over the folds, the folds of each in their order."""
    bundles = sorted(alike_but_for(FOLD, jobs), key=lambda bundle: sum(job.val_loss for job in bundle) / len(bundle))
    return [job for bundle in bundles for job in sorted(bundle, key=lambda job: float(job.settings.get(FOLD) or 0))]


def command(job: Job, *extra: str, without: Sequence[str] = ()) -> str:
    """The shell command of a single run with the job's settings."""
    arguments = [override for key, override in job.typed.items() if key not in without]
    return shlex.join(["python", "-m", "rexnet_ai_real.train", *arguments, *extra])


def _row(job: Job, keys: Sequence[str]) -> dict[str, Any]:
    best, test = job.best, job.metrics.get("test", {})
    return {
        "job": job.name,
        **{key: job.settings.get(key) for key in keys},
        "status": job.status,
        "epochs": len(job.history),
        "best_epoch": None if best is None else int(best["epoch"]),
        **{name: math.nan if best is None else float(best.get(name, math.nan)) for name in columns("val")},
        **{f"test_{name}": test.get(name, math.nan) for name in METRICS},
        "seconds": job.metrics.get("seconds", job.history["seconds"].sum()),
        "overrides": shlex.join(job.typed.values()),
        "error": job.error or "",
    }


def _patience_table(jobs: Sequence[Job], keys: Sequence[str]) -> pd.DataFrame:
    rows = []
    for bundle in alike_but_for(PATIENCE, jobs):
        longest = max(bundle, key=lambda job: len(job.history))
        if longest.best is None:
            continue
        history, config = longest.history, longest.config
        losses = history["val_loss"].tolist()
        complete = len(losses) >= config["trainer"]["max_epochs"]
        for stop in stops(losses, config["early_stopping"]["min_delta"], complete=complete):
            kept = history.iloc[stop.kept]
            stopped_at = None if stop.stopped_at is None else int(history["epoch"].iloc[stop.stopped_at])
            rows.append(
                {
                    **{key: longest.settings.get(key) for key in keys},
                    "job": longest.name,
                    "patience": stop.patience,
                    "stopped_at": stopped_at,
                    "kept": int(kept["epoch"]),
                    "final": stop.final,
                    **{name: float(kept.get(name, math.nan)) for name in columns("val")},
                }
            )
    header = [*keys, "job", "patience", "stopped_at", "kept", "final", *columns("val")]
    whole = dict.fromkeys(("patience", "stopped_at", "kept"), "Int64")  # may be empty, never 3.0
    return pd.DataFrame(rows, columns=header).astype(whole)


def _merge_folds(jobs: Sequence[Job]) -> tuple[list[CrossValidation], list[str]]:
    merged, differences = [], []
    for bundle in alike_but_for(FOLD, jobs):
        finished = [job for job in bundle if job.status == "finished"]
        try:
            if finished:
                merged.append(cross_validate(finished))
        except FoldsDiffer as error:
            differences.append(f"Folds were not merged: {error}")
    # Fewer folds cover other images: their mean cannot be compared with that of all folds, so they come last.
    return sorted(merged, key=lambda result: (len(result.missing), result.val_loss)), differences
