"""The detector that comes with this program, for whoever names none: `Detector.load()`, `rexnet-ai-real predict a.jpg`.

How it is made: `export/release.py`.
"""

from pathlib import Path
from typing import Final

from rexnet_ai_real.runs.identify import DETECTOR_FILE, EXPECTED, NotADetector

NAME: Final = "ready"
"""What it is called where a detector must be named: run=ready."""
FOLDER: Final = Path(__file__).resolve().parents[1] / NAME
"""Where it lies in the package, with its model card."""


def ready_detector() -> Path:
    """Its folder.

    Raises:
        NotADetector: this installation has none.
    """
    if not (FOLDER / DETECTOR_FILE).is_file():
        raise NotADetector(
            f"no detector is named, and none comes with this installation ({FOLDER} has no {DETECTOR_FILE}): name one "
            f"({EXPECTED})"
        )
    return FOLDER
