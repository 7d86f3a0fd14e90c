"""The name of a detector beside its answers: whoever has two answers can tell whether they may be compared."""

import hashlib
import json
from typing import Final

from rexnet_ai_real.detector.description import Description

RULES: Final = 2
"""Raised when what is out of scope, or how images are delivered again, changes: then rows do not belong in one file."""


def detector_name(description: Description, *, always: bool = False, redeliver: bool = False) -> str:
    """Twelve digits that identify weights, preprocessing, calibration and `RULES`: all that an answer depends on.

    The backend does not count: those of one detector agree within the limits that `export` checks. With `always`, the
    name ends in "-always", with `redeliver` in "-redelivered": such answers do not belong in one file with others.
    """
    calibration = json.dumps(description.calibration.plain(), sort_keys=True)
    digest = hashlib.sha256(f"{RULES} {description.fingerprint} {calibration}".encode()).hexdigest()[:12]
    return f"{digest}{'-redelivered' if redeliver else ''}{'-always' if always else ''}"
