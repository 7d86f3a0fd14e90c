"""The sections of a report, one module each: a function from an `Evaluation` to `Findings`, and its entry."""

from typing import Final

from rexnet_ai_real.evaluate.report.section_entry import SectionEntry
from rexnet_ai_real.evaluate.report.sections import (
    abstention,
    calibration,
    collections,
    comparison,
    delivery,
    explanations,
    metrics,
    mistakes,
    robustness,
    shortcuts,
    views,
)

SECTIONS: Final[dict[str, SectionEntry]] = {
    module.SECTION.key: module.SECTION
    for module in (
        metrics,
        calibration,
        comparison,
        shortcuts,
        robustness,
        delivery,
        views,
        abstention,
        collections,
        mistakes,
        explanations,
    )
}
"""By key, in the report's order. A new section is a module, and its name in this list."""
