"""What run=timm:... and run=python:... name. PyTorch is imported only when a rival is opened."""

from importlib import import_module
from typing import Final

from rexnet_ai_real.detector.detector import Detector

RIVALS: Final = {
    "timm": "rexnet_ai_real.evaluate.rivals.timm_network:open_network",
    "python": "rexnet_ai_real.evaluate.rivals.function:open_function",
}
"""What stands before the first colon -> module:function, which takes what stands behind it and gives a `Detector`."""


def is_rival(name: str) -> bool:
    """Whether a name is that of a rival, and not a path."""
    kind, colon, _ = name.partition(":")
    return bool(colon) and kind in RIVALS


def open_rival(name: str) -> Detector:
    """The detector that timm:NETWORK@WEIGHTS or python:MODULE:FUNCTION names. It is not calibrated.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    kind, _, rest = name.partition(":")
    module, _, function = RIVALS[kind].partition(":")
    detector: Detector = getattr(import_module(module), function)(rest)
    return detector
