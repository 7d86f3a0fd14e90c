"""The network that a configuration or a detector's description names."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rexnet_ai_real.models.architectures import ModelError, rexnet, unknown_name


def build(
    name: str,
    *,
    num_classes: int = 2,
    library: str = "rexnet",
    width: float | None = None,
    depth: float = 1.0,
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> nn.Module:
    """The network of a configuration, with fresh weights: this project's ReXNet or, with library="timm", timm's `name`.

    Raises:
        ModelError: an unknown name (the message lists the nearest ones), or a setting that this network does not have.
    """
    if library == "rexnet":
        return rexnet(name, num_classes=num_classes, width=width, depth=depth, dropout=dropout, drop_path=drop_path)
    if library != "timm":
        raise ModelError(f"model.library={library}: expected rexnet or timm")
    if width is not None or depth != 1:
        raise ModelError(f"model.width and model.depth belong to library=rexnet; timm's {name} has its own")
    return _timm_backbone(name, num_classes, dropout, drop_path)


def build_trained(architecture: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    """The network of a detector's description with its weights.

    Raises:
        TypeError, RuntimeError, ModelError: the description names no network, or the weights are of another one.
    """
    # First without memory: a file of 1 MB from a stranger may name a network of 100 GB.
    with torch.device("meta"):
        planned = build(**architecture)
    planned.load_state_dict(state, assign=True)
    network = build(**architecture)
    network.load_state_dict(state)
    return network


def _timm_backbone(name: str, num_classes: int, dropout: float, drop_path: float) -> nn.Module:
    import timm  # takes seconds, and brings torchvision along

    if not timm.is_model(name):
        raise unknown_name(name, timm.list_models(), " (timm.list_models() has them all)")
    # Not every backbone has stochastic depth: timm accepts any keyword and fails deep inside.
    rates: dict[str, Any] = {"drop_rate": dropout} | ({"drop_path_rate": drop_path} if drop_path else {})
    try:
        model: nn.Module = timm.create_model(name, num_classes=num_classes, **rates)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        setting = "model.drop_path" if "drop_path_rate" in str(error) else "model.dropout"
        raise ModelError(f"{setting}: timm's {name} has no such setting; use 0") from error
    return model
