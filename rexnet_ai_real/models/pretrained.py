"""Weights to start from: read safely from a file in one of two key layouts, or fetched by name from timm's hub page.

This project's key layout is timm's; only the lite variant, which timm lacks, adds `head.hidden`. The authors' own files
(clovaai) hold the same tensors, numbered as in their sequentials.
"""

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rexnet_ai_real.files import NotPlain, require_plain
from rexnet_ai_real.models.architectures import ARCHITECTURES, rexnet
from rexnet_ai_real.models.checkpoint import AsksForCode, Damaged, read_plain, read_safetensors
from rexnet_ai_real.models.factory import sizes_to_build
from rexnet_ai_real.models.rexnet import ReXNet
from rexnet_ai_real.models.saved import BY_HAND, State, WeightsError, locate, one_network

NESTS = ("state_dict", "model", "model_state_dict")
"""Where training programs put the weights inside a checkpoint."""
WRAPPERS = ("module.", "network.", "model.", "_orig_mod.")
"""What DataParallel, a LightningModule or torch.compile put before each key."""


class UnreachableHubError(WeightsError, ConnectionError):
    """The hub that publishes the weights cannot be reached."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Which weights were loaded, and from where. `head` is False when the model kept its own last layer."""

    source: str
    layout: Literal["timm", "clovaai"]
    tensors: int
    head: bool

    def __str__(self) -> str:
        head = "with its last layer" if self.head else "last layer fresh"
        return f"{self.tensors} tensors from {self.source} ({self.layout} layout), {head}"


def load_pretrained(model: nn.Module, name: str, weights: str | Path, *, image_size: int | None = None) -> Loaded:
    """What `model.weights` stands for: "imagenet" fetches those of the architecture `name`, anything else is a file.

    `image_size`: as for `build`.

    Raises:
        WeightsError: as `load_imagenet` and `load_weights`.
    """
    return load_imagenet(model, name, image_size=image_size) if weights == "imagenet" else load_weights(model, weights)


def load_weights(model: nn.Module, source: str | Path) -> Loaded:
    """Copy a file's weights into `model`, which keeps its own last layer where the class counts differ.

    Takes .safetensors, .pth, .pt and .ckpt, recognised by content: a state dict in this project's, timm's or the
    authors' key layout, plain or inside a checkpoint, whose keys may carry the prefix of a wrapper. Takes the folder of
    a run (its best checkpoint) and of a saved detector too; PATH@1 is the second network of a saved ensemble. Nothing
    in the file is executed.

    Raises:
        MissingWeightsError: no such file.
        WeightsError: not plain weights, weights of another network, or of several networks of which none is chosen;
            the model is left as it was.
    """
    path, number = locate(source)
    state = one_network(read_state_dict(path), number, str(path), model.state_dict())
    return _copy(model, state, str(path))


def load_imagenet(model: nn.Module, name: str, *, image_size: int | None = None) -> Loaded:
    """Copy the ImageNet weights that timm publishes for the architecture `name`; the hub's cache keeps the file.

    Raises:
        UnreachableHubError: the hub cannot be reached; the message names the page to fetch the file from by hand.
        WeightsError: none are published under this name, or they do not fit the model.
    """
    import timm  # takes seconds, and brings torchvision along

    page = getattr(timm.get_pretrained_cfg(name) if timm.is_model(name) else None, "hf_hub_id", None)
    if not page:
        published = ", ".join(n for n in ARCHITECTURES if timm.is_model_pretrained(n))
        raise WeightsError(f"model.weights=imagenet: none are published for {name}, but for {published}; or {BY_HAND}")
    file = _fetch(page)
    # Built by timm, since on loading it renames the keys of some backbones and fits position embeddings to the size.
    size: dict[str, Any] = dict(sizes_to_build(name, image_size)[0])
    donor = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, **size)
    return _copy(model, donor.state_dict(), page)


def to_timm_layout(model: ReXNet) -> State:
    """The model's state dict for `timm.create_model(name, num_classes=...).load_state_dict`.

    Raises:
        ValueError: a lite model, which timm lacks.
    """
    if model.lite:
        raise ValueError("timm has no lite ReXNet; its weights can only go into another lite ReXNet")
    return model.state_dict()


def read_state_dict(path: Path) -> State:
    """The tensors in a file by name, on the CPU, without running any code that it may carry.

    Raises:
        WeightsError: damaged, or something other than plain tensors.
    """
    try:
        require_plain(path)
        with path.open("rb") as file:
            head = file.read(9)
        # A safetensors file begins with the length of its header, 8 bytes, and the header is JSON.
        content: Any = read_safetensors(path) if head[8:] == b"{" else read_plain(path)
    except AsksForCode as error:
        raise WeightsError(
            f"{path} was not opened: it asks to run {error.function}, and weights need no code. Expected plain "
            "tensors: ask for a .safetensors file, or, where you trust it, save model.state_dict() from it yourself"
        ) from error
    except (Damaged, NotPlain, OSError) as error:
        raise WeightsError(
            f"{path} is damaged or no weights file ({error}): expected .safetensors, or .pth/.pt/.ckpt written by "
            "torch.save"
        ) from error
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    tensors = isinstance(content, Mapping) and all(isinstance(v, Tensor) for v in content.values())
    if not (tensors and content and all(isinstance(key, str) for key in content)):
        raise WeightsError(f"{path} holds no state dict: expected tensors by name, plain or under {' or '.join(NESTS)}")
    return dict(content)


