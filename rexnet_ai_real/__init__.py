"""Tells AI-generated images from real ones with ReXNet: `from rexnet_ai_real import Detector`."""

import os
from typing import TYPE_CHECKING

# ONNX Runtime 1.32 reports to its maker and leaves a file in the temporary folder, unless told so before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from rexnet_ai_real.detector.detector import Detector as Detector
    from rexnet_ai_real.detector.verdict import Verdict as Verdict

    __version__: str

__all__ = ["Detector", "Verdict", "__version__"]


def __getattr__(name: str) -> object:
    # Imported on first use: PyTorch takes seconds, and a command that needs none of it should start at once.
    if name == "Detector":
        from rexnet_ai_real.detector.detector import Detector

        return Detector
    if name == "Verdict":
        from rexnet_ai_real.detector.verdict import Verdict

        return Verdict
    if name == "__version__":
        from importlib.metadata import version

        return version("rexnet-ai-real")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
