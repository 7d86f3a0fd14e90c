"""Does one threshold serve images as they are, from the web and from a messenger."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from scipy.special import expit

from rexnet_ai_real.config import WORST_TIER
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.audits.delivery import TierScore, WorstTier, lowest_accuracy, measure_tiers, worst_tier
from rexnet_ai_real.evaluate.corruptions import DELIVERIES
from rexnet_ai_real.evaluate.fitting import choosing, delivered_logits
from rexnet_ai_real.evaluate.part import ONE, Part
from rexnet_ai_real.evaluate.report.document import Block, Caution, Findings, Paragraph, Risk, Signed, Table
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import percent, signed
from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.labels import REAL
from rexnet_ai_real.metrics.scores import FloatArray


@dataclass(frozen=True)
class _Threshold:
    """The threshold of every tier: one, or one for each fold (or half) that did not choose it."""

    cuts: FloatArray
    """(n, 1) on the logits of the measured images."""
    worst: WorstTier
    """The threshold of all images that may choose together. It is not stored: see settings.threshold."""
    whose: str
    """On which images it was chosen, a sentence."""


def findings(evaluation: Evaluation) -> Findings:
    """Accuracy, TPR, FPR and AUROC of each tier at the threshold of the worst tier, and at the detector's own."""
    part = evaluation.sample
    logits = evaluation.logits(part, DELIVERIES, "Delivered images")
    own = _measured(evaluation, part, logits, part.margins(logits))
    intro = (
        f"Each of {len(part):,} {part.title} is delivered in three ways before the network sees it; a tier shrinks "
        f"images, and never enlarges them.{evaluation.sample_words}"
    )
    at_own = _table(own, f"At the detector's own threshold ({evaluation.calibration.threshold_rule}).")
    plain = _plain(part, own) | {"at_detector_threshold": _plain(part, own)["tiers"]}
    alone = Findings(_finding(own, "the detector's own threshold"), (Paragraph(intro), at_own), plain, _risks(own))
    if evaluation.settings.threshold == WORST_TIER and evaluation.fitted.is_new:
        return alone
    try:
        chosen = _threshold(evaluation, part, logits)
    except (UserError, ValueError) as error:
        caution = Caution(f"No threshold could be set on the worst tier: {error}.")
        return replace(alone, blocks=(Paragraph(intro), caution, at_own))
    found = _measured(evaluation, part, logits, logits - chosen.cuts)
    temperature = evaluation.calibration.temperature
    at = float(expit(chosen.worst.cut / temperature))
    blocks: list[Block] = [
        Paragraph(intro),
        Paragraph(f"{chosen.whose} {_reason(evaluation, chosen.worst, at)}"),
        _table(found, f"At the one threshold, set on the worst tier ({chosen.worst.tier.title})."),
        at_own,
    ]
    metrics = (
        plain
        | _plain(part, found)
        | {
            "threshold": {
                **{"probability": at, "logit": chosen.worst.cut, "worst_tier": chosen.worst.tier.name},
                **{"rule": chosen.worst.words, "chosen_on": chosen.whose},
            },
        }
    )
    return Findings(_finding(found, f"one threshold, P(AI) {at:.2f}"), tuple(blocks), metrics, _risks(found))


SECTION: Final = SectionEntry(
    "delivery",
    "Does one threshold serve the web and messengers too?",
    findings,
    costly="delivery tiers",
)


