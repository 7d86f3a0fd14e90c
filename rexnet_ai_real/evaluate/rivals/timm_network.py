"""A network of timm's that others trained to tell AI-generated images from real ones, prepared as timm prepares it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from rexnet_ai_real.detector.description import MOST_BYTES
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.storage import StoredDetector, torch_engine
from rexnet_ai_real.errors import UserError, one_line
from rexnet_ai_real.files import NotPlain, require_plain
from rexnet_ai_real.images.layouts import CLASS_FOLDERS, plain_name
from rexnet_ai_real.images.preprocessing import LARGEST, Pixels, Preprocessing
from rexnet_ai_real.labels import AI
from rexnet_ai_real.models import build
from rexnet_ai_real.models.architectures import unknown_name
from rexnet_ai_real.models.pretrained import load_weights, read_state_dict
from rexnet_ai_real.models.saved import State

EXPECTED: Final = (
    "expected timm:NETWORK@WEIGHTS or, where output 0 means AI, timm:NETWORK:0@WEIGHTS. WEIGHTS is a file, a folder "
    "with config.json and model.safetensors, or OWNER/NAME of such a one on the Hugging Face Hub"
)
_NAME: Final = re.compile(r"(?P<network>[\w.-]+)(:(?P<output>[01]))?@(?P<weights>.+)")
_ON_THE_HUB: Final = re.compile(r"(hf-hub:)?(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")


class NoTimmRival(UserError, ValueError):
    """The name stands for no network and weights that can be used."""

    def __init__(self, message: str) -> None:
        """`message` may quote what stands in the files."""
        super().__init__(one_line(message))


@dataclass(frozen=True)
class TimmPreprocessing(Preprocessing):
    """timm's own way of preparing images. `resize` is its crop mode, `interpolation` any of its filters."""

    crop_pct: float = field(kw_only=True)
    """The share of the resized image, along a side, that the centre crop keeps."""

    def to_array(self, image: Image.Image) -> Pixels:
        """As `Preprocessing.to_array`, by timm's code."""
        return np.ascontiguousarray(self._transform(image).permute(1, 2, 0).numpy())

    @cached_property
    def _transform(self) -> Any:
        from timm.data.transforms_factory import create_transform  # takes seconds

        return create_transform(
            input_size=(3, self.image_size, self.image_size),
            interpolation=self.interpolation,
            crop_pct=self.crop_pct,
            crop_mode=self.resize,
            use_prefetcher=True,  # bytes, not normalised
        )


def open_network(name: str) -> Detector:
    """NETWORK@WEIGHTS or NETWORK:OUTPUT@WEIGHTS as a detector, in 32 bits.

    Args:
        name: of timm's network, of which output means AI (else the one that config.json calls so, or 1), and of its
            weights. A network with one output gives the log-odds of AI.

    Raises:
        NoTimmRival: no such name, or none of two classes.
        ModelError: timm has no such network.
        UserError: weights that cannot be read, or are of another network.
    """
    parts = _NAME.fullmatch(name)
    if not parts:
        raise NoTimmRival(f"timm:{name}: {EXPECTED}")
    network, (file, config) = parts["network"], _located(parts["weights"])
    preprocessing = _preprocessing(network, config, file)
    output = int(parts["output"]) if parts["output"] else _ai_output(config)
    state = _two_classes(network, file, output, preprocessing)
    architecture = {"name": network, "library": "timm", "image_size": preprocessing.image_size}
    stored = StoredDetector.of([state], architecture, preprocessing, {})
    return Detector(torch_engine(stored, file, "auto", "32-true"), stored.description)


def _located(weights: str) -> tuple[Path, Mapping[str, Any]]:
    """The file with the weights, and what config.json says of them."""
    path = Path(weights).expanduser()
    on_the_hub = _ON_THE_HUB.fullmatch(weights)
    if path.is_file():
        return path, {}
    if not path.is_dir():
        if not on_the_hub:
            raise NoTimmRival(f"there are no weights at {weights}: {EXPECTED}")
        path = _downloaded(on_the_hub["repository"], on_the_hub["revision"])
    file, config = path / "model.safetensors", path / "config.json"
    if not (file.is_file() and config.is_file()):
        raise NoTimmRival(
            f"{path} does not hold both {config.name} and {file.name}. A run or detector of this program is given as "
            f"it is: run={path}"
        )
    try:
        require_plain(config, MOST_BYTES)
        found = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, NotPlain, ValueError, RecursionError) as error:
        raise NoTimmRival(f"{config} is damaged ({str(error) or type(error).__name__})") from error
    if not isinstance(found, dict) or not isinstance(found.get("pretrained_cfg", {}), dict):
        raise NoTimmRival(f"{config} is none of timm's: expected an object with pretrained_cfg")
    if set(found.get("model_args") or ()) - {"img_size"}:
        raise NoTimmRival(f"{config}: networks with model_args ({found['model_args']}) cannot be opened")
    return file, found


