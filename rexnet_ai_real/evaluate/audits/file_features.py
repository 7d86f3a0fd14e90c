"""The facts of files as columns with names that read well in a rule, and as numbers for a classifier."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from rexnet_ai_real.evaluate.audits.container import ContainerFacts
from rexnet_ai_real.evaluate.audits.rules import Feature
from rexnet_ai_real.metrics.scores import FloatArray

# Names (container, table fingerprint ...) become columns where at least this share of the files has them.
_COMMON: Final = 0.01


def file_features(facts: Sequence[ContainerFacts]) -> list[Feature]:
    """Twenty-five columns of n files."""

    def numbers(name: str, fact: Callable[[ContainerFacts], float | None]) -> Feature:
        found = (fact(file) for file in facts)
        return Feature(name, np.array([np.nan if value is None else value for value in found], dtype=np.float64))

    def flags(name: str, fact: Callable[[ContainerFacts], bool | None]) -> Feature:
        return Feature(name, np.array([bool(fact(file)) for file in facts], dtype=bool))

    def names(name: str, fact: Callable[[ContainerFacts], str | None]) -> Feature:
        return Feature(name, np.array([fact(file) or "" for file in facts], dtype=str))

    return [
        numbers("width", lambda file: file.width),
        numbers("height", lambda file: file.height),
        numbers("short side", lambda file: min(file.width, file.height) if file.width and file.height else None),
        numbers("long side", lambda file: max(file.width, file.height) if file.width and file.height else None),
        numbers("aspect", lambda file: file.aspect),
        numbers("megapixels", lambda file: file.megapixels),
        numbers("bytes", lambda file: file.bytes),
        numbers("bytes per pixel", lambda file: file.bytes_per_pixel),
        numbers("bit depth", lambda file: file.bit_depth),
        numbers("JPEG quality", lambda file: file.jpeg_quality),
        numbers("luminance step", lambda file: file.luma_step),
        numbers("chrominance step", lambda file: file.chroma_step),
        flags("width == height", lambda file: file.width == file.height),
        # Generators draw on a grid of 8 to 64 pixels, and their users publish what came out.
        flags("both sides multiples of 64", _on_grid),
        flags("extension at odds with content", lambda file: file.lying_extension),
        flags("libjpeg's quantisation tables", lambda file: file.standard_tables),
        flags("progressive", lambda file: file.progressive),
        flags("EXIF present", lambda file: file.exif),
        flags("ICC profile present", lambda file: file.icc),
        flags("software or comment named", lambda file: file.software),
        names("container", lambda file: file.container),
        names("extension", lambda file: file.extension),
        names("mode", lambda file: file.mode),
        names("chroma subsampling", lambda file: file.subsampling),
        names("quantisation tables", lambda file: file.tables),
    ]


def numeric_columns(feature: Feature) -> FloatArray:
    """(n, columns) numbers; a name becomes one column for each value that is common. No labels are used."""
    if feature.values.dtype.kind in "fb":
        return feature.values.astype(np.float64)[:, None]
    values, counts = np.unique(feature.values, return_counts=True)
    common = values[counts >= max(2, _COMMON * len(feature.values))]
    return np.asarray(feature.values[:, None] == common, dtype=np.float64)


def _on_grid(file: ContainerFacts) -> bool:
    return file.width is not None and file.height is not None and file.width % 64 == file.height % 64 == 0
