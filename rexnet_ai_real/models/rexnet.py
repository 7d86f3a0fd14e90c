"""ReXNet from scratch (Han et al. 2021, "Rethinking Channel Dimensions for Efficient Model Design", arXiv 2007.00992).

MobileNetV2 widens its network in a few jumps, so that the first layer of each stage must squeeze many features through
too few channels. ReXNet widens a little at every block instead: channels grow linearly with the block's index, SiLU
follows the expansions, and a block's input is added to the first channels of its wider output.

Names of modules follow timm's, so that its published weights load without a translation.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGE_DEPTHS = (1, 2, 2, 3, 3, 5)
STAGE_STRIDES = (1, 2, 2, 2, 1, 2)
FIRST_STAGE_WITH_SQUEEZE = 2
EXPANSION = 6
SQUEEZE_REDUCTION = 12
STEM_CHANNELS = 32
FIRST_CHANNELS = 16
TAIL_CHANNELS = 1280
LITE_HIDDEN_FEATURES = 1024


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """One inverted bottleneck: channels in, inside (once expanded) and out; `squeeze` 0: no squeeze-and-excite."""

    in_channels: int
    inner_channels: int
    out_channels: int
    stride: int
    squeeze: int

    @property
    def expands(self) -> bool:
        """Whether a 1x1 convolution widens the input first; only the first stage goes without."""
        return self.inner_channels != self.in_channels

    @property
    def has_shortcut(self) -> bool:
        """Whether the input is added to the first `in_channels` channels of the output."""
        return self.stride == 1 and self.in_channels <= self.out_channels


def block_table(width: float, depth: float = 1.0, *, divisor: int = 1, lite: bool = False) -> list[BlockSpec]:
    """The channel rule that gives ReXNet its name: outputs grow linearly from block to block (Han et al. 2021, 4.2).

    Kept apart from the modules so that it can be read, tested and plotted without building a network.

    Args:
        width: factor on every count of channels; below 1 the stem and the first block keep their 32 and 16 channels.
        depth: factor on the number of blocks of each of the six stages, rounded up.
        divisor: counts are rounded to multiples of it (8 or 16 suit matrix units better than odd numbers).
        lite: the authors' variant for integer and mobile hardware: no squeeze-and-excite, slightly narrower.

    Raises:
        ValueError: width, depth or divisor is not positive.
    """
    if not (0 < width < math.inf and 0 < depth < math.inf and divisor >= 1):
        raise ValueError(f"width, depth and divisor must be positive, got {width=}, {depth=}, {divisor=}")
    stages = [math.ceil(blocks * depth) for blocks in STAGE_DEPTHS]
    total = sum(stages)
    # The authors' code grows full ReXNet by 180 in `total` steps (its last block falls one step short of 196 channels)
    # and the lite one by 164 in `total - 1` steps (its last block reaches 180).
    step = 164 / (total - 1) if lite else 180 / total

    specs: list[BlockSpec] = []
    in_channels = _round_channels(round(STEM_CHANNELS / min(width, 1.0) * width), divisor)
    # Summed step by step as in the reference: i * step ends on the other side of a half for some odd widths.
    channels = FIRST_CHANNELS / min(width, 1.0)
    for stage, (blocks, stride) in enumerate(zip(stages, STAGE_STRIDES, strict=True)):
        for block in range(blocks):
            inner = in_channels if stage == 0 else _round_channels(in_channels * EXPANSION, divisor)
            has_squeeze = stage >= FIRST_STAGE_WITH_SQUEEZE and not lite
            specs.append(
                BlockSpec(
                    in_channels=in_channels,
                    inner_channels=inner,
                    out_channels=_round_channels(round(channels * width), divisor),
                    stride=stride if block == 0 else 1,
                    squeeze=_round_channels(inner // SQUEEZE_REDUCTION, divisor) if has_squeeze else 0,
                )
            )
            in_channels = specs[-1].out_channels
            channels += step
    return specs


def _round_channels(channels: float, divisor: int) -> int:
    """The nearest multiple of `divisor`, at least one of it and never more than 10 % below (Sandler et al. 2018)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class ConvNorm(nn.Module):
    """Convolution, batch norm and, where given, an activation. (N, in, H, W) -> (N, out, H / stride, W / stride)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        """`groups` as many as channels make the convolution depthwise; no activation leaves the layer linear."""
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.act = nn.Identity() if activation is None else activation

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three in order."""
        return self.act(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channels' means (Hu et al. 2018), with a batch norm inside."""

    def __init__(self, channels: int, squeezed: int) -> None:
        """`squeezed`: width of the hidden layer."""
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.bn = nn.BatchNorm2d(squeezed)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def gate(self, means: Tensor) -> Tensor:
        """Means over all spatial positions (N, C, 1, 1) -> a factor from 0 to 1 for each channel."""
        return torch.sigmoid(self.fc2(F.relu(self.bn(self.fc1(means)))))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return x * self.gate(x.mean((2, 3), keepdim=True))


def _activation(lite: bool) -> nn.Module:
    # In place: +15 % images/s at inference (bfloat16, channels_last, one thread), no difference in training.
    return nn.ReLU6(inplace=True) if lite else nn.SiLU(inplace=True)


class LinearBottleneck(nn.Module):
    """Expand 1x1, depthwise 3x3, squeeze-and-excite, ReLU6, project 1x1 without an activation; the partial shortcut."""

    def __init__(self, spec: BlockSpec, drop_path: float = 0.0, lite: bool = False) -> None:
        """`drop_path`: the chance that a training image takes the shortcut alone (Huang et al. 2016)."""
        super().__init__()
        inner = spec.inner_channels
        self.conv_exp = (
            ConvNorm(spec.in_channels, inner, activation=_activation(lite)) if spec.expands else nn.Identity()
        )
        self.conv_dw = ConvNorm(inner, inner, 3, spec.stride, groups=inner)
        self.se = SqueezeExcite(inner, spec.squeeze) if spec.squeeze else nn.Identity()
        self.act_dw = nn.ReLU6(inplace=True)
        self.conv_pwl = ConvNorm(inner, spec.out_channels)
        self.has_shortcut = spec.has_shortcut
        self.new_channels = spec.out_channels - spec.in_channels
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        out: Tensor = self.conv_pwl(self.filtered(self.conv_exp(x)))
        if not self.has_shortcut:
            return out
        if self.drop_path and self.training:
            keep = 1.0 - self.drop_path
            out = out * (out.new_empty(len(out), 1, 1, 1).bernoulli_(keep) / keep)
        # Padded: a training step takes 7 % less than with slice and concatenate or with an in-place addition (2.06,
        # 2.20, 2.18 s; batch 32, 224 px, bfloat16, channels_last, one thread); inference is as fast with all three.
        return out + F.pad(x, (0, 0, 0, 0, 0, self.new_channels))

    def filtered(self, x: Tensor) -> Tensor:
        """Between the two 1x1 convolutions: depthwise, batch norm, squeeze-and-excite, ReLU6."""
        return self.act_dw(self.se(self.conv_dw(x)))  # type: ignore[no-any-return]


class Head(nn.Module):
    """Average over the image, dropout, linear layer; the lite variant has one hidden layer of 1024 before it."""

    def __init__(self, in_features: int, num_classes: int, dropout: float, lite: bool = False) -> None:
        """`in_features`: channels of the feature map that comes in."""
        super().__init__()
        hidden = LITE_HIDDEN_FEATURES
        layers = (nn.Linear(in_features, hidden), nn.BatchNorm1d(hidden), nn.ReLU6()) if lite else ()
        self.hidden = nn.Sequential(*layers)
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden if lite else in_features, num_classes)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(N, C, H, W) -> logits (N, classes), or with `pre_logits` what the linear layer would see (N, features)."""
        features: Tensor = self.drop(self.hidden(x.mean((2, 3))))
        return features if pre_logits else self.fc(features)


class ReXNet(nn.Module):
    """Images (N, 3, H, W), normalised as in training, to logits (N, num_classes); H and W of 32 pixels or more.

    `features[-1]` returns the final feature map, (N, num_features, H / 32, W / 32): the target for class-activation
    maps. Training needs two images or more per batch, since the squeezed features are normalised.
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        num_classes: int = 2,
        dropout: float = 0.2,
        drop_path: float = 0.0,
        lite: bool = False,
        divisor: int | None = None,
        in_channels: int = 3,
    ) -> None:
        """Fresh weights.

        Args:
            width: 1.0, 1.3, 1.5, 2.0 and 3.0 are published; see `block_table` for this and the next.
            depth: factor on the number of blocks.
            num_classes: logits per image.
            dropout: on the pooled features; 0.2 in the paper.
            drop_path: chance to skip the last block's own path, falling linearly to 0 at the first block.
            lite: ReLU6 throughout, no squeeze-and-excite, a hidden layer in the head.
            divisor: channels are multiples of it. None: 8 for lite, else 1, as published; timm's rexnetr take 8 or 16.
            in_channels: channels of the image.

        Raises:
            ValueError: a setting out of its range.
        """
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be 1 or more, got {num_classes}")
        for name, rate in (("dropout", dropout), ("drop_path", drop_path)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {rate}")
        divisor = (8 if lite else 1) if divisor is None else divisor
        self.lite = lite
        self.block_specs = block_table(width, depth, divisor=divisor, lite=lite)
        stem, last = self.block_specs[0].in_channels, self.block_specs[-1].out_channels
        # The authors leave the lite tail at 1280 below width 1, and unrounded above it.
        tail = int(TAIL_CHANNELS * max(width, 1)) if lite else _round_channels(TAIL_CHANNELS * width, divisor)
        self.num_features = tail
        self.stem = ConvNorm(in_channels, stem, 3, 2, activation=_activation(lite))
        deepest = max(len(self.block_specs) - 1, 1)
        blocks = [LinearBottleneck(s, drop_path * i / deepest, lite) for i, s in enumerate(self.block_specs)]
        self.features = nn.Sequential(*blocks, ConvNorm(last, self.num_features, activation=_activation(lite)))
        self.head = Head(self.num_features, num_classes, dropout, lite)
        self.apply(_initialise)

    @property
    def num_classes(self) -> int:
        """How many logits each image gets."""
        return self.head.fc.out_features

    def get_classifier(self) -> nn.Linear:
        """The layer that gives the logits."""
        return self.head.fc

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a fresh one with `num_classes` outputs, of the same device and dtype."""
        old = self.head.fc
        self.head.fc = nn.Linear(old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype)
        self.head.fc.apply(_initialise)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Which parameters make a layer, from the input on, as timm asks its networks; the head is the rest."""
        return {"stem": r"^stem", "blocks": r"^features\.(\d+)"}

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_features, H / 32, W / 32), before pooling."""
        return self.features(self.stem(x))  # type: ignore[no-any-return]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(N, num_features, h, w) -> (N, num_classes), or with `pre_logits` the features that the last layer sees."""
        return self.head(x, pre_logits)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes)."""
        return self.forward_head(self.forward_features(x))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))  # He et al. 2015
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        # Small, so that the first loss is near log(num_classes): uniform +-1/sqrt(classes), the habit of this family,
        # gives about 2 with two classes and slows training from scratch.
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
