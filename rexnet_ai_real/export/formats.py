"""What `export` can write; apart from what writes it, which takes seconds to import."""

from typing import Final

from rexnet_ai_real.detector.backends import INT8_FILE, ONNX_FILE, OPENVINO_FILE, WEIGHTS_FILE

FORMATS: Final = {
    "safetensors": (WEIGHTS_FILE, ()),
    "onnx": (ONNX_FILE, ("onnx", "onnxscript", "onnxruntime")),
    "onnx-int8": (INT8_FILE, ("onnx", "onnxscript", "onnxruntime")),
    "openvino": (OPENVINO_FILE, ("onnx", "onnxscript", "openvino")),
}
"""Format -> its file and the packages that make and check it."""

PIXEL_TYPES: Final = ("uint8", "float32")
"""Of a graph's input, 0 to 255."""
