"""All that the page needs to know of a detector besides its graph, as plain JSON.

Limits, words and colours are the package's own, so that the page has no second copy of them.
"""

from typing import Any

from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.detector.verdict import why_unsure
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images import limits, remarks, scope
from rexnet_ai_real.images.heat import COLOURS
from rexnet_ai_real.labels import IMAGE_OF_CLASS, LABELS, TITLES, WORDS
from rexnet_ai_real.provenance.evidence import CAVEAT


def described(description: Description, worth: Worth) -> dict[str, Any]:
    """The detector as site/js reads it.

    Raises:
        UserError: it judges by more than one view of an image, which the page does not do.
    """
    preprocessing, calibration = description.preprocessing, description.calibration
    if len(preprocessing.views) > 1:
        raise UserError(
            f"this detector averages the views {', '.join(preprocessing.views)} of an image, and the page sees one. "
            "Train one with data.views='[frame]'"
        )
    return {
        "name": worth.name,
        "preprocessing": preprocessing.to_plain(),
        "enough": preprocessing.enough,
        "familiar_side": description.familiar_side,
        "calibration": calibration.plain(),
        "why_unsure": why_unsure(calibration),
        "worth": worth.sentences,
        "rule": worth.rule(always=False),
        "titles": TITLES,
        "words": WORDS,
        "image_of": dict(zip(LABELS, IMAGE_OF_CLASS, strict=True)),
        "caveat": CAVEAT,
        "colours": COLOURS.round().astype(int).tolist(),
        "limits": {
            "max_bytes": limits.MAX_BYTES,
            "max_pixels": limits.MAX_PIXELS,
            "max_aspect": limits.MAX_ASPECT,
            "max_scans": limits.MAX_SCANS,
            "far_below": remarks.FAR_BELOW,
            "blank": remarks.BLANK,
            "side": scope.SIDE,
            "shades": scope.SHADES,
            "few_shades": scope.FEW_SHADES,
            "flat": scope.FLAT,
            "shaded": scope.SHADED,
            "sharp": scope.SHARP,
            "text_shades": scope.TEXT_SHADES,
            "text_sharp": scope.TEXT_SHARP,
            "soft_edge": scope.SOFT_EDGE,
            "hard_edge": scope.HARD_EDGE,
        },
    }
