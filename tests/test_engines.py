"""Exported detectors without PyTorch: the same answers, mixed folders refused, and nothing else installed."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rexnet_ai_real import Detector
from rexnet_ai_real.detector.backends import BACKENDS, Backend
from rexnet_ai_real.detector.description import Description
from rexnet_ai_real.detector.engines.engine import AUTO_TORCH, choose_backend
from rexnet_ai_real.detector.engines.graphs import GraphEngine
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export.__main__ import main as export
from rexnet_ai_real.export.making import Making
from rexnet_ai_real.predict.__main__ import main as predict
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.identify import NotADetector
from tests.installation import install


@pytest.fixture
def copy(exported_run: Path, tmp_path: Path) -> Path:
    """For changing it."""
    return Path(shutil.copytree(exported_run, tmp_path / "copy"))


@pytest.fixture
def pixels() -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_graphs_answer_as_pytorch(
    exported_run: Path, backend: str, pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"
) -> None:
    precision = "32-true"
    original = Detector.load(exported_run, backend="torch", precision=precision)
    graph = Detector.load(exported_run, backend=backend, precision=precision)
    assert graph.engine.backend == backend
    assert graph.fingerprint == original.fingerprint
    np.testing.assert_allclose(graph.engine.logits(pixels), original.engine.logits(pixels), atol=1e-4)
    for found, expected in zip(
        graph.engine.logits_and_maps(pixels), original.engine.logits_and_maps(pixels), strict=True
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_results_stay_when_the_next_batch_is_computed(
    exported_run: Path, pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"
) -> None:
    engine = Detector.load(exported_run, backend="openvino").engine
    first = engine.logits(pixels)
    before = first.copy()
    engine.logits(255 - pixels)
    assert np.array_equal(first, before)


def test_the_first_backend_that_can_is_taken(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Detector.load(copy).engine.backend == "onnx"
    assert Detector.load(copy, device="cpu", backend="torch").engine.backend == "torch"
    installed = {"torch", "openvino"}
    monkeypatch.setattr("rexnet_ai_real.detector.backends.find_spec", lambda name: name in installed or None)
    assert choose_backend(copy, "auto").name == "torch"
    installed.remove("torch")
    assert choose_backend(copy, "auto").name == "openvino"
    installed.clear()
    with pytest.raises(UserError, match="needs onnxruntime or torch or openvino, which is not installed"):
        choose_backend(copy, "auto")
    with pytest.raises(UserError, match="backend=onnx needs onnxruntime"):
        choose_backend(copy, "onnx")


def test_another_device_takes_the_first_form_that_pytorch_runs(tmp_path: Path) -> None:
    def chosen(*files: str) -> str:
        return choose_backend(tmp_path, AUTO_TORCH, files.__contains__).name

    assert chosen("model.onnx", "timm/model.safetensors") == "timm"
    assert chosen("timm/model.safetensors", "model.safetensors") == "torch"
    with pytest.raises(NotADetector, match=r"has no model\.safetensors"):
        chosen("model.onnx")


def test_a_timm_form_alone_is_taken_for_another_device(
    copy: Path, tiny_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "timm").mkdir()
    (copy / "model.safetensors").rename(copy / "timm" / "model.safetensors")
    opened: list[tuple[Any, ...]] = []
    monkeypatch.setattr(Backend, "open", lambda self, *arguments: opened.append((self.name, arguments[2])))
    Detector.load(copy, device="cpu:0")
    assert opened == [("timm", "cpu:0")]
    assert Detector.load(tiny_run.path, device="cpu:0").engine.backend == "torch"


def test_what_cannot_be_run_is_named(copy: Path, tiny_run: RunFolder) -> None:
    for options, message in (
        ({"backend": "onnx-int8"}, r"has no model\.int8\.onnx, which backend=onnx-int8 runs: export"),
        ({"backend": "tensorrt"}, "expected auto or one of onnx, torch"),
        ({"backend": "onnx", "device": "cuda"}, "runs on the CPU"),
        ({"backend": "onnx", "precision": "bf16-mixed"}, "computes as it was exported"),
        ({"backend": "openvino", "precision": "16-mixed"}, "expected one of auto, bf16-mixed, 32-true"),
    ):
        with pytest.raises(UserError, match=message):
            Detector.load(copy, **options)
    with pytest.raises(UserError, match="export it first"):
        Detector.load(tiny_run.path, backend="onnx")
    graph = Detector.load(copy, backend="onnx")
    with pytest.raises(UserError, match="Saving a detector needs PyTorch, and this detector runs on backend=onnx"):
        graph.save(copy / "again")


def open_dummy(folder: Path, description: Description, device: str, precision: str) -> GraphEngine:
    """A graph whose answer to every image is the number in its file."""

    class Constant:
        outputs: tuple[str, ...] = ("logit", "cam")
        dtype: type[np.generic] = np.uint8

        def run(self, images: "np.ndarray[Any, Any]", outputs: list[str]) -> "list[np.ndarray[Any, Any]]":
            number = float((folder / "dummy.txt").read_text())
            shapes = {"logit": (len(images),), "cam": (len(images), 1, 1)}
            return [np.full(shapes[name], number, np.float32) for name in outputs]

    return GraphEngine("dummy", Constant())


def write_dummy(making: Making, file: Path) -> None:
    """The label of the first image, for `open_dummy`."""
    file.write_text(repr(float(making.sample.labels[0])))
    making.measure(BACKENDS["dummy"], "dummy")


def test_a_new_format_is_one_entry(
    tiny_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = Backend("dummy", "dummies", "dummy.txt", "csv", f"{__name__}:open_dummy", f"{__name__}:write_dummy")
    monkeypatch.setitem(BACKENDS, "dummy", entry)
    out = tmp_path / "out"
    assert export([str(tiny_run.path), str(out), "--formats", "dummies", "--count", "4"]) == 0
    assert "dummies" in capsys.readouterr().out
    assert "dummies" in (out / "README.md").read_text()
    parity = json.loads((out / "parity.json").read_text())
    assert parity["bytes"] == {"dummies": (out / "dummy.txt").stat().st_size}
    assert [found["name"] for found in parity["parity"]] == ["dummy"]
    logits = Detector.load(out).engine.logits(np.zeros((2, 32, 32, 3), np.uint8))  # auto finds it
    assert logits.tolist() == [float((out / "dummy.txt").read_text())] * 2
    for command in (predict, export):
        with pytest.raises(SystemExit):
            command(["--help"])
        assert "dumm" in capsys.readouterr().out


def test_every_opener_and_maker_is_there() -> None:
    for backend in BACKENDS.values():
        for function in (backend.opener, backend.maker):
            module, name = function.split(":")
            assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize(("backend", "file"), [("onnx", "model.onnx"), ("openvino", "openvino/model.xml")])
def test_a_graph_of_another_detector_is_refused(copy: Path, backend: str, file: str) -> None:
    description = copy / "detector.json"
    plain = json.loads(description.read_text())
    description.write_text(json.dumps(plain | {"fingerprint": "0" * 64}))
    with pytest.raises(NotADetector, match="does not belong to the detector"):
        Detector.load(copy, backend=backend)
    description.write_text(json.dumps(plain))
    (copy / file).write_bytes((copy / file).read_bytes()[:1000])
    with pytest.raises(NotADetector, match="is damaged"):
        Detector.load(copy, backend=backend)


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
@pytest.mark.parametrize("change", [{"resize": "crop"}, {"mean": [0.1, 0.2, 0.3]}, {"std": [0.5, 0.5, 0.5]}])
def test_another_preprocessing_beside_the_network_is_refused(copy: Path, backend: str, change: dict[str, Any]) -> None:
    description = copy / "detector.json"
    plain = json.loads(description.read_text())
    plain["preprocessing"] |= change
    description.write_text(json.dumps(plain))
    with pytest.raises(NotADetector, match="belong"):
        Detector.load(copy, backend=backend)


@pytest.fixture(scope="module")
def small_installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an exported detector needs."""
    return install(tmp_path_factory.mktemp("site"), ["onnxruntime", "numpy", "pillow", "rich"])


