"""How good is it: every metric with its interval, overall, by fold and by source."""

from typing import Final

import pandas as pd

from rexnet_ai_real.config import OWN
from rexnet_ai_real.evaluate.part import Part
from rexnet_ai_real.evaluate.report.document import Block, Caution, Findings, Paragraph, Risk, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.report.sections.groups import groups_of
from rexnet_ai_real.figures import NAMES
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.binary import METRICS, Metrics, evaluate
from rexnet_ai_real.metrics.bootstrap import Estimate


def findings(evaluation: Evaluation) -> Findings:
    """Metrics of the measured images."""
    at_half, at_threshold = evaluation.measured
    part = evaluation.part
    blocks: list[Block] = [Paragraph(_whose(evaluation))]
    blocks.append(_metrics_table(at_half, at_threshold, evaluation.has_threshold))
    blocks += [Caution(warning) for warning in (*evaluation.subject.notes, *at_half.warnings)]
    blocks.append(_confusion(part))
    if len(part.folds) > 1:
        blocks.append(_fold_table(evaluation))
    found = groups_of(part, resamples=evaluation.settings.resamples, seed=evaluation.settings.seed)
    failed = None
    if evaluation.left_out:
        failed = (
            f"{evaluation.left_out} of {evaluation.left_out + len(part)} logits are NaN or infinite; these images "
            "are left out of everything. A trained detector gives finite logits: check its training loss and precision"
        )
    return Findings(
        _finding(at_half),
        (*blocks, *found.blocks),
        {part.name: metrics_of(at_half, at_threshold) | found.metrics | _held_out_by(evaluation)},
        (*_risks(at_half), *found.risks),
        failed,
        found.worst,
    )


SECTION: Final = SectionEntry("metrics", "How good is it?", findings, by_images=True)


def metrics_of(at_half: Metrics, at_threshold: Metrics) -> dict[str, object]:
    """For metrics.json: each metric, and those that depend on the threshold a second time as `..._at_threshold`."""
    chosen = {
        f"{name}_at_threshold": at_threshold.estimates[name].plain()
        for name, metric in METRICS.items()
        if metric.at_threshold
    }
    return at_half.plain() | chosen


def _held_out_by(evaluation: Evaluation) -> dict[str, object]:
    """For metrics.json: what the run held out whole, where its own images are measured."""
    data = evaluation.subject.config.get("data", {})
    return {"split_by": data["split_by"]} if evaluation.settings.data.name == OWN and "split_by" in data else {}


def majority(metrics: Metrics) -> tuple[str, float]:
    """The answer that is right most often when it is always given, and how often that is."""
    label = AI if metrics.n_ai >= metrics.n_real else REAL
    return NAMES[label], max(metrics.n_ai, metrics.n_real) / max(metrics.n, 1)


def _finding(metrics: Metrics) -> str:
    name, share = majority(metrics)
    return (
        f"It classifies {percent(metrics.accuracy)} of {metrics.n:,} images correctly; always answering “{name}” would "
        f"be right on {share:.1%}. AUROC {metrics.auroc}."
    )


def _whose(evaluation: Evaluation) -> str:
    metrics, _ = evaluation.measured
    near = metrics.n - metrics.n_groups
    repeats = f" {near:,} of them are near-duplicates of others and are resampled together with them." if near else ""
    who = ""
    if evaluation.subject.is_cross_validation and len(evaluation.part.folds) > 1:
        who = "Each image was predicted once, by the network of the fold that held it out. "
    return (
        f"{who}There are {metrics.n:,} images: {metrics.n_ai:,} AI-generated and {metrics.n_real:,} real.{repeats} "
        f"Each interval covers 95% of {metrics.resamples:,} bootstrap resamples of the images. It does not include how "
        "much the network would change if it were trained again. AI-generated is the positive class."
    )


def _metrics_table(at_half: Metrics, at_threshold: Metrics, has_threshold: bool) -> Table:
    rows: list[tuple[str | Estimate, ...]] = []
    for name, metric in METRICS.items():
        cells: tuple[str | Estimate, ...] = (metric.title, at_half.estimates[name])
        if has_threshold:
            cells = (*cells, at_threshold.estimates[name] if metric.at_threshold else "")
        rows.append(cells)
    columns = ("Metric", "At P(AI) 0.5")
    return Table(
        (*columns, "At the chosen threshold") if has_threshold else columns,
        tuple(rows),
        "Probabilities are calibrated. Lower is better for losses and errors.",
        bars=1,
    )


def _confusion(part: Part) -> Table:
    called = part.scores.probabilities >= 0.5
    labels = part.scores.labels
    rows = []
    for label in (REAL, AI):
        of_class = called[labels == label]
        rows.append((f"truly {NAMES[label]}", int((~of_class).sum()), int(of_class.sum()), int(of_class.size)))
    return Table(("", "called real", "called AI", "all"), tuple(rows), "Counts at P(AI) 0.5.")


def _fold_table(evaluation: Evaluation) -> Table:
    rows = []
    for fold in evaluation.part.folds:
        here = evaluation.part.only(evaluation.part.rows["fold"] == fold)
        scores = here.scores
        found = evaluate(scores.labels, scores.logits, scores.groups, resamples=evaluation.settings.resamples)
        calibration = evaluation.fitted.calibrations[fold]
        rows.append((str(fold), len(here), found.accuracy, found.auroc, calibration.temperature, calibration.threshold))
    spread = pd.DataFrame([(row[2].value, row[3].value) for row in rows])
    means = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(spread.mean(), spread.std(), strict=True)]
    return Table(
        ("Fold", "Images", "Accuracy", "AUROC", "Temperature", "Threshold"),
        (*rows, ("mean ± sd", "", *means, "", "")),
        "Each fold on its own. Its temperature and threshold were fitted on the other folds.",
    )


def _risks(metrics: Metrics) -> tuple[Risk, ...]:
    risks = []
    name, share = majority(metrics)
    if metrics.auroc.defined and metrics.auroc.low <= 0.5:
        risks.append(Risk(2.0, f"it is not shown to be better than chance: AUROC {metrics.auroc}"))
    elif metrics.accuracy.defined and metrics.n_ai and metrics.n_real and metrics.accuracy.low <= share:
        words = f"its accuracy is not shown to exceed that of always answering “{name}” ({share:.1%})"
        risks.append(Risk(1.0, words))
    return tuple(risks)
