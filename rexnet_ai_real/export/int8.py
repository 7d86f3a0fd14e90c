"""The graph with 8-bit weights and activations: a third of the size, by ONNX Runtime's static quantisation (QDQ).

Settings were chosen on ReXNet 1.0 (+experiment=baseline, 224 px) and its 768 images of `kaggle`; rms is that of the
differences of logits, whose standard deviation is 4.8:

    everything in 8 bits, ranges by minimum and maximum of 64 images      rms 2.61   accuracy 83.9 % for 91.4 %
    stem and block 0 in float                                               0.55       92.1 %
    blocks 1 and 2 as well, ranges averaged over batches of 16              0.31       91.9 %
    block 3 as well, ranges averaged over batches of 4, 128 images        0.18       91.4 %
    the same with 7-bit weights                                             0.26       91.4 %   (taken)

Quantising the stem alone made 2.27, block 0 alone 2.17, every later block 0.03 to 0.26. Symmetric activations were
worse (1.48); squeeze-and-excite in float gained nothing and cost 3 MB.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.backends import INT8
from rexnet_ai_real.detector.engines.graphs import IMAGES
from rexnet_ai_real.images.preprocessing import Pixels

if TYPE_CHECKING:
    from rexnet_ai_real.export.making import Making

CALIBRATION: Final = 128
"""Images that the ranges of the activations are read off."""
_BATCH: Final = 4
_FLOAT: Final = re.compile(r"(^|\.)(stem|features\.[0-3])\.")
"""Layers whose activations differ too much between channels for one range in 8 bits: 1.5 % of the weights."""
_HEAD: Final = ("ReduceMean", "Gemm", "Gather", "Sub")
"""Operators from the features to the logits: 2,562 weights that would save nothing."""


def write_int8(making: "Making", file: Path) -> None:
    """Write the 8-bit graph, with ranges from images of the training.

    Raises:
        ParityFailed: its accuracy or AUROC is too far from that of PyTorch.
    """
    import onnx

    onnx.save(quantised(making.graph, making.sample.training_like[:CALIBRATION]), file)
    making.require_close(INT8, "leave onnx-int8 out of --formats, or give more --images")


def quantised(model: Any, pixels: Pixels) -> Any:
    """An onnx.ModelProto in 8 bits with the inputs, outputs and metadata of `model`, which stays as it is.

    Weights are per channel and of 7 bits: products of 8-bit weights with unsigned activations overflow 16 bits on
    processors with AVX2 and without VNNI, and the graph is to answer alike everywhere.

    Args:
        model: from `onnx_graph`.
        pixels: images like those of the training, (n, size, size, 3).
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    pooled = onnx.ModelProto()
    pooled.CopyFrom(model)
    _pool_by_name(pooled.graph)
    with TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "model.onnx"
        quantize_static(
            pooled,
            file,
            _Batches(pixels.astype(_input_type(model))),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_float_nodes(pooled.graph),
            extra_options={"CalibMovingAverage": True},
        )
        made = onnx.load(file)
    made.producer_name, made.doc_string = model.producer_name, model.doc_string
    onnx.helper.set_model_props(made, {entry.key: entry.value for entry in model.metadata_props})
    return made


class _Batches:
    """Images as ONNX Runtime's calibration asks for them."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        whole = max(len(pixels) // _BATCH, 1) * _BATCH  # ranges of batches of one size are averaged
        self.batches: Iterator[NDArray[Any]] = iter([pixels[i : i + _BATCH] for i in range(0, whole, _BATCH)])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        batch = next(self.batches, None)
        return None if batch is None else {IMAGES: batch}

    def __iter__(self) -> "_Batches":
        return self

    def __next__(self) -> dict[str, NDArray[Any]]:
        batch = self.get_next()
        if batch is None:
            raise StopIteration
        return batch


def _float_nodes(graph: Any) -> list[str]:
    """The nodes up to the first layer in 8 bits of each network, and those that make logits and map of the features."""
    outputs = {constant.name: constant.dims[0] for constant in graph.initializer if constant.dims}
    names, in_float = [], True
    for node in graph.node:
        if node.op_type == "Conv":
            weight = node.input[1]
            in_float = bool(_FLOAT.search(weight)) or outputs.get(weight) == 1  # one output: the map
        if in_float or node.op_type in _HEAD:
            names.append(node.name)
    return names


def _pool_by_name(graph: Any) -> None:
    """Means over height and width as GlobalAveragePool, which has an 8-bit form where ReduceMean has none."""
    from onnx import numpy_helper

    constants = {constant.name: constant for constant in graph.initializer}
    for node in graph.node:
        axes = constants.get(node.input[1]) if node.op_type == "ReduceMean" and len(node.input) > 1 else None
        keeps = all(attribute.i for attribute in node.attribute if attribute.name == "keepdims")
        if axes is not None and keeps and sorted(numpy_helper.to_array(axes).tolist()) in ([2, 3], [-2, -1]):
            node.op_type = "GlobalAveragePool"
            del node.input[1:], node.attribute[:]


def _input_type(model: Any) -> type[np.generic]:
    from onnx import TensorProto

    return np.uint8 if model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8 else np.float32


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser warns through the root logger that the graph was not pre-processed, which it needs not be."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
