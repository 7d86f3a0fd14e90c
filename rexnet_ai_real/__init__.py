"""Tells AI-generated images from real ones with ReXNet: `from rexnet_ai_real import Detector`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rexnet_ai_real.detector.detector import Detector as Detector
    from rexnet_ai_real.detector.verdict import Verdict as Verdict

__all__ = ["Detector", "Verdict"]


def __getattr__(name: str) -> object:
    # Imported when first asked for: PyTorch takes seconds, and commands that need none of it should answer at once.
    if name == "Detector":
        from rexnet_ai_real.detector.detector import Detector

        return Detector
    if name == "Verdict":
        from rexnet_ai_real.detector.verdict import Verdict

        return Verdict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
