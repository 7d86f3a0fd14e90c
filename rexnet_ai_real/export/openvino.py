"""The graph in OpenVINO's own format, converted from the ONNX file.

Weights stay float32. Stored as float16 they take half the room (7.0 for 14.0 MB) and move logits by up to 0.075 (ReXNet
1.0, 269 images), which is no longer the same detector to four digits; for small files there is the 8-bit graph.
"""

from pathlib import Path

from rexnet_ai_real.detector.engines.engine import FINGERPRINT


def write_openvino(onnx_file: Path, file: Path, fingerprint: str) -> None:
    """Write model.xml and model.bin beside it.

    Args:
        onnx_file: from `onnx_graph`.
        file: model.xml; its folder is made.
        fingerprint: of the detector; stands in the runtime information.
    """
    import openvino

    # Not convert_model: for ONNX it reads the same, and it loads a package that sends usage statistics.
    model = openvino.Core().read_model(onnx_file)
    model.set_rt_info(fingerprint, FINGERPRINT)
    file.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, file, compress_to_fp16=False)


def has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor unless told otherwise."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
