"""The ONNX graph: images in, logits and class-activation map out in one pass, preprocessing and averaging inside.

Images come resized. A Resize node with antialiasing inside the graph was tried on 60 images of `kaggle`: ONNX
Runtime's differs from Pillow's, which rounds to whole grey levels, by up to 0.28 in logit; OpenVINO passes over the
antialiasing, which made 1.3 on the first image; and it was no faster (30 against 34 ms for both steps).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rexnet_ai_real.detector.backends import ONNX
from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.detector.engines.engine import facts
from rexnet_ai_real.detector.engines.graphs import IMAGES, LOGIT, MAP
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.labels import AI, LABELS, REAL
from rexnet_ai_real.models.cam import class_activation_map

if TYPE_CHECKING:
    from rexnet_ai_real.export.making import Making

LOGITS: Final = "logits"
"""Output (N, 2), by class; `LOGIT` is their difference."""
OPSET: Final = 18


class CannotExport(UserError, ValueError):
    """A network that PyTorch cannot turn into a graph."""


class ExportedNetwork(nn.Module):
    """What the graph computes, in PyTorch: pixels (N, size, size, 3) in RGB, 0 to 255, to logit, logits, and cam.

    The map comes from the feature map that the logits come from, so it costs one product. Without an exact map
    (`has_exact_map`) there is none.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, networks: Sequence[nn.Module], preprocessing: Preprocessing) -> None:
        """`networks`: in evaluation mode; their logits and maps are averaged."""
        super().__init__()
        self.networks = nn.ModuleList(networks)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        self.maps = all(has_exact_map(network, preprocessing.image_size) for network in networks)

    @property
    def outputs(self) -> list[str]:
        """Names of what `forward` returns, in order."""
        return [LOGIT, LOGITS, MAP] if self.maps else [LOGIT, LOGITS]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N,), (N, 2) and, where there is one, the map (N, h, w) for "AI-generated"."""
        normalised = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        features = [network.forward_features(normalised) for network in self.networks]  # type: ignore[operator]
        pairs = zip(self.networks, features, strict=True)
        logits = _mean([network.forward_head(seen) for network, seen in pairs])  # type: ignore[operator]
        answers = (logits[:, AI] - logits[:, REAL], logits)
        if not self.maps:
            return answers
        # A 1 x 1 convolution, which every runtime has, for the einsum of `class_activation_map`.
        pairs = zip(self.networks, features, strict=True)
        return (*answers, _mean([F.conv2d(seen, _evidence(network))[:, 0] for network, seen in pairs]))


def has_exact_map(network: nn.Module, size: int) -> bool:
    """Whether the mean of `class_activation_map` plus the difference of the biases is the logit, tried on noise."""
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        try:
            found = class_activation_map(network, images).mean((1, 2))
        except (ValueError, RuntimeError):  # another sort of head, or features without spatial positions
            return False
        bias = _classifier(network).bias
        logits = network(images)
    found = found if bias is None else found + bias[AI] - bias[REAL]
    return torch.allclose(found, logits[:, AI] - logits[:, REAL], rtol=1e-3, atol=1e-4)


def write_onnx(making: "Making", file: Path) -> None:
    """Write the graph.

    Raises:
        ParityFailed: it does not answer as PyTorch does.
    """
    import onnx

    onnx.save(making.graph, file)
    making.require_exact(ONNX)


def onnx_graph(networks: Sequence[nn.Module], description: Description, pixel_type: str = "uint8") -> Any:
    """An onnx.ModelProto: any number of images, batch norm folded into the convolutions, standard operators only.

    Args:
        networks: on the CPU, in evaluation mode.
        description: of the detector; written into the metadata, so that the file explains itself.
        pixel_type: one of `PIXEL_TYPES`, of the input.

    Raises:
        CannotExport: PyTorch cannot trace the network.
    """
    network = ExportedNetwork(networks, description.preprocessing).eval()
    size = description.preprocessing.image_size
    pixels = torch.zeros(2, size, size, 3, dtype=getattr(torch, pixel_type))
    try:
        program = torch.onnx.export(
            network,
            (pixels,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGES],
            output_names=network.outputs,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    except Exception as error:  # tracing fails as any of a dozen types
        name = description.architecture.get("name")
        reason = " ".join(str(error).split())[:200]
        raise CannotExport(
            f"{name} cannot be turned into an ONNX graph ({reason}): export it with --formats safetensors"
        ) from error
    assert program is not None  # given a file instead
    return described(_bare(program.model_proto), description, pixel_type)


def described(model: Any, description: Description, pixel_type: str) -> Any:
    """The same graph with the metadata that a reader without this project needs."""
    import onnx

    calibration = description.calibration
    size = description.preprocessing.image_size
    model.producer_name = "rexnet-ai-real"
    model.doc_string = "Tells AI-generated images from real ones: P(AI) = sigmoid(logit / temperature)."
    metadata = facts(description) | {
        "labels": json.dumps(LABELS),
        "input": f"{IMAGES}: {pixel_type} (N, {size}, {size}, 3), RGB, 0 to 255, resized as preprocessing says",
        "temperature": repr(calibration.temperature),
        "threshold": repr(calibration.threshold),
        "unsure_low": repr(calibration.unsure_low),
        "unsure_high": repr(calibration.unsure_high),
    }
    onnx.helper.set_model_props(model, metadata)
    return model


def _bare(model: Any) -> Any:
    """Without the exporter's notes on where each node came from: 0.3 MB, and paths of the machine."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, model):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    graph.name = "detector"
    return model


def _classifier(network: nn.Module) -> nn.Linear:
    return network.get_classifier()  # type: ignore[operator, no-any-return]


def _evidence(network: nn.Module) -> Tensor:
    """What each channel says for "AI-generated" against "real", as the weight of a convolution (1, C, 1, 1)."""
    weight = _classifier(network).weight
    return (weight[AI] - weight[REAL])[None, :, None, None]


def _mean(answers: Sequence[Tensor]) -> Tensor:
    return answers[0] if len(answers) == 1 else torch.stack(list(answers)).mean(0)
