"""The entry of a section: everything that the report has to know of it before it is made."""

from collections.abc import Callable
from dataclasses import dataclass

from rexnet_ai_real.evaluate.report.document import Findings, Risk
from rexnet_ai_real.evaluate.report.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class SectionEntry:
    """One section that a report can have. It stands in its own module, and is listed in `sections/__init__.py`."""

    key: str
    """Its name in settings.sections and in metrics.json."""
    title: str
    """The question that it answers."""
    make: Callable[[Evaluation], Findings]
    needs: str | None = None
    """The setting that must be given, such as `against`: without it the section is left out."""
    costly: str | None = None
    """The slow part of it, which predicts settings.sample images anew; None: the section takes seconds."""
    by_images: bool = False
    """Whether its metrics are sets of images, which stand in metrics.json under their own names, not under its key."""
    untested: Risk | None = None
    """What a report without it cannot know; the largest of these risks is named first."""
