"""What the service answers, in the words and fields of `predict`; the OpenAPI document describes it by these types."""

import base64
from typing import Literal

from pydantic import BaseModel, Field

from rexnet_ai_real.detector.verdict import Answer as Label
from rexnet_ai_real.provenance import Provenance
from rexnet_ai_real.provenance.evidence import Says
from rexnet_ai_real.serve.judge import Judged, Wanted
from rexnet_ai_real.serve.uploads import Upload


class Finding(BaseModel):
    """One field of the metadata that says something of the image's origin."""

    kind: str
    field: str
    value: str
    says: Says
    where: str
    program: str | None


class FoundProvenance(BaseModel):
    """What the metadata claim. They can be forged or removed, and do not change the probability."""

    says: Says | None
    verdict: str = Field(description="The same in one sentence, with its reasons.")
    evidence: list[Finding]
    problem: str | None = Field(description="What could not be read.")


class Result(BaseModel):
    """What is said of one image."""

    name: str | None = Field(description="As the form named the file; null of a raw body.")
    label: Label | None = Field(description="The answer; null where the image could not be read.")
    probability: float | None = Field(description="Calibrated probability that the image is AI-generated.")
    leaning: Literal["real", "ai"] | None = Field(description="The answer at the threshold, without a promise.")
    reason: str | None = Field(description='Why the label is "unsure" or "out of scope".')
    remark: str | None = Field(description="What makes the image hard to judge.")
    error: str | None = Field(description="Why there is no answer.")
    provenance: FoundProvenance | None = Field(default=None, description="Where it was asked for.")
    heat_map: str | None = Field(
        default=None, description="Where it was asked for: a PNG in base64; null where there is no answer."
    )


class Answer(BaseModel):
    """What is said of the images of one request, in their order."""

    detector: str = Field(description="Twelve digits: answers with the same ones may be compared.")
    results: list[Result]


class Status(BaseModel):
    """Of the service."""

    status: Literal["ok"]


class Taken(BaseModel):
    """What one request may hold."""

    max_bytes: int
    max_pixels: int
    max_files: int


class Model(BaseModel):
    """The detector that answers, and what its answers are worth."""

    detector: str
    name: str
    fingerprint: str = Field(description="SHA-256 over architecture, weights and preprocessing.")
    backend: str
    image_size: int = Field(description="Pixels a side that the network sees.")
    heat_maps: bool = Field(description="Whether it gives them.")
    worth: list[str] = Field(description="How often it was wrong, and where that was measured.")
    rule: str = Field(description="From which probability on it gives which answer.")
    limits: Taken
    card: str | None = Field(description="Its model card in Markdown, where it has one.")


def result(upload: Upload, judged: Judged, wanted: Wanted) -> Result:
    """What is told of one image; what was not asked for is left out."""
    verdict = judged.verdict
    told = Result(
        name=upload.name,
        label=verdict.label,
        probability=None if verdict.probability is None else round(verdict.probability, 6),
        leaning=verdict.leaning,
        reason=verdict.reason,
        remark=verdict.remark,
        error=verdict.error,
    )
    if wanted.provenance and judged.provenance is not None:
        told.provenance = _provenance(judged.provenance)
    if wanted.heat_map:
        told.heat_map = None if judged.heat_map is None else base64.b64encode(judged.heat_map).decode("ascii")
    return told


def _provenance(found: Provenance) -> FoundProvenance:
    evidence = [
        Finding(
            kind=item.kind, field=item.field, value=item.value, says=item.says, where=item.where, program=item.program
        )
        for item in found.evidence
    ]
    return FoundProvenance(says=found.says, verdict=found.verdict, evidence=evidence, problem=found.problem)
