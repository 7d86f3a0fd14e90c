"""The graph in OpenVINO's own format, converted from the ONNX file.

Weights stay float32. Stored as float16 they take half the space (7.0 instead of 14.0 MB) and move logits by up to 0.075
(ReXNet 1.0, 269 images), which is no longer the same detector to four digits; for small files there is the 8-bit graph.
"""

import errno
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rexnet_ai_real.detector.backends import OPENVINO
from rexnet_ai_real.detector.engines.engine import facts

if TYPE_CHECKING:
    from rexnet_ai_real.export.making import Making


def write_openvino(making: "Making", file: Path) -> None:
    """Write model.xml, with model.bin beside it.

    Raises:
        ParityFailed: in float32 it does not answer as PyTorch does.
    """
    import onnx
    import openvino

    file.parent.mkdir(parents=True, exist_ok=True)
    # Beside the result rather than in TMPDIR, which may be small, read-only or full.
    with TemporaryDirectory(dir=file.parent) as folder:
        onnx_file = Path(folder) / "model.onnx"
        onnx.save(making.graph, onnx_file)
        # Not convert_model: for ONNX it reads the same, and it loads a package that sends usage statistics.
        model = openvino.Core().read_model(onnx_file)
        for key, value in facts(making.description).items():
            model.set_rt_info(value, key)
        try:
            openvino.save_model(model, file, compress_to_fp16=False)
        except RuntimeError as error:  # of a full disk too
            raise OSError(errno.EIO, "OpenVINO could not write the file", str(file)) from error
    making.require_exact(OPENVINO)
    if has_bfloat16():  # its default there: measured, and nothing is promised
        making.measure(OPENVINO, "openvino, bfloat16", precision="bf16-mixed")


def has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor by default."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