def _copy(model: nn.Module, state: State, source: str) -> Loaded:
    own = model.state_dict()
    state = _without_wrappers(state, own)
    layout: Literal["timm", "clovaai"] = "clovaai" if "features.0.weight" in state else "timm"
    state = _in_own_layout(state, model)
    head = _head_keys(model)
    kept = _head_to_keep(state, own, head)
    problems = _misfits(state, own, kept)
    if problems:
        raise WeightsError(f"{source} does not fit the model: {problems}. {_advice(state, model)}")
    broken = [key for key, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise WeightsError(f"{source} holds NaN or infinity in {_few(broken)}: the training that wrote it failed")
    taken = {key: tensor for key, tensor in state.items() if key not in kept}
    model.load_state_dict(taken, strict=False)
    return Loaded(source, layout, len(taken), head=not kept)


def _without_wrappers(state: State, own: State) -> State:
    """Only the keys under a wrapper's prefix, without it, unless the model itself has keys that begin so."""
    for _ in WRAPPERS:  # they may be nested: module.network._orig_mod.stem...
        for prefix in WRAPPERS:
            if any(key.startswith(prefix) for key in state) and not any(key.startswith(prefix) for key in own):
                state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return state


def _in_own_layout(state: State, model: nn.Module) -> State:
    if not isinstance(model, ReXNet) or "features.0.weight" not in state:
        return state
    ours = _clovaai_keys(model)
    linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    renamed = {ours.get(key, key): tensor for key, tensor in state.items()}
    return {key: tensor.flatten(1) if key in linear else tensor for key, tensor in renamed.items()}


def _clovaai_keys(model: ReXNet) -> dict[str, str]:
    """The authors' key of each tensor -> this model's.

    They number the layers in one sequential, each block again in one called `out`; activations are numbered too.
    """
    modules = {"stem.conv": "features.0", "stem.bn": "features.1"}
    for index, spec in enumerate(model.block_specs):
        expand = "conv_exp.conv conv_exp.bn act " if spec.expands else ""
        squeeze = "se " if spec.squeeze else ""
        layers = f"{expand}conv_dw.conv conv_dw.bn {squeeze}act conv_pwl.conv conv_pwl.bn"
        for number, layer in enumerate(layers.split()):
            modules[f"features.{index}.{layer}"] = f"features.{index + 3}.out.{number}"
        for layer, number in (("fc1", 0), ("bn", 1), ("fc2", 3)) if spec.squeeze else ():
            modules[f"features.{index}.se.{layer}"] = f"{modules[f'features.{index}.se']}.fc.{number}"
    tail = len(model.block_specs)
    modules |= {f"features.{tail}.conv": f"features.{tail + 3}", f"features.{tail}.bn": f"features.{tail + 4}"}
    if model.lite:
        modules |= {"head.hidden.0": "output.0", "head.hidden.1": "output.1", "head.fc": "output.4"}
    else:
        modules |= {"head.fc": "output.1"}
    split = ((key, *key.rsplit(".", 1)) for key in model.state_dict())
    return {f"{modules[module]}.{parameter}": key for key, module, parameter in split}


def _head_keys(model: nn.Module) -> set[str]:
    """Keys of the last layer, whose size depends on the number of classes."""
    config: Any = getattr(model, "pretrained_cfg", None)  # of timm's backbones
    names = config["classifier"] if config else "head.fc"
    return {f"{n}.{p}" for n in ([names] if isinstance(names, str) else names) for p in ("weight", "bias")}


def _head_to_keep(state: State, own: State, head: set[str]) -> set[str]:
    """Keys of the model's last layer if the file has none or one for another number of classes."""
    if not head & state.keys():
        return head & own.keys()
    differs = any(key in state and state[key].shape[:1] != own[key].shape[:1] for key in head & own.keys())
    return head if differs else set()


def _misfits(state: State, own: State, kept: set[str]) -> str:
    """The keys and shapes that do not fit, the first few of each problem; empty when all fit."""
    missing = [key for key in own if key not in state and key not in kept]
    unknown = [key for key in state if key not in own and key not in kept]
    reshaped = [
        f"{key} (file {_shape(state[key])}, model {_shape(own[key])})"
        for key in own
        if key in state and key not in kept and state[key].shape != own[key].shape
    ]
    problems = {"missing": missing, "unknown": unknown, "of another shape": reshaped}
    return "; ".join(f"{len(keys)} tensors {problem}: {_few(keys)}" for problem, keys in problems.items() if keys)


def _advice(state: State, model: nn.Module) -> str:
    """The published architecture that the weights are of, if they are of one."""
    for name in ARCHITECTURES if isinstance(model, ReXNet) else ():
        with torch.device("meta"):
            candidate = rexnet(name)
        own, theirs = candidate.state_dict(), _in_own_layout(state, candidate)
        if not _misfits(theirs, own, _head_to_keep(theirs, own, _head_keys(candidate))):
            return f"The file is of {name}: set model.name={name}"
    return "Expected weights of the same architecture: check model.name and model.weights"


def _few(items: Iterable[str], most: int = 3) -> str:
    items = list(items)
    return ", ".join(items[:most]) + (", ..." if len(items) > most else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _fetch(page: str) -> Path:
    """The file behind a page of the hub: from its cache, else downloaded with a progress bar."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    name = "model.safetensors"
    cached = try_to_load_from_cache(page, name)
    if isinstance(cached, str):
        return Path(cached)
    try:
        # A plain request first: without a network the hub's own client tries six times in 25 s, with a warning at each.
        with contextlib.suppress(urllib.error.HTTPError):  # any answer will do
            urllib.request.urlopen(constants.ENDPOINT, timeout=10).close()
        return Path(hf_hub_download(page, name))
    except Exception as error:  # the client raises errors of several libraries; each means that there is no file
        raise UnreachableHubError(
            f"model.weights=imagenet: cannot fetch {name} from {constants.ENDPOINT}/{page} ({error}). "
            f"Fetch it from that page by hand; then {BY_HAND}"
        ) from error
