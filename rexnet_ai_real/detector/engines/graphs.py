"""Exported graphs on ONNX Runtime and OpenVINO, as `export` writes them. Neither needs PyTorch."""

import mmap
import os
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.backends import INT8, ONNX, OPENVINO, Backend
from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.detector.engines.engine import Engine, check_facts, facts, in_parts
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.files import NotPlain, require_plain
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.runs.identify import NotADetector

IMAGES, LOGIT, MAP = "images", "logit", "cam"
"""Input (N, size, size, 3) and two of the outputs, (N,) and (N, h, w), by their names in the graph."""


def open_onnx(folder: Path, description: Description, device: str, precision: str) -> "GraphEngine":
    """model.onnx on ONNX Runtime.

    Args:
        folder: of an exported detector.
        description: its detector.json.
        device: auto or cpu.
        precision: auto or 32-true.

    Raises:
        NotADetector: damaged, or of another detector.
        UserError: another device or precision.
    """
    return _on_onnx(ONNX, folder, description, device, precision)


def open_int8(folder: Path, description: Description, device: str, precision: str) -> "GraphEngine":
    """model.int8.onnx on ONNX Runtime; all else as `open_onnx`."""
    return _on_onnx(INT8, folder, description, device, precision)


def open_openvino(folder: Path, description: Description, device: str, precision: str) -> "GraphEngine":
    """openvino/model.xml on OpenVINO.

    `precision` is auto (bfloat16 where the processor has it), bf16-mixed or 32-true; all else as `open_onnx`.
    """
    _check_device(OPENVINO, device)
    return GraphEngine(OPENVINO.name, OpenVinoGraph(folder / OPENVINO.file, description, precision))


def _on_onnx(backend: Backend, folder: Path, description: Description, device: str, precision: str) -> "GraphEngine":
    _check_device(backend, device)
    if precision not in ("auto", "32-true"):
        raise UserError(f"precision={precision}: backend={backend.name} computes as it was exported; leave it out")
    return GraphEngine(backend.name, OnnxGraph(folder / backend.file, description))


def _check_device(backend: Backend, device: str) -> None:
    if device not in ("auto", "cpu"):
        raise UserError(f"device={device}: backend={backend.name} runs on the CPU; use backend=torch")


class Graph(Protocol):
    """A graph of either library."""

    outputs: tuple[str, ...]
    dtype: type[np.generic]
    """Of the input: uint8, or float32 from 0 to 255."""

    def run(self, images: NDArray[Any], outputs: list[str]) -> list[NDArray[np.float32]]:
        """The outputs asked for, in that order."""


