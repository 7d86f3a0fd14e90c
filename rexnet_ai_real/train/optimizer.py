"""The optimizer that the settings name: any class of torch.optim, without weight decay on biases and norms."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from rexnet_ai_real.config import ConfigError, OptimizerConfig


def new_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer for the network's parameters.

    Raises:
        ConfigError: PyTorch has no such optimizer, or it does not accept these settings.
    """
    chosen: Any = vars(torch.optim).get(config.name)
    if not (isinstance(chosen, type) and issubclass(chosen, torch.optim.Optimizer)):
        raise ConfigError(f"optimizer.name={config.name}: expected a class of torch.optim, such as SGD")
    make: Callable[..., torch.optim.Optimizer] = chosen
    try:
        return make(parameter_groups(network, config), lr=config.lr, **config.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer.options={config.options}: torch.optim.{config.name} refuses: {error}") from error


def parameter_groups(network: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Decay for weights of convolutions and linear layers; none for biases and batch norm, which shift and scale.

    With `layer_decay` each layer is two such groups, each with its own rate: those of the last layer, with the full
    rate, come last. What is frozen for good is in none.
    """
    if config.layer_decay == 1:
        parameters = [p for p in network.parameters() if p.requires_grad]
        return [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
    from timm.optim import param_groups_layer_decay  # takes seconds, and brings torchvision along

    decay, layer_decay = config.weight_decay, config.layer_decay
    groups: list[dict[str, Any]] = param_groups_layer_decay(network, decay, layer_decay=layer_decay)
    groups.sort(key=lambda group: group["lr_scale"])
    for group in groups:
        group["lr"] = config.lr * group.pop("lr_scale")
    return groups
