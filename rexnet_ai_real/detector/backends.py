"""What can run an exported detector, and the file of it that each runs; apart, since commands list them."""

from typing import Final

WEIGHTS_FILE: Final = "model.safetensors"
ONNX_FILE: Final = "model.onnx"
INT8_FILE: Final = "model.int8.onnx"
OPENVINO_FILE: Final = "openvino/model.xml"

BACKENDS: Final = {
    "onnx": (ONNX_FILE, "onnxruntime"),
    "torch": (WEIGHTS_FILE, "torch"),
    "onnx-int8": (INT8_FILE, "onnxruntime"),
    "openvino": (OPENVINO_FILE, "openvino"),
}
"""Backend -> its file in an exported folder and the library that runs it, in the order in which `auto` looks."""
