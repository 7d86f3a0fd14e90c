"""Where in an image the evidence for a class lies: heat maps by the grad-cam library, and exact class-activation maps.

The library runs an image with hooks on one layer. By itself it leaves the network in evaluation mode, discards
gradients that training was about to use, swallows an IndexError inside `with`, and scales each map to its own maximum,
so that heat cannot be compared between images. Here the network stays as it was and heat is not scaled.
"""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import EigenGradCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torch.nn import functional as F

from rexnet_ai_real.labels import AI, REAL

METHODS: Final[dict[str, type[BaseCAM]]] = {
    "gradcam": GradCAM,  # Selvaraju et al. 2017
    "gradcam++": GradCAMPlusPlus,  # Chattopadhay et al. 2018
    "hirescam": HiResCAM,  # Draelos & Carin 2020
    "layercam": LayerCAM,  # Jiang et al. 2021
    "eigengradcam": EigenGradCAM,  # first principal component of gradient times activation
}


AsMap = Callable[[Tensor], Tensor]
"""What a layer returns -> a map (N, C, h, w), float32, in memory of its own."""


class NoFeatureMap(ValueError):
    """A network that gives neither a final feature map nor tokens in a grid: no heat map can be made of it."""


def heat_maps(
    network: nn.Module,
    images: Tensor,
    targets: int | Sequence[int] = AI,
    *,
    method: str = "gradcam",
    layer: nn.Module | None = None,
) -> NDArray[np.float32]:
    """How much each spatial position speaks for the target class, (N, H, W), zero or more, comparable between images.

    This explains the log-odds of the target against the other classes. With two classes that is the difference of the
    logits, which decides; one logit alone also holds what both have in common.

    Works in training and evaluation mode, under `no_grad` and `inference_mode`, in bfloat16, channels_last and on
    compiled networks. Not on one network from several threads at once.

    Args:
        network: (N, 3, H, W) -> logits (N, classes).
        images: normalised as in training, (N, 3, H, W); moved to the network's device and dtype.
        targets: one class for all images, or one for each.
        method: one of `METHODS`.
        layer: a module that returns a map (N, C, h, w); by default the one that returns the final feature map, or, in
            a transformer, the norm before the last attention, whose tokens are put into their grid.

    Raises:
        ValueError: an unknown method, or targets that do not fit the images or the classes.
        NoFeatureMap: a network without a final feature map where no layer is given.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r}: expected one of {', '.join(METHODS)}")
    wanted = [targets] * len(images) if isinstance(targets, int) else [int(target) for target in targets]
    if len(wanted) != len(images):
        raise ValueError(f"{len(wanted)} targets for {len(images)} images: give one class, or one for each image")
    network = getattr(network, "_orig_mod", network)
    with _gradients_of_activations(network):
        inputs = _like_weights(images, network).requires_grad_()
        explained, as_map = (layer, _float_copy) if layer is not None else _last_map(network, inputs)
        explainer = METHODS[method](network, [explained], reshape_transform=as_map)
        raw: list[NDArray[np.float32]] = []
        explainer.get_cam_image = _recorded(explainer.get_cam_image, raw)
        try:
            explainer(inputs, [_LogOdds(target) for target in wanted])
        finally:
            explainer.activations_and_grads.release()
    maps = torch.from_numpy(raw[0]).float().relu()[:, None]
    return F.interpolate(maps, size=images.shape[-2:], mode="bilinear")[:, 0].numpy()


def scaled(maps: NDArray[np.float32], *, shared: bool = False) -> NDArray[np.float32]:
    """Heat from 0 to 1, for display.

    Args:
        maps: (N, H, W), zero or more. An empty map stays empty.
        shared: divide all maps by the greatest heat of any, so that images can be compared; otherwise each by its own.
    """
    greatest = maps.max(axis=None if shared else (1, 2), keepdims=True)
    result: NDArray[np.float32] = np.divide(maps, greatest, out=np.zeros_like(maps), where=greatest > 0)
    return result


def class_activation_map(network: nn.Module, images: Tensor, target: int = AI) -> Tensor:
    """The exact map of a two-class network that ends in average pooling and a linear layer (Zhou et al. 2016, eq. 2).

    Args:
        network: has `forward_features` (N, 3, H, W) -> (N, C, h, w), and `get_classifier` gives a linear layer over
            the C means.
        images: normalised as in training, (N, 3, H, W).
        target: the class for which positive values speak.

    Returns:
        (N, h, w), signed: its mean over all positions, plus the difference of the two biases, is the logit of the
        target minus the logit of the other class. GradCAM is its positive part divided by h * w.

    Raises:
        ValueError: not such a network, or not one of its classes.
    """
    weights = map_weights(network, target)
    return map_of_features(network.forward_features(images), weights)  # type: ignore[operator]


def map_of_features(features: Tensor, weights: Tensor) -> Tensor:
    """The map (N, h, w) from the final feature map, (N, C, h, w) or (N, h, w, C), and `map_weights` (C,).

    Raises:
        ValueError: the features are no map, such as the tokens of a transformer.
    """
    channels = len(weights)
    if features.ndim == 4 and features.shape[1] == channels:
        return torch.einsum("nchw,c->nhw", features, weights.to(features.dtype))
    if features.ndim == 4 and features.shape[3] == channels:  # Swin and its kin
        return torch.einsum("nhwc,c->nhw", features, weights.to(features.dtype))
    raise ValueError(f"features of shape {tuple(features.shape)} are no map of {channels} channels; use heat_maps")


def map_weights(network: nn.Module, target: int = AI) -> Tensor:
    """The evidence of each channel of the final feature map for `target` against the other class, (C,).

    Raises:
        ValueError: as `class_activation_map`.
    """
    classifier = network.get_classifier() if hasattr(network, "get_classifier") else None  # type: ignore[operator]
    if (
        not isinstance(classifier, nn.Linear)
        or classifier.out_features != 2
        or classifier.in_features != network.num_features
        or hasattr(network, "num_prefix_tokens")  # a vision transformer: a class token, or attention after the map
    ):
        raise ValueError(
            f"{type(network).__name__} has no exact map: expected average pooling and one linear layer to two classes; "
            "use heat_maps"
        )
    if target not in (REAL, AI):
        raise ValueError(f"target={target}: expected {REAL} (real) or {AI} (AI)")
    return classifier.weight[target] - classifier.weight[1 - target]


def final_layer(network: nn.Module, images: Tensor) -> nn.Module:
    """The module that returns the final feature map, the outermost if there are several.

    Raises:
        NoFeatureMap: the network has no such map (a vision transformer), or computes it outside any module.
    """
    features, candidates = _features(network, images)
    if features.ndim != 4 or network.num_features not in (features.shape[1], features.shape[3]) or not candidates:
        raise NoFeatureMap(
            f"{type(network).__name__} returns features of shape {tuple(features.shape)}, which are no feature map "
            f"(N, {network.num_features}, h, w) from one of its modules"
        )
    return candidates[-1]


def _last_map(network: nn.Module, images: Tensor) -> tuple[nn.Module, AsMap]:
    """The layer to explain, and how its output becomes a map: of a convolutional network, or of a transformer."""
    features, _ = _features(network, images)
    if features.ndim == 4:
        layer = final_layer(network, images)
        has_channels_last = features.shape[1] != network.num_features
        return layer, (lambda x: _float_copy(x.permute(0, 3, 1, 2))) if has_channels_last else _float_copy
    blocks = getattr(network, "blocks", None)
    norm = getattr(blocks[-1], "norm1", None) if isinstance(blocks, nn.Sequential | nn.ModuleList) else None
    prefix = int(getattr(network, "num_prefix_tokens", 0))
    grid = _grid(network, features.shape[1] - prefix) if features.ndim == 3 else None
    if norm is None or grid is None:
        raise NoFeatureMap(
            f"{type(network).__name__} returns features of shape {tuple(features.shape)}: neither a map nor tokens in "
            "a grid, so that no heat map can be made"
        )
    # The class token reads the others in the last attention: what it reads there is explained.
    return norm, lambda x: _float_copy(x[:, prefix:].transpose(1, 2).unflatten(2, grid))


def _grid(network: nn.Module, tokens: int) -> tuple[int, int] | None:
    """Rows and columns of the tokens: as the network says, or a square."""
    said = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    if said is not None and said[0] * said[1] == tokens:
        return int(said[0]), int(said[1])
    side = math.isqrt(max(tokens, 0))
    return (side, side) if side and side * side == tokens else None


def _features(network: nn.Module, images: Tensor) -> tuple[Tensor, list[nn.Module]]:
    """The final features of one image, and the modules that return this very tensor, from the inside outwards."""
    if not hasattr(network, "forward_features"):
        raise NoFeatureMap(f"{type(network).__name__} has no forward_features, so that its feature map is not known")
    returned: list[tuple[nn.Module, Any]] = []
    hooks = [
        module.register_forward_hook(lambda module, _, output: returned.append((module, output)))
        for module in network.modules()
    ]
    try:
        with torch.no_grad():
            features: Tensor = network.forward_features(images[:1])  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
    return features, [module for module, output in returned if output is features]


class _LogOdds:
    """log(p / (1 - p)) of one class, from the logits (classes,) of one image."""

    def __init__(self, target: int) -> None:
        self.target = target

    def __call__(self, logits: Tensor) -> Tensor:
        classes = len(logits)
        if classes < 2 or not 0 <= self.target < classes:
            raise ValueError(f"target={self.target}: the network has {classes} classes, expected 0 to {classes - 1}")
        others = torch.cat([logits[: self.target], logits[self.target + 1 :]])
        return logits[self.target] - others.logsumexp(0)


def _float_copy(activation: Tensor) -> Tensor:
    # A copy, since a later in-place activation would change what was seen; float, since NumPy knows no bfloat16.
    return activation.float().clone()


def _recorded(compute: Any, raw: list[NDArray[np.float32]]) -> Any:
    """The library's own computation of a map (N, h, w), recorded before it is clipped, scaled and enlarged."""

    def record(*arguments: Any) -> NDArray[np.float32]:
        raw.append(np.asarray(compute(*arguments), dtype=np.float32))
        return raw[-1]

    return record


def _like_weights(images: Tensor, network: nn.Module) -> Tensor:
    weight = next(network.parameters())
    return images.detach().clone().to(weight.device, weight.dtype)


@contextmanager
def _gradients_of_activations(network: nn.Module) -> Iterator[None]:
    """Evaluation mode with gradients for activations only; afterwards every mode, flag and gradient is as it was."""
    modes = [(module, module.training) for module in network.modules()]
    weights = [(weight, weight.requires_grad, weight.grad) for weight in network.parameters()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if "torch._dynamo" in sys.modules:  # only then can something be compiled; hooks do not run inside compiled code
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            network.eval()
            for weight, _, _ in weights:
                weight.requires_grad_(False)
            yield
        finally:
            for module, training in modes:
                module.training = training
            for weight, requires_grad, gradient in weights:
                weight.requires_grad_(requires_grad)
                weight.grad = gradient
