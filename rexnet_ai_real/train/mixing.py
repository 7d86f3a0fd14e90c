"""Mixed training images: two of a batch become one, and their labels shares of both classes."""

from collections.abc import Callable

from torch import Tensor

from rexnet_ai_real.config import AugmentConfig

Mixing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Images (N, 3, H, W) and labels (N,) -> images of the same shape and the share of each class (N, 2)."""


def new_mixing(config: AugmentConfig) -> Mixing | None:
    """Torchvision's mixup or cutmix, one of the two at random for each batch where both are on; None: neither is."""
    if not (config.mixup or config.cutmix):
        return None
    from torchvision.transforms import v2  # takes seconds

    mixes = {v2.MixUp: config.mixup, v2.CutMix: config.cutmix}
    chosen = [mix(alpha=alpha, num_classes=2) for mix, alpha in mixes.items() if alpha]
    mixing: Mixing = v2.RandomChoice(chosen) if len(chosen) > 1 else chosen[0]
    return mixing
