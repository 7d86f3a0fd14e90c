"""Collections and generators that were held out whole, as summary.md shows them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rexnet_ai_real.markdown import markdown_table
from rexnet_ai_real.metrics.bootstrap import FEW, Estimate
from rexnet_ai_real.metrics.left_out import RANKED_AGAINST
from rexnet_ai_real.runs.jobs import FOLD, short
from rexnet_ai_real.sweep.cross_validation import CrossValidation
from rexnet_ai_real.sweep.left_out import AT, FALSE_ALARMS, RATES, LeftOut

_RATES: Final = [f"{rate}_{at}" for at in AT for rate in RATES]
_HEADINGS: Final = [
    f"{heading} at {at}" for at in ("0.5", f"{FALSE_ALARMS:.0%}") for heading in ("accuracy", "TPR", "FPR")
]


def left_out_text(folds: Sequence[CrossValidation], keys: Sequence[str]) -> list[str]:
    """Paragraphs and tables; none where no collection or generator was held out whole.

    Args:
        folds: one per combination of settings, the best first.
        keys: the settings that vary.
    """
    found = [(result, result.left_out) for result in folds if result.left_out]
    if not found:
        return []
    settings = [key for key in keys if key != FOLD]
    first = found[0][1]
    head = [*settings, f"{first.noun}s", "mean AUROC", "worst AUROC", f"worst {first.noun}", *_HEADINGS]
    rows = [[*(short(r.jobs[0].settings.get(key, "–")) for key in settings), *_summary(whole)] for r, whole in found]
    texts = [f"## Left out whole: {first.noun}s", markdown_table(head, rows), _meaning(first)]
    if len(found) > 1:
        texts.append(f"Each {first.noun}, with the settings of the first row:")
    columns = [first.noun, "fold", "AI + real", "AUROC", *_HEADINGS]
    return [*texts, markdown_table(columns, [_row(row) for row in first.table.to_dict("records")])]


def _summary(whole: LeftOut) -> list[str]:
    worst = whole.table.iloc[0]
    return [
        *(str(len(whole.table)), str(whole.mean), f"{worst['auroc']:.3f}", str(worst["name"])),
        *(_share(whole.total[rate]) for rate in _RATES),
    ]


def _row(row: Mapping[Any, Any]) -> list[str]:
    """One collection or generator; counts of images that it is compared with are in brackets."""
    ai, real, against = (int(row[column]) for column in ("ai", "real", "against"))
    counts = f"{ai or f'({against})'} + {real or f'({against})'}"
    few = " (few)" if min(ai or against, real or against) < FEW else ""
    auroc = Estimate(row["auroc"], row["auroc_low"], row["auroc_high"])
    return [str(row["name"]), str(row["fold"]), counts, f"{auroc}{few}", *(_share(row[rate]) for rate in _RATES)]


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _meaning(whole: LeftOut) -> str:
    return (
        f"No network saw an image of a {whole.noun} that it judges. AUROC has a 95 % interval from resampling images, "
        f"near-duplicates together; that of the mean comes from resampling the {whole.noun}s. "
        f"{RANKED_AGAINST} (their number in brackets); (few): fewer than {FEW} images of a class. "
        f"Accuracy, TPR and FPR are shares of the {whole.noun}'s own images, above of all images held out: at "
        f"probability 0.5, and at the threshold of each fold that a new real image would pass with a probability of "
        f"{FALSE_ALARMS:.0%}, were it like those of the validation part. All figures: `{whole.noun}s.csv`."
    )
