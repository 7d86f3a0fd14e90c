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
    image_size: int | None = None,
) -> nn.Module:
    """The network of a configuration, with fresh weights: this project's ReXNet or, with library="timm", timm's `name`.

    Args:
        name: of the architecture.
        num_classes: outputs of the last layer.
        library: rexnet or timm.
        width: channel multiplier of ReXNet; None: that of the name.
        depth: multiplier of the number of blocks of ReXNet.
        dropout: of the pooled features.
        drop_path: stochastic depth.
        image_size: pixels a side of the images to come, for timm's networks, many of which are made for one size.
            None: the size that timm gives them.

    Raises:
        ModelError: an unknown name (the message lists the nearest ones), a setting that this network does not have, or
            a size of images that it cannot take.
    """
    if library == "rexnet":
        return rexnet(name, num_classes=num_classes, width=width, depth=depth, dropout=dropout, drop_path=drop_path)
    if library != "timm":
        raise ModelError(f"model.library={library}: expected rexnet or timm")
    if width is not None or depth != 1:
        raise ModelError(f"model.width and model.depth belong to library=rexnet; timm's {name} has its own")
    return _timm_backbone(name, num_classes, dropout, drop_path, image_size)


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


def _timm_backbone(name: str, num_classes: int, dropout: float, drop_path: float, image_size: int | None) -> nn.Module:
    import timm  # takes seconds, and brings torchvision along

    if not timm.is_model(name):
        raise unknown_name(name, timm.list_models(), " (timm.list_models() has them all)")
    # Not every backbone has stochastic depth: timm accepts any keyword and fails deep inside.
    options: dict[str, Any] = {"drop_rate": dropout} | ({"drop_path_rate": drop_path} if drop_path else {})
    if image_size is None:
        return _created(name, num_classes, options)
    reason = ""
    for size in sizes_to_build(name, image_size):
        try:
            model = _created(name, num_classes, options | size)
            with torch.no_grad():  # whether the size fits is known to the network alone
                model.eval()(torch.zeros(1, 3, image_size, image_size))
            return model.train()
        except ModelError:
            raise
        except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
    config: Any = timm.get_pretrained_cfg(name)
    native = f"it is made for data.image_size={config.input_size[-1]}" if config else "try another"
    raise ModelError(
        f"data.image_size={image_size}: timm's {name} cannot take images of this size ({reason}); {native}"
    )


def _created(name: str, num_classes: int, options: Mapping[str, Any]) -> nn.Module:
    import timm

    try:
        model: nn.Module = timm.create_model(name, num_classes=num_classes, **options)
    except TypeError as error:
        settings = {"drop_path_rate": "model.drop_path", "drop_rate": "model.dropout"}
        named = [setting for keyword, setting in settings.items() if f"'{keyword}'" in str(error)]
        if not named or "unexpected keyword argument" not in str(error):
            raise
        raise ModelError(f"{named[0]}: timm's {name} has no such setting; use 0") from error
    return _with_quiet_head(model)


def _with_quiet_head(model: Any) -> nn.Module:
    """The network with its last layer drawn as PyTorch draws one.

    Many of timm's networks draw it from +-1 / sqrt(classes), which two classes and 1,280 features turn into a first
    loss of 2 to 4 instead of 0.7, and a fine-tuning spends its first epochs on that.
    """
    head = model.get_classifier()
    if isinstance(head, nn.Linear):
        head.reset_parameters()
    network: nn.Module = model
    return network


def sizes_to_build(name: str, image_size: int | None) -> list[dict[str, int]]:
    """Arguments of timm's `create_model` that may give a network for images of this size, the best first."""
    import timm

    config = timm.get_pretrained_cfg(name)
    if image_size is None or config is None or not config.fixed_input_size or config.input_size[-1] == image_size:
        return [{}]
    return [{"img_size": image_size}, {}]
