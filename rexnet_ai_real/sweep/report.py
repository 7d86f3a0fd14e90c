"""The summary of a sweep as people see it: files in the multirun's folder, a table on the terminal."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rexnet_ai_real.figures import save
from rexnet_ai_real.files import write_csv, write_text
from rexnet_ai_real.markdown import markdown_table
from rexnet_ai_real.metrics import training as metrics
from rexnet_ai_real.metrics.training import METRICS, columns
from rexnet_ai_real.runs.jobs import ERROR_FILE, FOLD, PATIENCE, Status, describe, short
from rexnet_ai_real.runs.record import override
from rexnet_ai_real.sweep.cross_validation import CrossValidation
from rexnet_ai_real.sweep.left_out_text import left_out_text
from rexnet_ai_real.sweep.plots import curves, grid_keys, heat_map
from rexnet_ai_real.sweep.summary import Summary, command, summarise

PATIENCE_RUNS: Final = 8
"""Runs whose patience is in summary.md; patience.csv has all."""
PATIENCE_TEXT: Final = (
    "Read from the longest run of each combination of the other settings; nothing was trained for it. `kept` is the "
    "epoch of the checkpoint, `last epoch` where training stops. Each patience by itself is in `patience.csv`."
)
POOLED: Final = (
    "Pooled: all out-of-fold predictions together (`out_of_fold.csv`); each image was predicted once, by the network "
    "of the fold that held it out. The interval comes from resampling images, near-duplicates together; it does not "
    "include how much a network changes from one training to the next."
)


def report(folder: Path) -> Summary:
    """Summarise a multirun: write summary.md, tables and figures into its folder and print the outcome.

    Raises:
        NotASweep: no jobs there.
    """
    summary = summarise(folder)
    write_csv(folder / "summary.csv", summary.table)
    write_csv(folder / "patience.csv", summary.patience)
    if summary.folds:
        write_csv(folder / "out_of_fold.csv", summary.folds[0].out_of_fold)
        if whole := summary.folds[0].left_out:
            write_csv(folder / f"{whole.noun}s.csv", whole.table.rename(columns={"name": whole.noun}))
    figures = draw(summary)
    write_text(folder / "summary.md", markdown(summary, figures))
    show(summary)
    return summary


def draw(summary: Summary) -> list[Path]:
    """Draw the figures that the jobs allow; the paths of the PNG files."""
    if all(job.best is None for job in summary.jobs):
        return []
    figures = []
    grid = None if FOLD in summary.keys else grid_keys(summary.jobs, summary.keys)
    if grid:
        figures.append(save(heat_map(summary.jobs, *grid), summary.folder, "heat_map"))
    drawn = curves(summary.jobs, summary.keys, ranked=summary.ranked)
    return [*figures, save(drawn, summary.folder, "curves")]


def markdown(summary: Summary, figures: Sequence[Path]) -> str:
    """The text of summary.md."""
    counts = summary.table["status"].value_counts()
    states = ", ".join(f"{counts[state]} {state}" for state in get_args(Status) if state in counts)
    parts = [
        f"# Sweep of {len(summary.jobs)} jobs",
        f"{states}. Order: {summary.order}. Epochs are counted from 1.",
    ]
    tested = [f"test_{name}" for name, metric in METRICS.items() if metric.higher_is_better]
    shown = ["job", *summary.keys, "status", "epochs", "best_epoch", *columns("val"), *tested, "seconds"]
    parts.append(_markdown_table(shown, summary.table))
    parts.extend(_winner(summary))
    parts.extend(_failures(summary))
    parts.extend(_cross_validation(summary.folds, summary.keys))
    parts.extend(left_out_text(summary.folds, summary.keys))
    parts.extend(f"![{figure.stem.replace('_', ' ')}]({figure.name})" for figure in figures)
    parts.extend(_patience(summary))
    return "\n\n".join(parts) + "\n"


def show(summary: Summary) -> None:
    """Print the ranking, the winner and where everything is."""
    title = f"Sweep of {len(summary.jobs)} jobs, {summary.order}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    # Without the test's: whoever sees them in a ranking chooses by them.
    numbers = ["best_epoch", *(f"val_{name}" for name, metric in METRICS.items() if metric.is_headline)]
    for column in ("job", "settings", "status"):
        table.add_column(column, overflow="fold", min_width=22 if column == "settings" else None)
    for column in numbers:
        table.add_column(_heading(column).replace(" ", "\n"), justify="right", no_wrap=True)
    for job, row in zip(summary.jobs, summary.table.to_dict("records"), strict=True):
        table.add_row(
            job.name, describe(job, summary.keys), job.status, *(readable(name, row[name]) for name in numbers)
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for result in summary.folds[:1]:
        scores = ", ".join(f"{name} {getattr(result.pooled, metric.binary)}" for name, metric in METRICS.items())
        console.print(f"Out of fold, {result.pooled.n} images: {scores}", markup=False)
        if whole := result.left_out:
            worst = whole.table.iloc[0]
            means = f"AUROC {whole.mean} in the mean, {worst['auroc']:.3f} at worst ({worst['name']})"
            console.print(f"Left out whole, {len(whole.table)} {whole.noun}s: {means}", markup=False)
    if summary.winning_command:
        console.print(f"The winner again: {summary.winning_command}", markup=False)
    console.print(f"Summary: {summary.folder / 'summary.md'}", markup=False)


def readable(column: str, value: Any) -> str:
    """A cell as people read it: percentages, rounded numbers, a dash where there is no value or it is undefined."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if column == "best_epoch":
        return f"{value:.0f}"
    if (name := column.partition("_")[2]) in METRICS:
        return metrics.readable(name, value)
    return f"{value:.0f}" if column == "seconds" else short(str(value))


