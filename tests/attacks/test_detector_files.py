"""Checkpoints and detector folders made to deceive: each line of the threat model in SECURITY.md that is about them.

Every refusal is one short line without control characters, and comes before memory is used.
"""

import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn

from rexnet_ai_real import Detector
from rexnet_ai_real.detector.description import Description, read_description, read_training, write_description
from rexnet_ai_real.detector.engines.engine import PIXELS_AT_ONCE, facts, in_parts
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.detector.storage import StoredDetector, write_detector
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.images.preprocessing import LARGEST, Preprocessing
from rexnet_ai_real.models import load_weights
from rexnet_ai_real.models.factory import build
from rexnet_ai_real.runs.identify import NotADetector

ARCHITECTURE: dict[str, Any] = {"name": "rexnet_100", "width": 0.25}
PREPROCESSING = Preprocessing(32, "squash", "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build(**ARCHITECTURE)


@pytest.fixture
def saved(network: nn.Module, tmp_path: Path) -> Path:
    """An honest detector folder, to be changed."""
    folder = tmp_path / "detector"
    write_detector(folder, StoredDetector.of([network.state_dict()], ARCHITECTURE, PREPROCESSING, {}))
    return folder


def checkpoint(network: nn.Module, **changes: Any) -> dict[str, Any]:
    """What training writes, as far as a detector needs it."""
    return {
        "epoch": 1,
        "hyper_parameters": {"model": ARCHITECTURE, "preprocessing": PREPROCESSING.to_plain()} | changes,
        "state_dict": {f"network.{name}": tensor for name, tensor in network.state_dict().items()},
    }


def refusal(path: Path, **options: str) -> str:
    """Why a detector is refused, in a line fit for a terminal."""
    with pytest.raises(NotADetector) as caught:
        Detector.load(path, **options)
    words = str(caught.value)
    assert words.isprintable()
    assert len(words) <= 1000
    return words


def resident() -> int:
    """Most bytes of memory that this process has used so far."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("the peak of memory is read from /proc")
    return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) << 10


def test_the_honest_ones_load(network: nn.Module, saved: Path, tmp_path: Path) -> None:
    torch.save(checkpoint(network), tmp_path / "honest.ckpt")
    assert Detector.load(tmp_path / "honest.ckpt").fingerprint == Detector.load(saved).fingerprint


# A checkpoint runs no code


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        """`mark`: the file whose presence shows that the command ran."""
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("how", ["beside the weights", "alone", "plain pickle"])
def test_a_checkpoint_runs_no_code(how: str, network: nn.Module, tmp_path: Path) -> None:
    trap, file = Trap(tmp_path / "mark"), tmp_path / "trap.ckpt"
    if how == "plain pickle":
        file.write_bytes(pickle.dumps(trap, protocol=2))
    else:
        torch.save(trap if how == "alone" else {**checkpoint(network), "callbacks": trap}, file)
    assert re.search(r"was not opened: it asks to run .*system", refusal(file))
    assert not (tmp_path / "mark").exists()


# A checkpoint takes no more memory than it has bytes


class Block:
    """Asks for 2 GB in 30 bytes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (2 << 30,)


def compressed(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))


def test_a_checkpoint_takes_no_more_memory_than_it_has_bytes(network: nn.Module, tmp_path: Path) -> None:
    honest = checkpoint(network)
    torch.save({**honest, "callbacks": Block()}, tmp_path / "block.ckpt")
    torch.save({**honest, "more": torch.zeros(5_000_000)}, tmp_path / "zeros.ckpt")
    compressed(tmp_path / "zeros.ckpt", tmp_path / "compressed.ckpt")
    repeated = {**honest, "state_dict": {"network.stem.conv.weight": torch.zeros(1).expand(10**9)}}
    torch.save(repeated, tmp_path / "repeated.ckpt")
    for name, words in (
        ("block", "asks for a block of memory"),
        ("compressed", "records are compressed"),
        ("repeated", "1,000,000,000 numbers that are not in the file"),
    ):
        before = resident()
        assert words in refusal(tmp_path / f"{name}.ckpt")
        with pytest.raises(ValueError, match=words):
            load_weights(nn.Linear(1, 1), tmp_path / f"{name}.ckpt")
        assert resident() - before < 200 << 20, name


