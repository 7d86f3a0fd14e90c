"""The first paragraph of a report: what was found, what it is worth, the largest risk, all from measured values."""

from collections.abc import Sequence

from rexnet_ai_real.evaluate.report.document import Risk, Section
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.evaluate.report.sections import SECTIONS
from rexnet_ai_real.evaluate.report.sections.calibration import always_answered
from rexnet_ai_real.evaluate.report.sections.metrics import majority
from rexnet_ai_real.metrics.binary import Metrics


def opening(evaluation: Evaluation, sections: Sequence[Section]) -> tuple[tuple[str, str], ...]:
    """For readers who stop after the first paragraph: (lead, sentences) for each of its parts."""
    at_half, at_threshold = evaluation.measured
    risks = [risk for section in sections for risk in section.found.risks]
    worst = [section.found.worst for section in sections if section.found.worst]
    made = {section.key for section in sections if section.found.metrics}
    untested = [entry.untested for entry in SECTIONS.values() if entry.untested and entry.key not in made]
    return (
        ("What was found", " ".join([_found(evaluation, at_half), *worst])),
        ("What it is worth", _worth(evaluation, at_half, at_threshold)),
        ("The largest risk", largest_risk(risks, untested)),
    )


def largest_risk(risks: Sequence[Risk], untested: Sequence[Risk]) -> str:
    """The two largest of the measured risks, and what was not tested, the gravest first."""
    ranked = sorted(risks, key=lambda risk: -risk.size)
    names = [risk.words for risk in sorted(untested, key=lambda risk: -risk.size)]
    words = ["none of the tests below shows a loss beyond chance; what they do not test stays open."]
    if ranked:
        words = [f"{risk.words}." for risk in ranked[:1]] + [f"Next: {risk.words}." for risk in ranked[1:2]]
    elif untested:
        words = []
    if untested:
        words.append(f"{'Also untested' if ranked else 'unknown, since untested'}: {'; '.join(names)}.")
    return " ".join(words)


def _found(evaluation: Evaluation, metrics: Metrics) -> str:
    if not metrics.n:
        return "nothing: there is no image with a usable prediction."
    whose = ", none of which it was trained on," if evaluation.subject.manifest is not None else ""
    if evaluation.subject.is_cross_validation and len(evaluation.part.folds) > 1:
        whose = ", each by a network that had not seen it,"
    images = f"of {metrics.n:,} images ({metrics.n_ai:,} AI-generated, {metrics.n_real:,} real){whose}"
    words = f"{images} the detector classifies {percent(metrics.accuracy)} correctly."
    if not metrics.auroc.defined:
        return f"{words} How well it ranks images cannot be measured: {metrics.auroc.reason}."
    return (
        f"{words} Shown one AI-generated and one real image, it tells which is which {metrics.auroc.value:.1%} of "
        f"the time (AUROC {metrics.auroc})."
    )


def _worth(evaluation: Evaluation, at_half: Metrics, at_threshold: Metrics) -> str:
    name, share = majority(at_half)
    if not (at_half.n_ai and at_half.n_real):
        return f"images of one class ({name}) alone cannot show it."
    points = 100 * (at_half.accuracy.value - share)
    better = "" if at_half.accuracy.low > share else ", which may be chance"
    added = f"adds {points:.1f} points" if points > 0 else f"does not even reach that ({points:.1f} points)"
    words = f"always answering “{name}” would be right on {share:.1%} of the same images; the detector {added}{better}."
    if evaluation.has_threshold:
        alarms = 1 - at_threshold.specificity.value
        words += (
            f" At its threshold it calls {alarms:.1%} of real images AI and finds "
            f"{at_threshold.recall.value:.1%} of the AI-generated ones."
        )
    if evaluation.calibration.error_target is not None and evaluation.calibration.coverage == 0:
        words += f" {evaluation.calibration.band_rule}. {always_answered(at_threshold)}"
    return words
