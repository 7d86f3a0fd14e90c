"""The parts of a report: sections of paragraphs, cautions, tables and figures, before they become HTML or Markdown."""

from dataclasses import dataclass, field
from typing import Any, Literal

from rexnet_ai_real.metrics.bootstrap import Estimate


@dataclass(frozen=True, slots=True)
class Signed:
    """A difference, shown with its sign."""

    estimate: Estimate


Cell = str | int | float | Estimate | Signed | None


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain words."""

    words: str


@dataclass(frozen=True, slots=True)
class Caution:
    """A warning to the reader, shown in a box."""

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

    @property
    def footnote(self) -> str:
        """Why some cells are dashes; empty where none is."""
        cells = [cell.estimate if isinstance(cell, Signed) else cell for row in self.rows for cell in row]
        reasons = dict.fromkeys(cell.reason for cell in cells if isinstance(cell, Estimate) and not cell.defined)
        return f"–: {'; '.join(reasons)}." if reasons else ""


@dataclass(frozen=True, slots=True)
class Illustration:
    """A figure, saved under figures/ and carried along for embedding."""

    name: str
    caption: str
    mime: Literal["image/svg+xml", "image/png", "image/jpeg"]
    content: bytes
    wide: bool = False
    """Unreadable at the width of a phone: to be scrolled there."""


Block = Paragraph | Caution | Table | Illustration


@dataclass(frozen=True, slots=True)
class Risk:
    """One way in which the headline may mislead. `size`: how much of a rate or of AUROC is at stake, to rank by."""

    size: float
    words: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a section found out."""

    finding: str
    """The result, in one or two sentences."""
    blocks: tuple[Block, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    """For metrics.json: key to plain values."""
    risks: tuple[Risk, ...] = ()
    failed: str | None = None
    """Why the section, or a part of it, could not be made."""
    worst: str = ""
    """The worst groups of images with their intervals, sentences for the opening."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report: a question and what was found."""

    key: str
    """Its name in settings and in metrics.json, and its anchor in HTML."""
    title: str
    """The question that it answers."""
    found: Findings


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
        return [f"{section.title}: {section.found.failed}" for section in self.sections if section.found.failed]
