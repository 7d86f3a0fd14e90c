"""Make one report: open the detector, make each section, write report.html, report.md, metrics.json and figures."""

import json
import math
import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as ScreenTable
from rich.text import Text

from rexnet_ai_real.config import ConfigError, EvaluateConfig
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.report.document import Document, Findings, Section, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation, explained_write_errors
from rexnet_ai_real.evaluate.report.formatting import visible, written
from rexnet_ai_real.evaluate.report.html import html
from rexnet_ai_real.evaluate.report.markdown import markdown
from rexnet_ai_real.evaluate.report.opening import opening
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.report.sections import SECTIONS
from rexnet_ai_real.files import write_csv, write_text
from rexnet_ai_real.metrics.binary import METRICS
from rexnet_ai_real.runs.environment import environment

ERRORS_FILE: Final = "errors.txt"


def write_report(settings: EvaluateConfig) -> list[str]:
    """Evaluate and write everything; returns a line for each part that could not be made.

    Raises:
        UserError: there is nothing to evaluate at settings.run, or a setting names what is not there.
    """
    entries = wanted(settings)
    evaluation = Evaluation.open(settings)
    console = Console(stderr=True)
    folder = evaluation.folder
    with explained_write_errors(folder):
        (folder / ERRORS_FILE).unlink(missing_ok=True)
    sections = []
    for entry in entries:
        console.print(f"[bold]{entry.title}[/] [dim]({entry.key})[/]", highlight=False)
        sections.append(Section(entry.key, entry.title, _made(entry, evaluation)))
    document = Document(
        f"How far can this detector be trusted? {evaluation.subject.name}",
        f"{evaluation.subject.title[0].upper()}{evaluation.subject.title[1:]} on {len(evaluation.part):,} "
        f"{evaluation.part.title}, {datetime.now():%Y-%m-%d %H:%M}",
        opening(evaluation, sections),
        tuple(sections),
        _about(evaluation, entries),
    )
    with explained_write_errors(folder):
        _write(evaluation, document)
    _show(evaluation, document)
    return document.failures


def _write(evaluation: Evaluation, document: Document) -> None:
    folder = evaluation.folder
    plain = plain_metrics(document.sections)
    tables = [part.table for part in (evaluation.part, *evaluation.collections)]
    write_text(folder / "metrics.json", json.dumps(plain, indent=2, allow_nan=False) + "\n")
    write_csv(folder / "predictions.csv", pd.concat(tables))
    write_text(folder / "report.md", markdown(document))
    write_text(folder / "report.html", html(document))
    if evaluation.fitted.is_new:
        evaluation.detector().save(folder / "detector")


def wanted(settings: EvaluateConfig) -> list[SectionEntry]:
    """The sections to make, in the report's order; those that need a setting which is not given are left out.

    Raises:
        ConfigError: a section that does not exist, or a setting whose section is not asked for.
    """
    chosen = list(SECTIONS) if settings.sections is None else settings.sections
    if not chosen or not set(chosen) <= set(SECTIONS):
        raise ConfigError(f"sections={chosen}: expected some of {', '.join(SECTIONS)}")
    entries = []
    for entry in SECTIONS.values():
        given = entry.needs is None or getattr(settings, entry.needs)
        if given and entry.key in chosen:
            entries.append(entry)
        elif given and entry.needs:
            raise ConfigError(
                f"{entry.needs}={given}: add {entry.key} to sections={chosen}, or leave {entry.needs} out"
            )
    return entries


def plain_metrics(sections: Sequence[Section]) -> dict[str, Any]:
    """What metrics.json holds: sets of images under their names first, then the other sections under their keys."""
    measured: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for section in sections:
        if SECTIONS[section.key].by_images:
            measured |= section.found.metrics
        elif section.found.metrics:
            others[section.key] = section.found.metrics
    plain: dict[str, Any] = _without_nan(measured | others)
    return plain


def _made(entry: SectionEntry, evaluation: Evaluation) -> Findings:
    """What a section found, or why it could not be made: the others are written all the same."""
    try:
        return entry.make(evaluation)
    except (UserError, ValueError, OSError) as error:
        reason = str(error)
    except Exception as error:
        with (evaluation.folder / ERRORS_FILE).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{entry.title}\n\n{traceback.format_exc()}\n")
        reason = f"{type(error).__name__}: {error} (the traceback is in {evaluation.folder / ERRORS_FILE})"
    return Findings("This part could not be made.", failed=" ".join(reason.split()))


def _about(evaluation: Evaluation, entries: Sequence[SectionEntry]) -> Table:
    subject, settings = evaluation.subject, evaluation.settings
    config = subject.config
    rows: list[tuple[str, str]] = [("Evaluated", f"{subject.title}: {subject.path}")]
    if config:
        data, model = config["data"], config["model"]
        weights = model["weights"] or "random (model.weights=null)"
        rows += [
            ("Network", f"{model['name']}, {data['image_size']} px, initial weights: {weights}"),
            ("Trained on", f"{data['name']}, seed {config['seed']}, at most {config['trainer']['max_epochs']} epochs"),
        ]
    counts = evaluation.part.rows["label"].value_counts()
    rows.append(("Measured on", f"{len(evaluation.part):,} {evaluation.part.title}, {len(counts)} classes"))
    rows.append(("Intervals", f"{settings.resamples:,} resamples by duplicate group, seed {settings.seed}"))
    costly = [entry.costly for entry in entries if entry.costly]
    if costly and settings.sample is not None and settings.sample < len(evaluation.part):
        rows.append(
            (
                "Sampled",
                f"{len(evaluation.sample):,} of the images, with the same shares of classes, sources and scores, for: "
                f"{', '.join(costly)}",
            )
        )
    detector = evaluation.detector()
    if len(views := detector.preprocessing.views) > 1:
        rows.append(("Views", f"the logits of {', '.join(views)} are averaged"))
    engine = detector.engine
    if engine.backend != "torch":
        rows.append(("Computed by", f"backend={engine.backend}"))
    found = environment(engine.device)
    rows.append(("Software", ", ".join(f"{name} {value}" for name, value in found.items() if value)))
    return Table(("", ""), tuple(rows))


def _show(evaluation: Evaluation, document: Document) -> None:
    console = Console(highlight=False, soft_wrap=True)
    at_half, _ = evaluation.measured
    table = ScreenTable(
        title=Text(visible(f"{len(evaluation.part):,} {evaluation.part.title}")), title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("metric")
    table.add_column("value [95% interval]", justify="right")
    for name, metric in METRICS.items():
        if metric.headline:
            table.add_row(metric.title, written(at_half.estimates[name]))
    console.print(table)
    shown = Table((), tuple((at_half.estimates[name],) for name, metric in METRICS.items() if metric.headline))
    lines = [f"{lead}: {words}" for lead, words in document.opening]
    for line in [*([shown.footnote] if shown.footnote else []), *lines]:
        console.print(visible(line), markup=False, soft_wrap=False)
    console.print(visible(f"Report: {evaluation.folder / 'report.html'}"), markup=False)


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN: null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
