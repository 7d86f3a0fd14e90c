"""One report from beginning to end: open, measure part by part, write report.html, report.md, metrics.json, figures."""

import json
import math
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as ScreenTable

from rexnet_ai_real.config import ConfigError, EvaluateConfig
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.report.document import TITLES, Document, Section, Table, written
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.html import html
from rexnet_ai_real.evaluate.report.markdown import markdown
from rexnet_ai_real.evaluate.report.opening import opening
from rexnet_ai_real.evaluate.report.sections import (
    calibration,
    collections,
    comparison,
    explanations,
    metrics,
    robustness,
    shortcuts,
)
from rexnet_ai_real.files import write_csv, write_text
from rexnet_ai_real.metrics.names import SAID
from rexnet_ai_real.runs.environment import environment

MAKERS: Final[dict[str, Callable[[Evaluation], Section]]] = {
    "metrics": metrics.section,
    "calibration": calibration.section,
    "comparison": comparison.section,
    "shortcuts": shortcuts.section,
    "robustness": robustness.section,
    "collections": collections.section,
    "explanations": explanations.section,
}
ERRORS_FILE: Final = "errors.txt"
_ON_SCREEN: Final = ("accuracy", "balanced_accuracy", "f1", "auroc", "nll", "ece", "tpr_at_fpr5")


def write_report(settings: EvaluateConfig) -> list[str]:
    """Evaluate and write everything; returns a line for each part that could not be made.

    Raises:
        UserError: there is nothing to evaluate at settings.run, or a setting names what is not there.
    """
    evaluation = Evaluation.open(settings)
    console = Console(stderr=True)
    folder = evaluation.folder
    (folder / ERRORS_FILE).unlink(missing_ok=True)
    sections = []
    for key in wanted(settings):
        console.print(f"[bold]{TITLES[key]}[/] [dim]({key})[/]", highlight=False)
        sections.append(_made(key, evaluation))
    document = Document(
        f"How far can this detector be trusted? {evaluation.subject.name}",
        f"{evaluation.subject.title[0].upper()}{evaluation.subject.title[1:]} on {len(evaluation.part):,} "
        f"{evaluation.part.title}, {datetime.now():%Y-%m-%d %H:%M}",
        opening(evaluation, sections),
        tuple(sections),
        _about(evaluation),
    )
    if evaluation.fitted.is_new:
        evaluation.detector().with_calibration(evaluation.calibration).save(folder / "detector")
    write_text(
        folder / "metrics.json", json.dumps(plain_metrics(evaluation, sections), indent=2, allow_nan=False) + "\n"
    )
    write_csv(
        folder / "predictions.csv", pd.concat([part.table for part in (evaluation.part, *evaluation.collections)])
    )
    write_text(folder / "report.md", markdown(document))
    write_text(folder / "report.html", html(document))
    _show(evaluation, document)
    return document.failures


def wanted(settings: EvaluateConfig) -> list[str]:
    """The sections to make, in the report's order; comparison and collections need something to compare with.

    Raises:
        ConfigError: something to compare with is given, but its section is not asked for.
    """
    for key, given, name in (("comparison", settings.against, "against"), ("collections", settings.others, "others")):
        if given and key not in settings.sections:
            raise ConfigError(f"{name}={given}: add {key} to sections={settings.sections}, or leave {name} out")
    idle = {"comparison"} if not settings.against else set()
    idle |= set() if settings.others else {"collections"}
    return [key for key in MAKERS if key in settings.sections and key not in idle]


def plain_metrics(evaluation: Evaluation, sections: list[Section]) -> dict[str, Any]:
    """What metrics.json holds: metrics under the name of their part, the other findings under their section's."""
    by_key = {section.key: section.metrics for section in sections}
    measured = {evaluation.part.name: by_key.pop("metrics")} if "metrics" in by_key else {}
    measured |= by_key.pop("collections", {})
    found: dict[str, Any] = _without_nan({**measured, **{key: found for key, found in by_key.items() if found}})
    return found


def _made(key: str, evaluation: Evaluation) -> Section:
    """A section, or the reason why there is none: hours of work on the others must not be lost with it."""
    try:
        return MAKERS[key](evaluation)
    except (UserError, ValueError, OSError) as error:
        reason = str(error)
    except Exception as error:
        evaluation.folder.mkdir(parents=True, exist_ok=True)
        with (evaluation.folder / ERRORS_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{TITLES[key]}\n\n{traceback.format_exc()}\n")
        reason = f"{type(error).__name__}: {error} (the traceback is in {evaluation.folder / ERRORS_FILE})"
    return Section(key, "This part could not be made.", failed=" ".join(reason.split()))


def _about(evaluation: Evaluation) -> Table:
    subject, settings = evaluation.subject, evaluation.settings
    config = subject.config
    rows: list[tuple[str, str]] = [("Evaluated", f"{subject.title}: {subject.path}")]
    if config:
        data, model = config["data"], config["model"]
        weights = model["weights"] or "none (from scratch)"
        rows += [
            ("Network", f"{model['name']}, {data['image_size']} px, weights it started from: {weights}"),
            ("Trained on", f"{data['name']}, seed {config['seed']}, at most {config['trainer']['max_epochs']} epochs"),
        ]
    counts = evaluation.part.rows["label"].value_counts()
    rows.append(("Measured on", f"{len(evaluation.part):,} {evaluation.part.title}, {len(counts)} classes"))
    rows.append(("Intervals", f"{settings.resamples:,} resamples by duplicate group, seed {settings.seed}"))
    if settings.sample is not None and settings.sample < len(evaluation.part):
        rows.append(("Costly parts", f"swap test, corruptions and heat maps on {settings.sample} of the images"))
    engine = evaluation.detector().engine
    if engine.backend != "torch":
        rows.append(("Computed by", f"backend={engine.backend}"))
    found = environment(engine.device)
    rows.append(("Made with", ", ".join(f"{name} {value}" for name, value in found.items() if value)))
    return Table(("", ""), tuple(rows))


def _show(evaluation: Evaluation, document: Document) -> None:
    console = Console(highlight=False, soft_wrap=True)
    at_half, _ = evaluation.measured
    table = ScreenTable(
        title=f"{len(evaluation.part):,} {evaluation.part.title}", title_justify="left", box=SIMPLE_HEAD
    )
    table.add_column("metric")
    table.add_column("value [95% interval]", justify="right")
    for name in _ON_SCREEN:
        table.add_row(SAID[name], written(getattr(at_half, name)))
    console.print(table)
    for lead, words in document.opening:
        console.print(f"{lead}: {words}", markup=False, soft_wrap=False)
    console.print(f"Report: {evaluation.folder / 'report.html'}", markup=False)


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN: null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
