"""What a report is made of: sections of paragraphs, tables, figures and notes, before they become HTML or Markdown."""

import io
import logging
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from matplotlib.figure import Figure

from rexnet_ai_real.figures import save, styled
from rexnet_ai_real.metrics.bootstrap import Estimate


@dataclass(frozen=True, slots=True)
class Signed:
    """A difference, shown with its sign."""

    estimate: Estimate


Cell = str | int | float | Estimate | Signed | None

MINUS: Final = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain words."""

    words: str


@dataclass(frozen=True, slots=True)
class Note:
    """A caution, or the reason why something is missing; shown in a box."""

    kind: Literal["caution", "failed"]
    words: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; an `Estimate` shows its value and interval."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    bars: int | None = None
    """The column of estimates between 0 and 1 that HTML draws as bars as well."""
    folded: bool = False
    """Too long to stand open on a screen; print shows it."""


@dataclass(frozen=True, slots=True)
class Illustration:
    """A figure, saved under figures/ and carried along for embedding."""

    name: str
    caption: str
    mime: Literal["image/svg+xml", "image/png"]
    content: bytes
    wide: bool = False
    """Unreadable at the width of a phone: to be scrolled there."""


TITLES: Final = {
    "metrics": "How good is it?",
    "calibration": "At which threshold, and when “unsure”?",
    "comparison": "Better than the other one?",
    "shortcuts": "Images or files?",
    "robustness": "Does it survive the way to the reader?",
    "collections": "Does it hold on other collections?",
    "explanations": "Do the heat maps explain it?",
}

Block = Paragraph | Note | Table | Illustration


@dataclass(frozen=True, slots=True)
class Risk:
    """One way in which the headline may mislead. `size`: how much of a rate or of AUROC is at stake, to rank by."""

    size: float
    words: str


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report. `finding`: what it comes to, in one or two sentences."""

    key: str
    """One of TITLES."""
    finding: str
    blocks: tuple[Block, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    """What metrics.json holds of it: key to plain values."""
    risks: tuple[Risk, ...] = ()
    failed: str | None = None
    """Why it, or a part of it, could not be made."""

    @property
    def title(self) -> str:
        """The question that it answers."""
        return TITLES[self.key]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    opening: tuple[tuple[str, str], ...]
    """One paragraph: "What was found", "What it is worth", "The largest risk", each with its sentences."""
    sections: tuple[Section, ...]
    about: Table
    """What was evaluated, with what."""

    @property
    def failures(self) -> list[str]:
        """One line for each part that could not be made."""
        return [f"{section.title}: {section.failed}" for section in self.sections if section.failed]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Saves figures as PNG and PDF and hands them on for the report."""

    folder: Path

    def add(self, figure: Figure, name: str, caption: str, *, photographs: bool = False) -> Illustration:
        """Save a figure; `photographs`: it holds images, which are embedded as pixels rather than as drawing."""
        logging.getLogger("fontTools").setLevel(logging.WARNING)  # at INFO a PDF tells each step of cutting its fonts
        save(figure, self.folder, name)
        memory = io.BytesIO()
        with styled():
            if photographs:
                figure.savefig(memory, format="png", dpi=110, metadata={"Software": None})
            else:
                figure.savefig(memory, format="svg", metadata={"Date": None, "Creator": None})
        mime: Literal["image/svg+xml", "image/png"] = "image/png" if photographs else "image/svg+xml"
        return Illustration(name, caption, mime, memory.getvalue(), wide=figure.get_figwidth() > 8)


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
    return number(cell) if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else cell


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