@pytest.mark.parametrize("command", ["predict", "explain"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("run", "run is not exported and runs on PyTorch, which is not installed: pip install rexnet-ai-real"),
        ("folds", "folds is a multirun, and yaml, which reads it, is not installed: pip install rexnet-ai-real"),
        ("someone/detector", "does not exist here; .*: pip install 'rexnet-ai-real\\[hub\\]'"),
    ],
)
def test_without_pytorch_what_needs_it_is_one_sentence(
    command: str, model: str, words: str, small_installation: Path, tiny_run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "run").symlink_to(tiny_run.path)
    (tmp_path / "folds" / "0" / ".hydra").mkdir(parents=True)
    (tmp_path / "folds" / "0" / ".hydra" / "overrides.yaml").write_text("- data.fold=0\n")
    done = subprocess.run(
        [sys.executable, "-S", "-m", f"rexnet_ai_real.{command}", model, "a.png", "--output", "out.csv"],
        env={**os.environ, "PYTHONPATH": str(small_installation)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2
    assert re.fullmatch(f".*{words}.*\n", done.stderr), done.stderr


def test_three_packages_are_enough(exported_run: Path, small_installation: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.fromarray(np.full((50, 70, 3), 120, np.uint8)).save(image)
    (tmp_path / "bad.jpg").touch()
    # -S leaves the site-packages of the interpreter out, so that nothing but the folder can be imported.
    python = [sys.executable, "-S", "-m"]
    environment = {**os.environ, "PYTHONPATH": str(small_installation)}

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*python, *map(str, arguments)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100
        )

    done = run("rexnet_ai_real.predict", exported_run, image, "bad.jpg")
    assert done.returncode == 1, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    [expected] = Detector.load(exported_run, backend="torch", precision="32-true").predict(image)
    assert float(rows[0]["logit"]) == pytest.approx(expected.logit, abs=1e-4)
    assert rows[1]["error"] == "empty file"
    page = run("rexnet_ai_real.predict", exported_run, image, "--provenance", "-o", "gallery.html")
    assert (page.returncode, (tmp_path / "gallery.html").is_file()) == (0, True), page.stderr
    heat = run("rexnet_ai_real.explain", exported_run, image, "-o", "explained")
    assert heat.returncode == 0, heat.stderr
    torch = run("rexnet_ai_real.predict", exported_run, image, "--backend", "torch")
    assert torch.returncode == 2
    assert "needs torch, which is not installed" in torch.stderr
    assert "Traceback" not in torch.stderr