def _heading(column: str) -> str:
    return column.replace("_", " ") if "." not in column else column


def _markdown_table(columns: Sequence[str], table: pd.DataFrame) -> str:
    rows = ([readable(column, row[column]) for column in columns] for row in table.to_dict("records"))
    return markdown_table([_heading(column) for column in columns], rows)


def _winner(summary: Summary) -> list[str]:
    if summary.winner is None or summary.winning_command is None:
        return []
    where = "" if FOLD in summary.keys else f" Its run folder is [{summary.winner.name}]({summary.winner.name})."
    return [
        "## The winner",
        f"```\n{summary.winning_command}\n```",
        f"Chosen by validation loss alone.{where} The test columns took no part in the choice; choosing by them would "
        "turn the test part into a second validation part.",
    ]


def _failures(summary: Summary) -> list[str]:
    failed = [job for job in summary.jobs if job.error]
    differences = summary.problems[len(failed) :]
    summarise_again = f"python -m rexnet_ai_real.sweep {shlex.quote(str(summary.folder))}"
    texts = [
        f"Job {job.name}: `{job.error}`. The traceback is in [{job.name}/{ERROR_FILE}]({job.name}/{ERROR_FILE}). "
        f"To run it again, and then to rewrite the summary:\n\n"
        f"```\n{command(job, override('output_dir', str(job.run.path)))}\n{summarise_again}\n```"
        for job in failed
    ]
    return ["## What went wrong", *texts, *differences] if texts or differences else []


def _cross_validation(folds: Sequence[CrossValidation], keys: Sequence[str]) -> list[str]:
    if not folds:
        return []
    settings = [key for key in keys if key != FOLD]
    head = [*settings, "folds", "images", "", *(_heading(name) for name in METRICS)]
    rows = []
    for result in folds:
        start = [short(result.jobs[0].settings.get(key, "–")) for key in settings]
        start += [f"{len(result.jobs)} of {result.folds}", str(result.pooled.n)]
        spread = [_mean_and_spread(*result.spread(name)) for name in METRICS]
        pooled = [str(getattr(result.pooled, metric.binary)) for metric in METRICS.values()]
        rows.append([*start, "mean ± sd over folds", *spread])
        rows.append([*start, "pooled, 95 % interval", *pooled])
    texts = ["## Cross-validation", markdown_table(head, rows), POOLED]
    if len(folds) > 1:
        texts.append("`out_of_fold.csv` holds the settings of the first rows.")
    if folds[0].missing:
        named = ", ".join(map(str, folds[0].missing))
        texts.append(f"Without a finished job: fold {named}. The images held out there are not counted.")
    return texts


def _mean_and_spread(mean: float, spread: float) -> str:
    return "–" if math.isnan(mean) else f"{mean:.3f} ± {'–' if math.isnan(spread) else f'{spread:.3f}'}"


def _patience(summary: Summary) -> list[str]:
    table = summary.patience
    if table.empty or FOLD in summary.keys:  # each fold has its own best patience: there is nothing to choose
        return []
    settings = [key for key in summary.keys if key != PATIENCE]
    shown = [job.name for job in summary.jobs if job.name in set(table["job"])][:PATIENCE_RUNS]
    outcomes = table[table["job"].isin(shown)].groupby(["job", "kept"], sort=False)
    rows = [
        {
            **{column: rows[column].iloc[0] for column in (*settings, "job", "kept", *columns("val"))},
            "patience": f"{rows['patience'].iloc[0]} and more"
            if rows["final"].iloc[-1]
            else _span(rows["patience"].tolist()),
            "last epoch": _span(["end" if epoch is pd.NA else epoch for epoch in rows["stopped_at"]]),
        }
        for _, rows in outcomes
    ]
    return [
        "## What a smaller patience would have kept",
        PATIENCE_TEXT,
        _markdown_table([*settings, "job", "patience", "last epoch", "kept", *columns("val")], pd.DataFrame(rows)),
    ]


def _span(values: Sequence[Any]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
