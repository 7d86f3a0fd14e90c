"""The forms in which an exported folder holds a detector: for each its names, its file, what runs it, what makes it.

To add one, write a function that opens it and one that makes it, and add an entry here. Functions are named, not
imported: commands list backends and formats in their --help, and most of these take seconds to import.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rexnet_ai_real.detector.engines.engine import Engine

_GRAPHS: Final = "rexnet_ai_real.detector.engines.graphs"


@dataclass(frozen=True)
class Backend:
    """One form of an exported detector, and the library that runs it."""

    name: str
    """Of --backend."""
    format: str
    """Of --formats."""
    file: str
    """In the exported folder."""
    library: str
    """Runs it."""
    opener: str
    """module:function (folder, description, device, precision) -> Engine."""
    maker: str
    """module:function (making, file) -> None: writes the file and compares it with PyTorch, as `Making` shows."""
    made_with: tuple[str, ...] = ()
    """Packages that make and check it, besides PyTorch."""
    beside: tuple[str, ...] = ()
    """Other files that belong to `file`."""

    @property
    def files(self) -> tuple[str, ...]:
        """All that it consists of, in the exported folder."""
        return self.file, *self.beside

    @property
    def is_installed(self) -> bool:
        """Whether its library is there."""
        return find_spec(self.library) is not None

    def open(self, *arguments: Any) -> "Engine":
        """Run the detector in a folder; arguments as for `opener`."""
        engine: Engine = _named(self.opener)(*arguments)
        return engine

    def make(self, *arguments: Any) -> None:
        """Write the file; arguments as for `maker`."""
        _named(self.maker)(*arguments)


def _named(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


TORCH: Final = Backend(
    name="torch",
    format="safetensors",
    file="model.safetensors",
    library="torch",
    opener="rexnet_ai_real.detector.storage:open_saved",
    maker="rexnet_ai_real.export.making:write_weights",
)
ONNX: Final = Backend(
    name="onnx",
    format="onnx",
    file="model.onnx",
    library="onnxruntime",
    opener=f"{_GRAPHS}:open_onnx",
    maker="rexnet_ai_real.export.graph:write_onnx",
    made_with=("onnx", "onnxscript", "onnxruntime"),
)
INT8: Final = Backend(
    name="onnx-int8",
    format="onnx-int8",
    file="model.int8.onnx",
    library="onnxruntime",
    opener=f"{_GRAPHS}:open_int8",
    maker="rexnet_ai_real.export.int8:write_int8",
    made_with=("onnx", "onnxscript", "onnxruntime"),
)
OPENVINO: Final = Backend(
    name="openvino",
    format="openvino",
    file="openvino/model.xml",
    library="openvino",
    opener=f"{_GRAPHS}:open_openvino",
    maker="rexnet_ai_real.export.openvino:write_openvino",
    made_with=("onnx", "onnxscript", "openvino"),
    beside=("openvino/model.bin",),
)

TIMM: Final = Backend(
    name="timm",
    format="timm",
    file="timm/model.safetensors",
    library="torch",
    opener="rexnet_ai_real.detector.storage:open_timm",
    maker="rexnet_ai_real.export.timm_form:write_timm",
    made_with=("timm",),
    beside=("timm/config.json",),
)

BACKENDS: Final = {backend.name: backend for backend in (ONNX, TORCH, INT8, OPENVINO, TIMM)}
"""By name, in the order in which `auto` looks."""
