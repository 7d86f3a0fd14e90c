"""The threshold and the unsure band: operating point, reliability, and how good the answers are."""

from typing import Final

import numpy as np

from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.evaluate.report.document import Block, Caution, Cell, Findings, Paragraph, Risk, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.evaluate.report.plots import (
    histogram_figure,
    pr_figure,
    reliability_figure,
    risk_coverage_figure,
    roc_figure,
)
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.metrics.binary import Metrics
from rexnet_ai_real.metrics.curves import RiskCoverage, pr_band, reliability, risk_coverage, roc_band
from rexnet_ai_real.metrics.selective import Answers, measure_answers


def findings(evaluation: Evaluation) -> Findings:
    """The operating point: what was promised, and what was measured."""
    part, settings = evaluation.part, evaluation.settings
    answers = measure_answers(part.scores, part.verdicts, resamples=settings.resamples, seed=settings.seed)
    fitted = evaluation.fitted
    blocks: list[Block] = [Paragraph(fitted.source)]
    if fitted.failed is None:
        blocks += _operating_point(evaluation, answers)
        stored = evaluation.calibration  # what it cannot promise is the finding already
        blocks += [Caution(note) for note in stored.notes if not note.startswith(stored.band_rule)]
    return Findings(
        _finding(evaluation, answers),
        (*blocks, *_figures(evaluation, answers)),
        {
            "operating_point": evaluation.calibration.plain(),
            "coverage": answers.coverage.plain(),
            "error_among_answered": answers.error.plain(),
        },
        _risks(evaluation, answers),
        fitted.failed,
    )


SECTION: Final = SectionEntry("calibration", "At which threshold, and when “unsure”?", findings)


def _finding(evaluation: Evaluation, answers: Answers) -> str:
    if evaluation.fitted.failed:
        return "No operating point could be fitted; the figures below are of the detector as it was trained."
    _, chosen = evaluation.measured
    stored = evaluation.calibration
    words = (
        f"At the threshold it finds {percent(chosen.recall)} of AI images and calls "
        f"{percent(chosen.specificity.complement)} of real ones AI."
    )
    if stored.error_target is None or not answers.coverage.defined:
        return words
    if stored.coverage == 0:
        return f"{stored.band_rule}. {always_answered(chosen)}"
    if not answers.answered:
        return f"{words} When “unsure” is allowed, it answers none of these images."
    return (
        f"{words} When “unsure” is allowed, it answers {percent(answers.coverage)} of the images and is wrong on "
        f"{percent(answers.error)} of these; at most {100 * stored.error_target:g}% was promised."
    )


def always_answered(chosen: Metrics) -> str:
    """What `--answer always` is worth: the metrics at the threshold, without "unsure"."""
    return f"With --answer always it is wrong on {percent(chosen.accuracy.complement)} of the images."


def _operating_point(evaluation: Evaluation, answers: Answers) -> list[Block]:
    stored, used = evaluation.calibration, evaluation.calibrations
    _, chosen = evaluation.measured
    banded = stored.error_target is not None
    here = "By fold, here" if len(used) > 1 else "Used here"
    rows: list[tuple[Cell, ...]] = [
        ("Temperature", _spread(used, "temperature"), stored.temperature),
        ("Threshold on P(AI)", _spread(used, "threshold"), stored.threshold),
    ]
    if banded and stored.coverage == 0:
        rows.append(
            ("“Unsure”", f"{np.mean([c.coverage == 0 for c in used]):.0%} of folds: every image", "every image")
        )
    elif banded:
        rows.append(("“Unsure” from P(AI)", _spread(used, "unsure_low"), stored.unsure_low))
        rows.append(("“Unsure” below P(AI)", _spread(used, "unsure_high"), min(stored.unsure_high, 1.0)))
    measured: list[tuple[Cell, ...]] = [
        ("Real images called AI (FPR)", chosen.specificity.complement, f"of {chosen.n_real:,} real images"),
        ("AI images found (TPR)", chosen.recall, f"of {chosen.n_ai:,} AI images"),
    ]
    if banded:
        measured.append(
            ("Answered (the others are “unsure”)", answers.coverage, f"{answers.answered:,} of {chosen.n:,}")
        )
        measured.append(("Wrong among the answers", answers.error, f"{answers.wrong:,} of {answers.answered:,}"))
        always = chosen.accuracy.complement
        measured.append(("Wrong with --answer always", always, f"of {chosen.n:,}, by the threshold alone"))
    promises = f"The threshold: {stored.threshold_rule}."
    if banded and stored.coverage:  # else the finding says what cannot be promised
        promises += f" The unsure band: {stored.band_rule}."
    columns: tuple[str, ...] = ("", here, "Stored with the detector")
    if len(used) == 1 and used[0] == stored:
        columns, rows = ("", "Stored with the detector"), [(name, value) for name, _, value in rows]
    return [
        Table(columns, tuple(rows), "The operating point."),
        Paragraph(promises),
        Table(("", "Measured", ""), tuple(measured), "Results on the images measured here.", bars=1),
    ]


