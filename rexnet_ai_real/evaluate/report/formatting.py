"""Numbers, intervals and sentences of a report as people read them."""

import math
import re
from typing import Final

from rexnet_ai_real import errors
from rexnet_ai_real.evaluate.report.document import Cell, Signed
from rexnet_ai_real.metrics.bootstrap import Estimate

MINUS: Final = "\N{MINUS SIGN}"


def written(cell: Cell) -> str:
    """A cell as people read it: three decimals, a dash where there is nothing, `0.842 [0.801, 0.880]`."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, Signed):
        return signed(cell.estimate)
    if isinstance(cell, Estimate):
        if not cell.defined:
            return "–"
        return f"{number(cell.value)} [{number(cell.low)}, {number(cell.high)}]" if known(cell) else number(cell.value)
    return number(cell) if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else visible(cell)


def visible(words: str) -> str:
    """On one line, with every control character, such as those that steer a terminal, written out as its code.

    A file's name may hold anything, bytes that are no UTF-8 included.
    """
    return errors.visible(" ".join(words.split()))


def number(value: float) -> str:
    """Three decimals, with a true minus sign and never `-0.000`."""
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", MINUS)


def percent(estimate: Estimate) -> str:
    """An estimate for a sentence: `84.2% (95% interval 80.1 to 88.0)`."""
    if not estimate.defined:
        return f"unknown ({estimate.reason})"
    interval = f" (95% interval {100 * estimate.low:.1f} to {100 * estimate.high:.1f})" if known(estimate) else ""
    return f"{100 * estimate.value:.1f}%{interval}"


def known(estimate: Estimate) -> bool:
    """Whether there is an interval beside the value."""
    return not (math.isnan(estimate.low) or math.isnan(estimate.high))


def signed(estimate: Estimate) -> str:
    """A difference: `+0.042 [+0.010, +0.075]`."""
    if not estimate.defined:
        return "–"
    value, low, high = (_with_sign(end) for end in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]" if known(estimate) else value


def _with_sign(value: float) -> str:
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text.replace("-", MINUS)


def split_lead(words: str) -> tuple[str, str]:
    """The first sentence, and the others."""
    lead, _, rest = re.sub(r"(?<=[.])\s+(?=[A-Z])", "\n", words, count=1).partition("\n")
    return lead, rest
