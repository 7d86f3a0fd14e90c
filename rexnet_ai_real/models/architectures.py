"""The published ReXNets by name."""

import difflib
from dataclasses import dataclass

from rexnet_ai_real.errors import UserError
from rexnet_ai_real.models.rexnet import ReXNet


class ModelError(UserError, ValueError):
    """A network that does not exist, or a setting that it does not have. The message names what is possible."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The settings behind a published name."""

    width: float
    divisor: int = 1
    lite: bool = False


LARGEST = 16
"""Of width and depth: three times what anyone has published, and far below what would take all the memory."""

ARCHITECTURES = {
    "rexnet_100": Architecture(1.0),
    "rexnet_130": Architecture(1.3),
    "rexnet_150": Architecture(1.5),
    "rexnet_200": Architecture(2.0),
    "rexnet_300": Architecture(3.0),
    "rexnetr_100": Architecture(1.0, divisor=8),
    "rexnetr_130": Architecture(1.3, divisor=8),
    "rexnetr_150": Architecture(1.5, divisor=8),
    "rexnetr_200": Architecture(2.0, divisor=8),
    "rexnetr_300": Architecture(3.0, divisor=16),
    "rexnet_lite_100": Architecture(1.0, divisor=8, lite=True),
    "rexnet_lite_130": Architecture(1.3, divisor=8, lite=True),
    "rexnet_lite_150": Architecture(1.5, divisor=8, lite=True),
    "rexnet_lite_200": Architecture(2.0, divisor=8, lite=True),
}
"""Full ReXNets and lite ones as their authors published them; rexnetr, with aligned channels, as timm did."""


def rexnet(
    name: str,
    *,
    num_classes: int = 2,
    width: float | None = None,
    depth: float = 1.0,
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> ReXNet:
    """The ReXNet of a published name with fresh weights; `width`, where given, replaces that of the name.

    Raises:
        ModelError: no such name, and the message lists the nearest ones; or a width or depth above `LARGEST`.
        ValueError: another setting out of its range.
    """
    if name not in ARCHITECTURES:
        raise unknown_name(name, list(ARCHITECTURES), " (model.library=timm for timm's backbones)")
    if (width or 0) > LARGEST or depth > LARGEST:
        raise ModelError(f"model.width={width}, model.depth={depth}: expected at most {LARGEST} of each")
    architecture = ARCHITECTURES[name]
    return ReXNet(
        architecture.width if width is None else width,
        depth,
        num_classes=num_classes,
        dropout=dropout,
        drop_path=drop_path,
        lite=architecture.lite,
        divisor=architecture.divisor,
    )


def unknown_name(name: str, known: list[str], remark: str = "") -> ModelError:
    """The error for a name that is not among the known ones, with those that may have been meant."""
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    choice = f"did you mean {', '.join(close)}?" if close else f"known are {', '.join(known[:20])}"
    return ModelError(f"model.name={name}: no such model; {choice}{remark}")