def test_a_tensor_without_numbers_is_refused(network: nn.Module, tmp_path: Path) -> None:
    for number, tensor in enumerate((torch.zeros(3, device="meta"), torch.eye(3).to_sparse())):
        torch.save({**checkpoint(network), "state_dict": {"network.a": tensor}}, tmp_path / f"{number}.ckpt")
        assert "is damaged or no checkpoint" in refusal(tmp_path / f"{number}.ckpt")


# A network is not built before the weights fit it


@pytest.mark.parametrize(
    "model",
    [
        {"name": "rexnet_100", "width": 60.0},
        {"name": "rexnet_100", "depth": 400.0},
        {"name": "rexnet_100", "width": 1e300},
        {"name": "rexnet_100", "width": 16.0, "depth": 16.0},
        {"name": "rexnet_100", "width": -1.0},
        {"name": "rexnet_100", "num_classes": 10**12},
        {"name": "vit_giant_patch14_224", "library": "timm"},
        {"name": "hf-hub:someone/else", "library": "timm"},
        {"name": "local-dir:.", "library": "timm"},
    ],
    ids=str,
)
def test_a_network_is_not_built_before_its_weights_fit(
    model: dict[str, Any], network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(checkpoint(network, model=model), tmp_path / "giant.ckpt")
    built = nn.init.normal_
    devices = set()

    def noted(tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        devices.add(tensor.device.type)
        return built(tensor, *arguments, **options)

    monkeypatch.setattr(nn.init, "normal_", noted)
    assert "do not fit together" in refusal(tmp_path / "giant.ckpt")
    assert devices <= {"meta"}


# Images are of bounded size, and large ones go through the network few at a time


def test_image_size_is_bounded_and_large_images_are_computed_few_at_a_time(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = PREPROCESSING.to_plain() | {"image_size": 4096}
    torch.save(checkpoint(network, preprocessing=large), tmp_path / "large.ckpt")
    assert "impossible preprocessing" in refusal(tmp_path / "large.ckpt")
    torch.save(checkpoint(network, model=ARCHITECTURE | {"image_size": 10**6}), tmp_path / "other.ckpt")
    assert "its network is for images of 1000000 px" in refusal(tmp_path / "other.ckpt")
    for size, count, parts in ((224, 300, 1), (512, 300, 1), (1024, 9, 2), (LARGEST, 5, 3)):
        images = np.broadcast_to(np.uint8(0), (count, size, size, 3))
        found = in_parts(images)
        assert (len(found), sum(map(len, found))) == (parts, count)
        assert size <= 512 or all(part.shape[0] * size**2 <= PIXELS_AT_ONCE for part in found)
    assert [part.shape for part in in_parts(np.zeros((0, 8, 8, 3), np.uint8))] == [(0, 8, 8, 3)]
    # The same logits in parts as at once.
    monkeypatch.setattr("rexnet_ai_real.detector.engines.engine.ROUTINE_SIZE", 16)
    engine = TorchEngine.of([network], PREPROCESSING, "cpu", "32-true")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    at_once = engine.logits(pixels)
    monkeypatch.setattr("rexnet_ai_real.detector.engines.engine.PIXELS_AT_ONCE", 2 * 32**2)
    np.testing.assert_allclose(engine.logits(pixels), at_once, atol=1e-5)
    np.testing.assert_allclose(engine.logits_and_maps(pixels)[0], at_once, atol=1e-5)


# detector.json: every value is checked


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "detector.json"
    plain = json.loads(file.read_text())
    change(plain)
    file.write_text(json.dumps(plain))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 200_000 + "]" * 200_000, "lists inside lists without end"),
        ('{"training":' * 80_000 + "1" + "}" * 80_000, "lists inside lists without end"),
        ('{"version": 1e400}', "1e400 is no finite number"),
        ('{"version": NaN}', "NaN is no finite number"),
        ('{"version": -Infinity}', "-Infinity is no finite number"),
        ('{"version": ' + "9" * 5000 + "}", "missing or damaged"),
        ('{"version": "\\u001b[2J\\n' + "x" * 5000 + '"}', "is of version"),
        ("\xff\xfe", "missing or damaged"),
        ("[]", "it must be an object"),
        (" " * (1 << 20) + "{}", "1,048,578 bytes, where at most 1,048,576 are expected"),
        ("", "an empty file"),
    ],
    ids=range(11),
)
def test_a_strange_description_is_one_line(text: str, words: str, saved: Path) -> None:
    (saved / "detector.json").write_bytes(text.encode("latin-1"))
    assert words in refusal(saved)