def _spread(calibrations: list[Calibration], name: str) -> Cell:
    values = [float(getattr(calibration, name)) for calibration in calibrations]
    if name.startswith("unsure"):
        values = [min(value, 1.0) for value in values]  # NEVER_AI lies a little above 1
    return values[0] if len(values) == 1 else f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _figures(evaluation: Evaluation, answers: Answers) -> list[Block]:
    part, settings, gallery = evaluation.part, evaluation.settings, evaluation.gallery
    at_half, chosen = evaluation.measured
    columns = (part.scores.labels, part.scores.logits, part.scores.groups)
    bootstrap = {"resamples": settings.resamples, "seed": settings.seed}
    raw = reliability(columns[0], part.logits, columns[2], **bootstrap)
    after = reliability(*columns, **bootstrap) if evaluation.has_threshold else None
    drawn: list[Block] = [
        gallery.add(
            reliability_figure(raw, after),
            "reliability",
            "Reliability. Points on the diagonal are perfectly calibrated. ECE after calibration "
            f"{at_half.ece}. Bars are 95% intervals; the histogram below counts images after calibration.",
        ),
        gallery.add(
            histogram_figure(part.scores, evaluation.calibrations),
            "scores",
            "Calibrated P(AI) of both classes, with the threshold"
            + (" (mean over folds)." if len(part.folds) > 1 else "."),
        ),
    ]
    if at_half.n_real and at_half.n_ai:
        point = (1 - chosen.specificity.value, chosen.recall.value) if evaluation.has_threshold else None
        drawn.append(
            gallery.add(
                roc_figure(roc_band(*columns, **bootstrap), at_half.auroc, point),
                "roc",
                "ROC curve with its pointwise 95% band.",
            )
        )
        drawn.append(
            gallery.add(
                pr_figure(pr_band(*columns, **bootstrap), at_half.average_precision, at_half.n_ai / at_half.n),
                "precision_recall",
                "Precision and recall with a pointwise 95% band. Precision applies to this share of AI images only.",
            )
        )
    margins = part.margin_scores
    chosen_risk = risk_coverage(margins.labels, margins.logits, margins.groups, **bootstrap)
    half_risk = risk_coverage(*columns, **bootstrap) if evaluation.has_threshold else None
    star = (answers.coverage.value, answers.error.value) if answers.answered < len(part) and answers.answered else None
    drawn.append(
        gallery.add(
            risk_coverage_figure(chosen_risk, half_risk, star, evaluation.calibration.error_target),
            "risk_coverage",
            _risk_caption(evaluation, chosen_risk, half_risk),
        )
    )
    return drawn


def _risk_caption(evaluation: Evaluation, at_threshold: RiskCoverage, at_half: RiskCoverage | None) -> str:
    words = "Error rate when only the images furthest from the threshold are answered."
    if at_half is not None and len(evaluation.part):
        found = {name: float(each.risk.value[-1]) for name, each in (("chosen", at_threshold), ("half", at_half))}
        words += (
            f" With every image answered {found['chosen']:.1%} are wrong at the chosen threshold, and "
            f"{found['half']:.1%} at P(AI) 0.5, by which the accuracy at the top of this report is measured."
        )
    return f"{words} Area under the curve: {at_threshold.aurc}."


def _risks(evaluation: Evaluation, answers: Answers) -> tuple[Risk, ...]:
    target = evaluation.calibration.error_target
    if evaluation.fitted.failed or target is None or not answers.error.defined or answers.error.low <= target:
        return ()
    words = f"more of its answers are wrong than promised: {percent(answers.error)} where {target:.0%} was the limit"
    return (Risk(answers.error.value - target, words),)
