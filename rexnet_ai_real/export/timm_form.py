"""The detector as a model of timm's: `timm.create_model("local-dir:FOLDER/timm", pretrained=True)` gives its logits.

timm reads config.json and model.safetensors from one folder. They lie in a folder of their own, since the
model.safetensors beside detector.json may hold several networks. On the Hub, uploaded as a repository of its own
(`hf upload OWNER/NAME-timm FOLDER/timm`), it is `timm.create_model("hf-hub:OWNER/NAME-timm", pretrained=True)`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexnet_ai_real.detector.backends import TIMM
from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.detector.storage import write_tensors
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export import parity
from rexnet_ai_real.files import write_text
from rexnet_ai_real.labels import IMAGE_OF_CLASS, LABELS
from rexnet_ai_real.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from rexnet_ai_real.export.making import Making


class NoTimmForm(UserError, ValueError):
    """A detector that timm cannot hold."""


def write_timm(making: "Making", file: Path) -> None:
    """Write model.safetensors, with config.json beside it, and let timm read them back.

    Raises:
        NoTimmForm: an ensemble, a network that timm does not have, or images prepared as it cannot.
        ParityFailed: timm's network does not answer as this one does.
    """
    import timm

    if len(making.stored.states) > 1:
        raise NoTimmForm(
            f"timm holds one network, and this detector has {len(making.stored.states)}: add --average-weights, or "
            f"leave {TIMM.format} out of --formats"
        )
    config = timm_config(making.description)
    write_text(file.parent / "config.json", json.dumps(config, indent=2, allow_nan=False) + "\n")
    write_tensors(file, making.stored.states[0])
    network = timm.create_model(f"local-dir:{file.parent}", pretrained=True)
    engine = TorchEngine.of([network], making.description.preprocessing, "cpu", "32-true")
    parity.require_exact(making.measure_engine(engine, TIMM.format))


def timm_config(description: Description) -> dict[str, Any]:
    """config.json: which network of timm's, how images are prepared for it, and what its two outputs mean.

    Raises:
        NoTimmForm: timm does not have this network, or prepares images in no such way.
    """
    architecture, arguments = _in_timm(description)
    preprocessing = description.preprocessing
    if preprocessing.resize == "native":
        raise NoTimmForm(
            f"timm resizes every image, and this detector sees pixels as they are (data.resize=native): leave "
            f"{TIMM.format} out of --formats"
        )
    size = preprocessing.image_size
    return {
        "architecture": architecture,
        "num_classes": len(LABELS),
        "label_names": list(LABELS),
        "label_descriptions": dict(zip(LABELS, IMAGE_OF_CLASS, strict=True)),
        "model_args": arguments,
        "pretrained_cfg": {
            "num_classes": len(LABELS),
            "input_size": [3, size, size],
            "interpolation": preprocessing.interpolation,
            "crop_pct": 1.0,
            "crop_mode": "squash" if preprocessing.resize == "squash" else "center",
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
        },
    }


def _in_timm(description: Description) -> tuple[str, dict[str, Any]]:
    """Timm's name of the network, and arguments that its name does not stand for."""
    import timm

    architecture = description.architecture
    name = str(architecture["name"])
    if architecture.get("library", "rexnet") == "timm":
        own, size = timm.get_pretrained_cfg(name), description.preprocessing.image_size
        is_resized = own is not None and own.fixed_input_size and own.input_size[-1] != size
        return name, {"img_size": size} if is_resized else {}
    settings = ARCHITECTURES[name]
    if settings.lite:
        raise NoTimmForm(f"timm has no {name}: leave {TIMM.format} out of --formats")
    width, depth = architecture.get("width"), architecture.get("depth", 1.0)
    if width in (None, settings.width) and depth == 1:
        return name, {}
    return "rexnet_100", {
        "width_mult": settings.width if width is None else width,
        "depth_mult": depth,
        "ch_div": settings.divisor,
    }
