"""Layers that keep their initial weights: the first ones for good, all but the last for some epochs, statistics alone.

Frozen layers run as at inference, and no gradient is computed for them. Lightning's BackboneFinetuning is not used: it
adds groups to the optimizer when it unfreezes, which neither the schedule nor a resumed run would know.
"""

from typing import Any, cast

import lightning as L
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from rexnet_ai_real.config import ConfigError, ModelConfig


def freeze_first(network: nn.Module, blocks: int) -> None:
    """Freeze the stem and this many first blocks for good; 0 freezes nothing.

    Args:
        network: of this project, or one of timm, whose own order of layers counts.
        blocks: at most all but the last layer.

    Raises:
        ConfigError: there are not so many, or timm knows no order.
    """
    if not blocks:
        return
    from timm.models import group_parameters  # takes seconds, and brings torchvision along

    matcher: Any = getattr(network, "group_matcher", None)
    if matcher is None:
        raise ConfigError(f"model.freeze={blocks}: {type(network).__name__} has no order of layers in timm; use 0")
    layers: dict[str, int] = group_parameters(network, matcher(coarse=False), reverse=True)
    most = max(layers.values()) - 1
    if blocks > most:
        raise ConfigError(f"model.freeze={blocks}: this network has {most} blocks before its last layer")
    for name, parameter in network.named_parameters():
        if layers[name] <= blocks:
            parameter.requires_grad_(False)


class Freezing(L.Callback):
    """Keeps frozen layers as at inference, and unfreezes the backbone after `model.freeze_epochs`."""

    @staticmethod
    def is_needed(config: ModelConfig) -> bool:
        """Whether anything is frozen at all."""
        return bool(config.freeze or config.freeze_epochs or config.freeze_norm)

    def __init__(self, config: ModelConfig) -> None:
        """What is frozen for good must be so before the first epoch."""
        self.epochs = config.freeze_epochs
        self.norm = config.freeze_norm
        self._thawing: list[nn.Parameter] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note which weights are trained in the end: all of them are in the optimizer, which skips frozen ones."""
        network = cast(nn.Module, pl_module.network)
        last = cast(Any, network).get_classifier()
        kept = {id(p) for layer in (last if isinstance(last, tuple) else (last,)) for p in layer.parameters()}
        self._thawing = [p for p in network.parameters() if p.requires_grad and id(p) not in kept]
        # A resumed run calls no other hook before the batches of its first epoch.
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Freeze or unfreeze the backbone, and set what is frozen to run as at inference."""
        for parameter in self._thawing:
            parameter.requires_grad_(trainer.current_epoch >= self.epochs)
        run_frozen_as_at_inference(cast(nn.Module, pl_module.network), norm=self.norm)


def run_frozen_as_at_inference(network: nn.Module, *, norm: bool) -> None:
    """Put modules whose weights are all frozen into evaluation mode, everything else into training mode.

    Args:
        network: is changed in place.
        norm: all batch norm into evaluation mode as well.
    """
    network.train()
    for module in network.modules():
        trained = [parameter.requires_grad for parameter in module.parameters()]
        if (trained and not any(trained)) or (norm and isinstance(module, _BatchNorm)):
            module.eval()