WRONG: dict[str, tuple[str, Any]] = {
    "networks of infinite number": ("networks", "many"),
    "no network": ("networks", 0),
    "a million networks": ("networks", 10**6),
    "a network too many": ("networks", 2),
    "true as a number": ("networks", True),
    "a fingerprint of another type": ("fingerprint", ["f" * 64]),
    "architecture with a list": ("architecture", {"name": ["rexnet_100"]}),
    "architecture with nesting": ("architecture", {"name": {"a": {"b": 1}}}),
    "architecture unknown": ("architecture", {"name": "\x1b[2Jalexnet"}),
    "training of another type": ("training", "long"),
    "image size as text": ("preprocessing.image_size", "32"),
    "image size true": ("preprocessing.image_size", True),
    "image size in halves": ("preprocessing.image_size", 32.5),
    "image size of a giant": ("preprocessing.image_size", 10**30),
    "resize changed": ("preprocessing.resize", "crop"),
    "mean changed": ("preprocessing.mean", [0.4, 0.5, 0.5]),
    "std as text": ("preprocessing.std", ["1", "1", "1"]),
    "an unknown entry": ("preprocessing.colour", "sepia"),
    "temperature as text": ("calibration.temperature", "1"),
    "temperature beyond all": ("calibration.temperature", 10**400),
    "mean beyond all": ("preprocessing.mean", [10**400, 0.5, 0.5]),
    "std beyond all": ("preprocessing.std", [0.5, 0.5, 10**400]),
    "threshold above 1": ("calibration.threshold", 1.5),
    "counts of images as text": ("calibration.n_real", "<script>"),
    "notes as a number": ("calibration.notes", 5),
    "notes of numbers": ("calibration.notes", [5]),
    "a rule of 10 lists": ("calibration.threshold_rule", [[[[[[[[[[]]]]]]]]]]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_the_wrong_kind_is_one_line(name: str, saved: Path) -> None:
    key, value = WRONG[name]
    section, _, entry = key.partition(".")

    def change(plain: dict[str, Any]) -> None:
        if entry:
            plain[section][entry] = value
        else:
            plain[section] = value

    edited(saved, change)
    assert refusal(saved)


@pytest.mark.parametrize(
    "training",
    [
        {"networks": 5},
        {"networks": {"a": 5}},
        {"networks": {"a": {"test": 3}, "b": [1]}},
        {"measured": {"error": "x", "n": 3}},
        {"measured": {"error": 0.2, "n": "3"}},
        {"measured": {"error": 0.2, "n": 10**400}},
        {"measured": {"error": 1e308, "n": 10**9}},
        {"measured": {"error": 5e-324, "n": 3, "elsewhere": {"a": "b"}}},
        {"measured": {"error": 0.2, "n": 3, "elsewhere": {"\x1b[2J" + "a" * 900: 0.5, "b": None, "c": [1]}}},
        {"test": {"n": "3", "accuracy": "y"}},
        {"test": {"n": 3, "accuracy": True}},
        {"test": {"n": [3], "accuracy": 0.5}},
        {"test": {"n": 10**400, "accuracy": 0.5}},
        {"name": "\x1b[2J\n", "data": "a\r" * 900},
        {"data": ["a" * 200] * 900},
    ],
    ids=range(15),
)
def test_a_strange_training_is_told_in_short_lines(training: dict[str, Any], saved: Path) -> None:
    edited(saved, lambda plain: plain.update(training=training))
    worth = Worth.of(read_description(saved), saved)
    for words in (*worth.sentences, worth.name):
        assert words.isprintable()
        assert len(words) <= 1000


def test_a_training_nested_without_end_is_one_line() -> None:
    training: dict[str, Any] = {}
    for _ in range(5000):
        training = {"a": training}
    with pytest.raises(NotADetector, match="lists inside lists without end"):
        read_training(training, Path("detector.json"))


def test_a_checkpoint_with_numbers_that_are_none_is_one_line(network: nn.Module, tmp_path: Path) -> None:
    strange: tuple[dict[str, Any], ...] = (
        {"preprocessing": PREPROCESSING.to_plain() | {"std": [float("nan"), 1.0, 1.0]}},
        {"preprocessing": PREPROCESSING.to_plain() | {"mean": [float("inf"), 1.0, 1.0]}},
        {"model": ARCHITECTURE | {"width": float("nan")}},
        {"model": {3: 4}},
        {"model": {"name": torch.ones(3)}},
    )
    for number, changes in enumerate(strange):
        torch.save(checkpoint(network, **changes), tmp_path / f"{number}.ckpt")
        assert refusal(tmp_path / f"{number}.ckpt")


# model.safetensors: its header is bounded


def test_the_header_of_weights_is_bounded(saved: Path) -> None:
    file = saved / "model.safetensors"
    whole = file.read_bytes()
    for claimed in (20 << 20, 1 << 62):
        file.write_bytes(claimed.to_bytes(8, "little") + b"{" + whole[9:])
        assert f"header claims to have {claimed:,} bytes" in refusal(saved)
        with pytest.raises(ValueError, match="header claims"):
            load_weights(nn.Linear(1, 1), file)
    save_file({"\x1b[2J" + "x" * 3000: torch.ones(1)}, file)
    assert "names that begin with a network's number" in refusal(saved)


# Parts of several detectors never run as one


def graph(folder: Path, description: Description, image: str = "images", logit: str = "logit") -> None:
    """A graph that answers each image with its mean, and says that it is of the detector described."""
    made = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Cast", [image], ["floats"], to=TensorProto.FLOAT),
                helper.make_node("ReduceMean", ["floats", "axes"], [logit], keepdims=0),
            ],
            "mean",
            [helper.make_tensor_value_info(image, TensorProto.UINT8, ["n", 32, 32, 3])],
            [helper.make_tensor_value_info(logit, TensorProto.FLOAT, ["n"])],
            [numpy_helper.from_array(np.array([1, 2, 3]), "axes")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    helper.set_model_props(made, facts(description))
    onnx.save(made, folder / "model.onnx")
    write_description(folder, description)


@pytest.mark.parametrize(
    ("differs", "change"),
    [
        ("preprocessing", {"preprocessing": replace(PREPROCESSING, resize="crop")}),
        ("preprocessing", {"preprocessing": replace(PREPROCESSING, mean=(0.4, 0.5, 0.5))}),
        ("preprocessing", {"preprocessing": replace(PREPROCESSING, std=(0.2, 0.25, 0.25))}),
        ("preprocessing", {"preprocessing": replace(PREPROCESSING, interpolation="bicubic")}),
        ("architecture", {"architecture": {"name": "rexnet_200"}}),
        ("networks", {"networks": 2}),
        ("fingerprint", {"fingerprint": "0" * 64}),
    ],
)
def test_a_graph_beside_a_changed_description_is_refused(differs: str, change: dict[str, Any], saved: Path) -> None:
    description = Detector.load(saved).description
    graph(saved, description)
    assert Detector.load(saved, backend="onnx").engine.logits(np.full((1, 32, 32, 3), 7, np.uint8)).tolist() == [7]
    write_description(saved, replace(description, **change))
    assert f"they differ in {differs}" in refusal(saved, backend="onnx")
    assert "do not belong together" in refusal(saved, backend="torch")


@pytest.mark.parametrize("names", [("images", "cam"), ("picture", "logit")])
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_graph_of_other_names_is_refused(names: tuple[str, str], backend: str, saved: Path) -> None:
    description = Detector.load(saved).description
    graph(saved, description, *names)
    if backend == "openvino":
        model = openvino.Core().read_model(saved / "model.onnx")
        for key, value in facts(description).items():
            model.set_rt_info(value, key)
        openvino.save_model(model, saved / "openvino" / "model.xml", compress_to_fp16=False)
    assert "has not the input and outputs that `export` gives a graph" in refusal(saved, backend=backend)


def test_a_graph_without_inputs_is_refused(saved: Path) -> None:
    description = Detector.load(saved).description
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["constant"], ["logit"])],
            "constant",
            [],
            [helper.make_tensor_value_info("logit", TensorProto.FLOAT, [1])],
            [numpy_helper.from_array(np.ones(1, np.float32), "constant")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    helper.set_model_props(made, facts(description))
    onnx.save(made, saved / "model.onnx")
    assert "has not the input and outputs that `export` gives a graph" in refusal(saved, backend="onnx")


def test_weights_changed_by_one_bit_are_refused(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    tensors["0.stem.conv.weight"].view(torch.int32)[0] ^= 1
    save_file(tensors, saved / "model.safetensors")
    assert "do not belong together" in refusal(saved)


# Only regular files are read


@pytest.mark.parametrize("name", ["detector.json", "model.safetensors", "model.onnx"])
def test_links_to_devices_pipes_and_proc_are_not_read(name: str, saved: Path, tmp_path: Path) -> None:
    graph(saved, Detector.load(saved).description)
    os.mkfifo(tmp_path / "pipe")
    backend = "onnx" if name.endswith(".onnx") else "torch"
    for target in (Path("/dev/zero"), tmp_path / "pipe", Path("/proc/kmsg"), Path("/dev/null")):
        if not target.exists():
            continue
        (saved / name).unlink(missing_ok=True)
        (saved / name).symlink_to(target)
        assert refusal(saved, backend=backend)  # and comes back
        assert refusal(saved / name)


def test_a_checkpoint_that_is_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.ckpt")
    assert "is not a regular file" in refusal(tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match="not a regular file"):
        load_weights(nn.Linear(1, 1), tmp_path / "model.ckpt")


def test_links_to_regular_files_are_read(saved: Path, tmp_path: Path) -> None:
    """So lie the files of the Hub's cache."""
    (tmp_path / "blobs").mkdir()
    for file in list(saved.iterdir()):
        shutil.move(file, tmp_path / "blobs" / file.name)
        file.symlink_to(Path("..", "blobs", file.name))
    assert Detector.load(saved)


def test_a_graph_that_takes_numbers_from_other_files_is_not_read(saved: Path, tmp_path: Path) -> None:
    graph(saved, Detector.load(saved).description)
    model = onnx.load(saved / "model.onnx")
    (tmp_path / "secret.txt").write_bytes(bytes(24))
    axes = model.graph.initializer[0]
    external_data_helper.set_external_data(axes, "../secret.txt", length=24)
    axes.ClearField("raw_data")
    (saved / "model.onnx").write_bytes(model.SerializeToString())
    assert "refers to other files, which are not read" in refusal(saved, backend="onnx")