class GraphEngine:
    """A detector as one graph, on the CPU."""

    device = "cpu"

    def __init__(self, backend: str, graph: Graph) -> None:
        """`graph` has the inputs and outputs that `export` gives it."""
        self.backend = backend
        self.graph = graph

    def logits(self, images: Pixels) -> NDArray[np.float32]:
        """As `Engine.logits`."""
        return self._run(images, [LOGIT])[0]

    def logits_and_maps(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `Engine.logits_and_maps`."""
        if MAP not in self.graph.outputs:
            raise UserError("this network has no exact class-activation map: explain the run that it was exported from")
        logits, maps = self._run(images, [LOGIT, MAP])
        return logits, maps

    def _run(self, images: Pixels, outputs: list[str]) -> list[NDArray[np.float32]]:
        parts = in_parts(images.astype(self.graph.dtype, copy=False))
        made = [self.graph.run(part, outputs) for part in parts]
        return [np.concatenate(answers) for answers in zip(*made, strict=True)]


def for_many_threads(engine: Engine) -> tuple[Engine, int]:
    """An engine that computes the same, and how many batches it had best compute at once on this machine.

    On two cores ONNX Runtime took 12 ms of CPU time an image with a batch on each, and 25 ms with both on one batch:
    its threads wait for each other without rest (benchmarks/RESULTS.md, "The service").
    """
    if isinstance(engine, GraphEngine) and isinstance(engine.graph, OnnxGraph):
        return GraphEngine(engine.backend, engine.graph.on_one_thread()), usable_cores()
    return engine, 1  # OpenVINO's requests and PyTorch's networks are for one thread


def usable_cores() -> int:
    """Cores that this process may run on."""
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


class OnnxGraph:
    """A .onnx file on ONNX Runtime."""

    def __init__(self, file: Path, description: Description, threads: int = 0) -> None:
        """Read and optimise the graph.

        Args:
            file: the graph.
            description: the detector.json beside it.
            threads: that compute one batch; 0: as many as there are cores.

        Raises:
            NotADetector: damaged, or of another detector than the one described.
        """
        import onnxruntime  # 0.25 s

        _require_alone(file)

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library has a type for each way to fail and no common one
            raise NotADetector(_damaged(file, error)) from error
        check_facts(file, self.session.get_modelmeta().custom_metadata_map, description)
        inputs = {put.name: put.type for put in self.session.get_inputs()}
        self.outputs = tuple(output.name for output in self.session.get_outputs())
        _check_names(file, list(inputs), self.outputs)
        self.dtype = _dtype("uint8" in inputs[IMAGES])
        self._source = file, description

    def on_one_thread(self) -> "OnnxGraph":
        """The same graph, opened again, for callers that run several batches at once: one a core."""
        return OnnxGraph(*self._source, threads=1)

    def run(self, images: NDArray[Any], outputs: list[str]) -> list[NDArray[np.float32]]:
        """As `Graph.run`."""
        made: list[NDArray[np.float32]] = self.session.run(outputs, {IMAGES: images})
        return made


_HINTS: Final = {"auto": None, "bf16-mixed": "bf16", "32-true": "f32"}


class OpenVinoGraph:
    """A model.xml with its model.bin on OpenVINO's CPU plugin."""

    def __init__(self, file: Path, description: Description, precision: str) -> None:
        """Read and compile the graph.

        Raises:
            NotADetector: damaged, or of another detector than the one described.
        """
        import openvino  # 0.5 s

        for part in (file, file.with_suffix(".bin")):
            _require_plain(part)
        if precision not in _HINTS:
            raise UserError(f"precision={precision}: with backend=openvino expected one of {', '.join(_HINTS)}")
        hints = {"INFERENCE_PRECISION_HINT": _HINTS[precision]} if _HINTS[precision] else {}
        try:
            model = openvino.Core().read_model(file)
            keys = [key for key in facts(description) if model.has_rt_info(key)]
            check_facts(file, {key: model.get_rt_info(key).astype(str) for key in keys}, description)
            self.compiled = openvino.compile_model(model, "CPU", hints)
            inputs = {put.any_name: str(put.element_type) for put in self.compiled.inputs}
            self.outputs = tuple(output.any_name for output in self.compiled.outputs)
            self.request = self.compiled.create_infer_request()
        except RuntimeError as error:
            raise NotADetector(_damaged(file, error)) from error
        _check_names(file, list(inputs), self.outputs)
        self.dtype = _dtype("u8" in inputs[IMAGES])

    def run(self, images: NDArray[Any], outputs: list[str]) -> list[NDArray[np.float32]]:
        """As `Graph.run`."""
        made = self.request.infer({IMAGES: images})
        return [np.array(made[name]) for name in outputs]


def _check_names(file: Path, inputs: list[str], outputs: tuple[str, ...]) -> None:
    if inputs != [IMAGES] or LOGIT not in outputs:
        raise NotADetector(
            f"{file} has not the input and outputs that `export` gives a graph. Export the detector again"
        )


def _dtype(is_uint8: bool) -> type[np.generic]:
    return np.uint8 if is_uint8 else np.float32


def _require_alone(file: Path) -> None:
    """Refuse a graph that takes its numbers from other files: ONNX allows it, and `export` never does it."""
    _require_plain(file)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # The name of the entry that holds the path, after its length in one byte or more.
        if any(content.find(length + b"location") >= 0 for length in (b"\x08", b"\x00")):
            raise NotADetector(f"{file} refers to other files, which are not read. Export the detector again")


def _require_plain(file: Path) -> None:
    try:
        require_plain(file)
    except (OSError, NotPlain) as error:
        raise NotADetector(_damaged(file, error)) from error


def _damaged(file: Path, error: Exception) -> str:
    return f"{file} is damaged ({' '.join(str(error).split())[:160]}). Export the detector again"