def _threshold(evaluation: Evaluation, part: Part, logits: FloatArray) -> _Threshold:
    """Raises UserError where the images that may choose it are gone, ValueError where they are too few."""
    fpr = evaluation.settings.fpr
    fitting = choosing(evaluation.subject, evaluation.settings)
    if fitting is None:  # a detector that knows no images: each half of those measured chooses for the other
        half = np.unique(part.scores.groups, return_inverse=True)[1] % 2
        is_real = (part.rows["label"] == REAL).to_numpy()
        worst = worst_tier(logits[is_real], part.rows["group"][is_real], fpr=fpr)
        cuts = np.empty((len(part), 1))
        for side in (0, 1):
            others = is_real & (half != side)
            cuts[half == side] = worst_tier(logits[others], part.rows["group"][others], fpr=fpr).cut
        whose = (
            "No images are known that the detector held out for choosing a threshold. So the images measured here are "
            "cut into two halves, near-duplicates together, and the real images of each half choose the threshold of "
            "the other."
        )
        return _Threshold(cuts, worst, whose)
    drawn = delivered_logits(fitting, evaluation.subject, evaluation.settings, evaluation.cache)
    groups = fitting.rows["group"].astype(str)
    worst = worst_tier(drawn, groups, fpr=fpr)
    if not evaluation.subject.is_cross_validation:
        whose = f"The threshold was chosen on {len(fitting):,} real validation images; none of them is measured here."
        return _Threshold(np.full((len(part), 1), worst.cut), worst, whose)
    by_fold = {ONE: worst.cut}
    for fold in part.folds:
        others = (fitting.rows["fold"] != fold).to_numpy()
        by_fold[fold] = worst_tier(drawn[others], groups[others], fpr=fpr).cut
    whose = (
        f"The threshold was chosen on {len(fitting):,} real out-of-fold images. To be measured, the images of each "
        "fold are judged by the threshold that those of the other folds choose."
    )
    if part.folds == [ONE]:
        whose = f"The threshold was chosen on {len(fitting):,} real out-of-fold images."
    return _Threshold(part.rows["fold"].map(by_fold).to_numpy(dtype=np.float64)[:, None], worst, whose)


def _measured(evaluation: Evaluation, part: Part, logits: FloatArray, margins: FloatArray) -> tuple[TierScore, ...]:
    return measure_tiers(
        part.rows["label"],
        part.calibrated(logits),
        margins,
        part.rows["group"].astype(str),
        resamples=evaluation.settings.resamples,
        seed=evaluation.settings.seed,
    )


def _reason(evaluation: Evaluation, worst: WorstTier, at: float) -> str:
    own = evaluation.calibration.threshold
    words = (
        f"Of the tiers, “{worst.tier.title}” needs the highest threshold for false alarms on at most "
        f"{evaluation.settings.fpr:.0%} of real images: P(AI) {at:.3f}, where the detector's own is {own:.3f}. On the "
        f"images that chose it, the rate is kept on every tier. The rule: {worst.words}."
    )
    if evaluation.fitted.is_new:
        words += " The detector keeps its own: with threshold=worst_tier it gets one that is chosen in this way."
    return words


def _table(found: tuple[TierScore, ...], caption: str) -> Table:
    rows = tuple(
        (score.tier.title, score.accuracy, Signed(score.change) if number else "", score.tpr, score.fpr, score.auroc)
        for number, score in enumerate(found)
    )
    return Table(("Tier", "Accuracy", "change", "TPR", "FPR", "AUROC"), rows, f"{caption} Changes are paired by image.")


def _finding(found: tuple[TierScore, ...], threshold: str) -> str:
    worst, alarms = lowest_accuracy(found), max(found, key=lambda score: score.fpr.value if score.fpr.defined else -1)
    words = f"At {threshold}, it is right on {percent(found[0].accuracy)} of the images as they are"
    if worst is found[0]:
        words += ", and no tier costs accuracy."
    else:
        words += f", and on {percent(worst.accuracy)} of those of the worst tier ({worst.tier.title})."
    if alarms.fpr.defined:
        words += f" It calls at most {percent(alarms.fpr)} of real images AI ({alarms.tier.title})."
    return words


def _plain(part: Part, found: tuple[TierScore, ...]) -> dict[str, Any]:
    measured = ("accuracy", "change", "tpr", "fpr", "auroc")
    return {
        "n": len(part),
        "tiers": {score.tier.name: {name: getattr(score, name).plain() for name in measured} for score in found},
    }


def _risks(found: tuple[TierScore, ...]) -> tuple[Risk, ...]:
    worst = lowest_accuracy(found)
    if not worst.change.high < 0:
        return ()
    words = f"delivered otherwise ({worst.tier.title}) its accuracy changes by {signed(worst.change)}"
    return (Risk(-worst.change.value, words),)
