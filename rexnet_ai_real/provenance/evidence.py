"""What an image's metadata say of its origin: single findings, and their summary."""

from dataclasses import dataclass
from typing import Final, Literal

from rexnet_ai_real.provenance.block import printable
from rexnet_ai_real.provenance.content_credentials import ContentCredentials

Says = Literal["ai", "real", "edited", "unknown"]
"""`ai`: made by a generative model, wholly or in part. `real`: captured, or drawn by a person. `edited`: changed by a
program or a person, with nothing said of generative models. `unknown`: worth showing, but it decides nothing."""

Kind = Literal["parameters", "software", "source type", "label", "credit", "description", "camera", "c2pa"]

CAVEAT: Final = "Metadata can be forged or removed: what it says is a claim, and that it says nothing is no proof."

VERDICTS: Final[tuple[tuple[Says, str], ...]] = (
    ("ai", "says AI-generated"),
    ("edited", "names editing"),
    ("real", "names a camera or handwork"),
    ("unknown", "says nothing certain"),
)
"""Statements, the strongest first, and how the summary words them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finding. `value` is what the file says, made printable and shortened to 200 characters."""

    kind: Kind
    field: str
    """The field's own name: "parameters", "Software", "Iptc4xmpExt:DigitalSourceType", ..."""
    value: str
    says: Says
    where: str
    """The part of the file that holds it: "PNG tEXt", "EXIF", "XMP", ..."""
    program: str | None = None
    """The generator or program recognised in it."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """All that a file's metadata says of its origin. Evidence beside the detector's probability, never part of it."""

    evidence: tuple[Evidence, ...] = ()
    c2pa: ContentCredentials | None = None
    """The signed history, if the file holds one."""
    problem: str | None = None
    """What could not be read, and why; the evidence holds what could."""

    @property
    def says(self) -> Says | None:
        """The strongest statement: generative AI outweighs editing, and editing outweighs a camera.

        An image from a camera that was extended by a model names both, so they are no contradiction. None where
        nothing was found.
        """
        said = {item.says for item in self.evidence} | ({"unknown"} if self.c2pa else set())
        return next((says for says, _ in VERDICTS if says in said), None)

    @property
    def verdict(self) -> str:
        """One line for people, with the reasons and the caveat that fits."""
        if self.says is None:
            found = "could not be read" if self.problem else "no provenance metadata (it may have been removed)"
            return f"{found}: {self.problem}" if self.problem else found
        parts = [
            f"{phrase}: {_reasons([item for item in self.evidence if item.says == says])}"
            for says, phrase in VERDICTS
            if (says != "unknown" or self.says == "unknown") and any(item.says == says for item in self.evidence)
        ]
        if self.c2pa:
            parts.append(self.c2pa.summary)
        return f"{'; '.join(parts)} (metadata can be forged or removed)"


def _reasons(items: list[Evidence]) -> str:
    reasons = list(dict.fromkeys(_reason(item) for item in items))
    more = [f"{len(reasons) - 3} more"] if len(reasons) > 3 else []
    return ", ".join([*reasons[:3], *more])


def _reason(item: Evidence) -> str:
    if item.kind == "parameters" and item.program:
        return f"{item.program} parameters ({item.where}, {item.field})"
    if item.kind == "label":
        return f"China's AIGC label ({item.where}, {item.field}): {printable(item.value, 60)}"
    return f"{item.field} {item.program or printable(item.value, 60)!r} ({item.where})"