def _downloaded(repository: str, revision: str | None) -> Path:
    """The folder of one commit in the Hub's cache, which also serves where the Hub is not reached."""
    from huggingface_hub import hf_hub_download  # timm brings it along

    try:
        config = Path(hf_hub_download(repository, "config.json", revision=revision))
        hf_hub_download(repository, "model.safetensors", revision=config.parent.name)
    except Exception as error:  # the client raises errors of several libraries
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:300]
        raise NoTimmRival(
            f"there is no file or folder {repository}, and config.json and model.safetensors cannot be had from the "
            f"Hugging Face Hub under this name ({reason})"
        ) from error
    return config.parent


def _preprocessing(network: str, config: Mapping[str, Any], file: Path) -> TimmPreprocessing:
    """As timm resolves it: from the network's settings, and those beside the weights where there are any."""
    import timm
    from timm.data import config as of_timm

    resolve: Any = of_timm.resolve_data_config
    if not timm.is_model(network):
        raise unknown_name(network, timm.list_models(), " (timm.list_models() has them all)")
    known: Any = timm.get_pretrained_cfg(network)
    settings = (known.to_dict() if known else {}) | config.get("pretrained_cfg", {})
    try:
        found = resolve({}, pretrained_cfg=settings)
        channels, height, width = found["input_size"]
        mean, std = (tuple(map(float, found[key])) for key in ("mean", "std"))
        is_sound = channels == len(mean) == len(std) == 3 and height == width and 0 < int(height) <= LARGEST
        if not (is_sound and 0 < float(found["crop_pct"]) <= 1 and min(std) > 0):
            raise ValueError(found)
        return TimmPreprocessing(
            int(height),
            str(found["crop_mode"]),
            str(found["interpolation"]),
            mean,
            std,
            crop_pct=float(found["crop_pct"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NoTimmRival(
            f"timm's {network} with {file} asks for images that cannot be made ({error}): expected squares of at most "
            f"{LARGEST} px with three channels"
        ) from error


def _ai_output(config: Mapping[str, Any]) -> int:
    """The output that config.json names AI, fake, generated ...; 1 where it does not say."""
    names = config.get("label_names")
    classes = [CLASS_FOLDERS.get(plain_name(str(name))) for name in names] if isinstance(names, list) else []
    return classes.index(AI) if len(classes) == 2 and classes.count(AI) == 1 else AI


def _two_classes(name: str, file: Path, output: int, preprocessing: TimmPreprocessing) -> State:
    """The weights of the network with two outputs, real and AI, whatever their order and number in the file."""
    two, one = (build(name, library="timm", num_classes=n, image_size=preprocessing.image_size) for n in (2, 1))
    head = [key for key, tensor in one.state_dict().items() if tensor.shape != two.state_dict()[key].shape]
    if load_weights(two, file).head:
        state = two.state_dict()
        return state if output == AI else state | {key: state[key].flip(0) for key in head}
    if not load_weights(one, file).head:
        raise NoTimmRival(_fine_tune(name, file, head, preprocessing))
    sign = 1 if output == AI else -1
    state = one.state_dict()
    return state | {key: torch.cat([torch.zeros_like(state[key]), sign * state[key]]) for key in head}


def _fine_tune(name: str, file: Path, head: list[str], preprocessing: TimmPreprocessing) -> str:
    counts = {len(tensor) for key, tensor in read_state_dict(file).items() if key in head}
    classes = f"a last layer for {counts.pop():,} classes" if counts else "no last layer"
    mean, std = (",".join(map(str, values)) for values in (preprocessing.mean, preprocessing.std))
    return (
        f"{file} has {classes}: a rival needs two, real and AI (or one, AI). Fine-tune it first, and evaluate that "
        f"run: python -m rexnet_ai_real.train model=timm model.name={name} model.weights={file} data=folder "
        f"data.root=PATH 'data.mean=[{mean}]' 'data.std=[{std}]' data.image_size={preprocessing.image_size}"
    )
