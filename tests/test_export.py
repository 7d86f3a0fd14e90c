"""Export: the same answers elsewhere, a folder that is whole or not there, refusal of what answers differently."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pandas as pd
import pytest
import timm
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from pytorch_grad_cam import GradCAM
from sklearn.metrics import accuracy_score, roc_auc_score
from torch import Tensor, nn

from rexnet_ai_real.detector.backends import BACKENDS
from rexnet_ai_real.detector.description import UNCALIBRATED, read_description
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.torch_engine import require_torch
from rexnet_ai_real.detector.storage import StoredDetector, read_detector, write_detector
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export import __main__ as export
from rexnet_ai_real.export import folder, int8, making, parity, request
from rexnet_ai_real.export.graph import CannotExport, ExportedNetwork, has_exact_map, onnx_graph
from rexnet_ai_real.export.parity import Answers, ParityFailed
from rexnet_ai_real.export.replacing import explained, replacing
from rexnet_ai_real.export.sample import Sample
from rexnet_ai_real.export.timm_form import timm_config
from rexnet_ai_real.export.weights import mean_weights, with_new_statistics
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.transforms import evaluation_transform
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.models.factory import build
from rexnet_ai_real.runs.folder import RunFolder

PREPROCESSING = Preprocessing(96, "squash", "bilinear", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
TIMM_DATA: Any = timm.data  # partly without types
ARCHITECTURE: dict[str, Any] = {"name": "rexnet_100", "width": 0.25}


def pixels(count: int = 3, size: int = 96) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def network(seed: int = 0, **architecture: Any) -> nn.Module:
    """Running statistics that differ by channel, and a head whose logits are of the order of 1."""
    torch.manual_seed(seed)
    made = build(**(ARCHITECTURE | architecture))
    with torch.no_grad():
        made(torch.randn(4, 3, 96, 96))
        head = [module for module in made.modules() if isinstance(module, nn.Linear)][-1]
        nn.init.normal_(head.weight, std=0.3)
        nn.init.normal_(head.bias)
    return made.eval()


def stored(*networks: nn.Module) -> StoredDetector:
    return StoredDetector.of([n.state_dict() for n in networks], ARCHITECTURE, PREPROCESSING, {})


def normalised(images: NDArray[np.uint8]) -> Tensor:
    mean, std = (np.array(values, np.float32) for values in (PREPROCESSING.mean, PREPROCESSING.std))
    return torch.from_numpy((images.astype(np.float32) / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def log_odds(networks: list[nn.Module], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.no_grad():
        logits = torch.stack([n(normalised(images)) for n in networks]).mean(0)
    return (logits[:, AI] - logits[:, REAL]).numpy()


# The graph


@pytest.fixture(scope="module")
def two_networks() -> tuple[list[nn.Module], onnxruntime.InferenceSession]:
    networks = [network(1), network(2)]
    graph = onnx_graph(networks, stored(*networks).description, "float32")
    onnx.checker.check_model(graph, full_check=True)
    return networks, onnxruntime.InferenceSession(graph.SerializeToString())


@pytest.mark.parametrize("count", [1, 5])
def test_networks_are_averaged_for_any_number_of_images(
    two_networks: tuple[list[nn.Module], onnxruntime.InferenceSession], count: int
) -> None:
    networks, session = two_networks
    images = pixels(count)
    logit, logits = session.run(["logit", "logits"], {"images": images.astype(np.float32)})
    np.testing.assert_allclose(logit, log_odds(networks, images), atol=1e-4)
    np.testing.assert_allclose(logits[:, AI] - logits[:, REAL], logit, atol=1e-5)


def test_mean_of_the_map_and_the_biases_are_the_logit(
    two_networks: tuple[list[nn.Module], onnxruntime.InferenceSession],
) -> None:
    networks, session = two_networks
    logit, heat = session.run(["logit", "cam"], {"images": pixels().astype(np.float32)})
    bias = np.mean([(n.head.fc.bias[AI] - n.head.fc.bias[REAL]).item() for n in networks])  # type: ignore[union-attr, index]
    assert heat.shape == (3, 3, 3)
    assert np.ptp(heat) > 0.1
    np.testing.assert_allclose(heat.mean((1, 2)) + bias, logit, atol=1e-4)


def test_gradcam_is_the_positive_part_of_the_map() -> None:
    subject = network(3)
    exported = ExportedNetwork([subject], PREPROCESSING)
    with torch.no_grad():
        heat = exported(torch.from_numpy(pixels()))[2].numpy()
    recorded: list[NDArray[np.float32]] = []
    with GradCAM(subject, [subject.features[-1]]) as explainer:  # type: ignore[index]
        compute = explainer.get_cam_image

        def record(*arguments: Any) -> Any:
            recorded.append(compute(*arguments))
            return recorded[-1]

        explainer.get_cam_image = record
        explainer(normalised(pixels()), [lambda logits: logits[AI] - logits[REAL]] * 3)
    np.testing.assert_allclose(np.maximum(recorded[0], 0), np.maximum(heat, 0) / 9, atol=1e-5)


def test_networks_without_an_exact_map_have_none() -> None:
    lite = network(name="rexnet_lite_100", width=None)
    assert not has_exact_map(lite, 96)
    assert ExportedNetwork([lite], PREPROCESSING).outputs == ["logit", "logits"]
    transformer = build("deit_tiny_patch16_224", library="timm").eval()
    assert not has_exact_map(transformer, 224)


def test_a_network_that_cannot_be_traced_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("an operator\nthat has no form in ONNX")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(CannotExport, match=r"rexnet_100 cannot be turned .*no form in ONNX.* --formats safetensors"):
        onnx_graph([network()], stored(network()).description)


# The folder


@pytest.fixture(scope="module")
def sure_run(tiny_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The tiny run, with bright and dark images that it tells apart for sure: logits near 3 and -3.

    At 60 images one flipped answer is already more than a point of accuracy. The images are beside it.
    """
    run = RunFolder(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("sure") / "run"))
    manifest = pd.read_csv(run.manifest_file)
    random = np.random.default_rng(0)
    for path, label in zip(manifest["path"], manifest["label"], strict=True):
        file = run.path.parent / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        level = 40 + 150 * label
        Image.fromarray(random.integers(level, level + 30, (32, 32, 3), dtype=np.uint8)).save(file)
    subject = Detector.load(run.path, precision="32-true")
    files = [run.path.parent / "images" / path for path in manifest["path"]]
    seen = np.stack([subject.preprocessing.to_array(Image.open(file)) for file in files])
    found: list[Tensor] = []
    head = require_torch(subject.engine, "This test").networks[0].get_submodule("head.fc")
    hook = head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    subject.engine.logits(seen)
    hook.remove()
    labels = torch.tensor(manifest["label"].tolist())
    ai, real = (found[-1][labels == label].mean(0) for label in (AI, REAL))
    # Along the line between the classes: a fitted layer would use directions in which only rounding tells them apart.
    weight = 6 * (ai - real) / (ai - real).square().sum()
    bias = -weight @ (ai + real) / 2
    state = {"head.fc.weight": torch.stack([-weight, weight]) / 2, "head.fc.bias": torch.stack([-bias, bias]) / 2}
    checkpoint = torch.load(run.best_checkpoint, weights_only=True)
    checkpoint["state_dict"] |= {f"network.{name}": tensor for name, tensor in state.items()}
    torch.save(checkpoint, run.best_checkpoint)
    return run


def beside(run: RunFolder) -> list[str]:
    """Where the images of the sure run are."""
    return ["--images", str(run.path.parent / "images")]


@pytest.fixture(scope="module")
def exported(sure_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "detector"
    arguments = ["--formats", *(backend.format for backend in BACKENDS.values()), "--license", "mit", *beside(sure_run)]
    assert export.main([str(sure_run.path), str(out), *arguments]) == 0
    return out


def images_of(run: RunFolder) -> list[Path]:
    return sorted((run.path.parent / "images").rglob("*.png"))[::8]


@pytest.mark.parametrize(("backend", "precision"), [("torch", "32-true"), ("onnx", "auto"), ("openvino", "32-true")])
def test_formats_in_float32_give_the_run_s_own_answers(
    exported: Path, sure_run: RunFolder, backend: str, precision: str
) -> None:
    expected = Detector.load(sure_run.path, precision="32-true").predict(images_of(sure_run))
    found = Detector.load(exported, backend=backend, precision=precision).predict(images_of(sure_run))
    pairs = [(verdict.logit, other.logit) for verdict, other in zip(found, expected, strict=True)]
    assert [found for found, _ in pairs] == pytest.approx([expected for _, expected in pairs], abs=1e-4)


def test_the_small_graph_is_close_and_small(exported: Path, sure_run: RunFolder) -> None:
    found = json.loads((exported / "parity.json").read_text())
    by_name = {entry["name"]: entry for entry in found["parity"]}
    whole = by_name["onnx-int8"]
    assert abs(whole["accuracy"] - whole["accuracy_before"]) <= 0.2
    assert abs(whole["auroc"] - whole["auroc_before"]) <= 0.2
    assert whole["images"] == 60 > by_name["onnx-int8, held-out alone"]["images"] > 0
    assert found["bytes"]["onnx-int8"] == (exported / "model.int8.onnx").stat().st_size
    assert found["bytes"]["onnx-int8"] < 0.6 * found["bytes"]["onnx"]  # of a tiny network much is not weights
    graph = onnx.load(exported / "model.int8.onnx").graph
    kinds = {constant.name: constant.data_type for constant in graph.initializer}
    convolved = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    assert sum(name not in kinds for name in convolved) > 50  # weights come through DequantizeLinear
    assert all("stem" in name or "features" in name or kinds[name] for name in convolved if name in kinds)


def test_the_parts_say_whose_they_are(exported: Path) -> None:
    description = read_description(exported)
    for name in ("model.onnx", "model.int8.onnx"):
        model = onnx.load(exported / name)
        told = {entry.key: entry.value for entry in model.metadata_props}
        assert told["fingerprint"] == description.fingerprint
        assert json.loads(told["labels"]) == ["real", "ai"]
        assert Preprocessing.from_plain(json.loads(told["preprocessing"])) == description.preprocessing
        assert float(told["temperature"]) == description.calibration.temperature
        assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx", "ai.onnx.ml"}  # runs everywhere
    model = openvino.Core().read_model(exported / "openvino" / "model.xml")
    assert model.get_rt_info("fingerprint").astype(str) == description.fingerprint


def test_nothing_tells_of_the_machine_that_exported(exported: Path, sure_run: RunFolder) -> None:
    root = Path(sure_run.read_config()["data"]["root"])
    for file in [file for file in exported.rglob("*") if file.is_file()]:
        content = file.read_bytes()
        for trace in (b".py", b"site-packages", str(root.parent).encode(), str(Path.cwd()).encode()):
            assert trace not in content, (file.name, trace)


def test_the_card_s_own_program_runs(exported: Path, sure_run: RunFolder) -> None:
    card = (exported / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert program is not None
    image = exported / "image.png"
    Image.open(images_of(sure_run)[0]).resize((50, 40)).save(image)
    try:
        done = subprocess.run([sys.executable, "-c", program[1]], cwd=exported, capture_output=True, text=True)
    finally:
        (verdict,) = Detector.load(exported, backend="onnx").predict(image)
        image.unlink()
    assert done.returncode == 0, done.stderr
    assert verdict.probability is not None
    assert float(done.stdout) == pytest.approx(verdict.probability, abs=1e-5)


def test_the_card_gives_the_run_s_figures(exported: Path, sure_run: RunFolder) -> None:
    card = (exported / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "mit"
    assert front["pipeline_tag"] == "image-classification"
    test = sure_run.read_metrics()["test"]
    assert f"| {test['n']} | {test['accuracy']:.3f} | {test['f1']:.3f} | {test['auroc']:.3f} |" in card
    assert "no intervals" in card
    assert "**Not calibrated.**" in card


def test_an_evaluation_brings_its_operating_point_and_intervals(sure_run: RunFolder, tmp_path: Path) -> None:
    run = shutil.copytree(sure_run.path, tmp_path / "run")
    fitted = replace(UNCALIBRATED, temperature=1.7, threshold=0.6, unsure_low=0.3, unsure_high=0.8, n_real=9, n_ai=9)
    Detector.load(run).with_calibration(fitted).save(run / "report" / "detector")
    estimate = {"value": 0.7351, "low": 0.6012, "high": 0.8013}
    part = dict.fromkeys(("accuracy", "f1", "auroc", "balanced_accuracy"), estimate)
    report: dict[str, Any] = {
        "test": {"n": 20, "n_real": 9, "n_ai": 11, **part},
        "elsewhere": {"n_real": 3, "n_ai": 4, **part},
    }
    rates = dict.fromkeys(("accuracy_at_threshold", "accuracy", "tpr", "fpr", "auroc"), estimate)
    report["test"]["collections"] = {name: {"n_real": 4, "n_ai": 5, **rates} for name in ("one", "two")}
    report["test"]["false_alarms"] = {"phone": {"n": 40, "fpr": estimate}}
    tiers = {"clean": rates, "web": rates}
    report["delivery"] = {"n": 6, "threshold": {"probability": 0.812}, "tiers": tiers, "at_detector_threshold": tiers}
    (run / "report" / "metrics.json").write_text(json.dumps(report))
    for model in (run, run / "report" / "detector", run / "checkpoints" / "best.ckpt"):
        out = tmp_path / f"out-{model.name}"
        assert export.main([str(model), str(out), "--formats", "safetensors", "--count", "4"]) == 0
        assert Detector.load(out).calibration == fitted
        card = (out / "README.md").read_text()
        assert "0.735 [0.601, 0.801]" in card
        assert "| elsewhere | 3 + 4 |" in card
        assert "Each collection, on its held-out images, the lowest AUROC first" in card
        assert "Real images, held out from training, that it calls AI most often: phone 0.735" in card
        assert "left out" not in card
        assert "At the detector's threshold:" in card
        assert "set on the worst way, P(AI) 0.812, which is not the detector's own:" in card
        assert yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.7351
        assert not (out / "model.onnx").exists()


def test_the_card_says_what_cannot_be_promised_and_what_the_threshold_gives(tmp_path: Path) -> None:
    words = "No threshold keeps errors at or below 10% on images like these (n = 9). The detector answers 'unsure'"
    silent = replace(
        UNCALIBRATED,
        unsure_low=0.0,
        threshold=0.6,
        unsure_high=1.0,
        coverage=0.0,
        error_target=0.1,
        band_rule=words,
        n_real=9,
        n_ai=9,
        notes=(f"{words}.",),
    )
    model = tmp_path / "model"
    write_detector(model, stored(network()))
    Detector.load(model).with_calibration(silent).save(model)
    assert export.main([str(model), str(tmp_path / "out"), "--formats", "safetensors", "--count", "4"]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.count(words) == 1
    assert f"**{words}.**\nWith `--answer always` an image is called AI at 0.600 or more" in card
    assert "from 0.000 to below 1.000" not in card


def test_names_from_outside_reach_the_card_as_words_and_undefined_metrics_as_dashes(tmp_path: Path) -> None:
    nasty = "<img src=x>|[a](//b)\x1b[2J"
    made = stored(network())
    images = {"train": {"real": 3, "ai": 4}}
    test = {"n": 4, "accuracy": 0.5, "f1": None, "auroc": None}
    training = {"data": nasty, "images": images, "test": test}
    model = tmp_path / "model"
    write_detector(model, replace(made, description=replace(made.description, training=training)))
    assert export.main([str(model), str(tmp_path / "out"), "--formats", "safetensors", "--count", "4"]) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "<img" not in card
    assert "](//" not in card
    assert "\x1b" not in card
    row = next(line for line in card.splitlines() if "img src" in line)
    assert row.replace("\\|", "").count("|") == 6  # five columns
    assert "| 4 | 0.500 | – | – |" in card


@pytest.mark.parametrize("strange", ["x", ["x"], 3, {"x": "y"}, {"train": {"real": 3}}, {"a": ["b"]}])
def test_what_a_stranger_says_of_the_training_does_not_stop_the_card(strange: Any, tmp_path: Path) -> None:
    made = stored(network())
    keys = ("collections", "images", "test", "networks", "settings", "measured", "name", "version")
    model = tmp_path / "model"
    write_detector(model, replace(made, description=replace(made.description, training=dict.fromkeys(keys, strange))))
    assert export.main([str(model), str(tmp_path / "out"), "--formats", "safetensors", "--count", "4"]) == 0
    assert "left out of training" not in (tmp_path / "out" / "README.md").read_text()


# Refusals


def no_export(monkeypatch: pytest.MonkeyPatch, exported: Path) -> None:
    """The graph that was exported before in place of a new one."""
    monkeypatch.setattr(making, "onnx_graph", lambda *_: onnx.load(exported / "model.onnx"))


def changed(model: Any, change: Callable[[NDArray[Any]], NDArray[Any]], kind: int) -> Any:
    """The graph with all weights of convolutions of a type changed."""
    for constant in model.graph.initializer:
        if constant.data_type == kind and len(constant.dims) == 4:
            values = change(onnx.numpy_helper.to_array(constant))
            constant.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values), constant.name))
    return model


def test_a_damaged_graph_is_refused_with_figures(
    exported: Path,
    sure_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def damaged(*_: Any) -> Any:
        return changed(onnx.load(exported / "model.onnx"), lambda w: w * np.float32(1.01), onnx.TensorProto.FLOAT)

    monkeypatch.setattr(making, "onnx_graph", damaged)
    assert (
        export.main([str(sure_run.path), str(tmp_path / "out"), "--formats", "onnx", "--count", "8", *beside(sure_run)])
        == 1
    )
    assert re.search(r"logits differ by at most [\d.]+ on 8 images.*at most 0\.0001", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_damaged_small_weights_are_refused_with_figures(
    exported: Path,
    sure_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    no_export(monkeypatch, exported)
    small = changed(onnx.load(exported / "model.int8.onnx"), lambda w: w[::-1], onnx.TensorProto.INT8)
    monkeypatch.setattr(int8, "quantised", lambda *_: small)
    arguments = ["--formats", "onnx-int8", *beside(sure_run)]
    assert export.main([str(sure_run.path), str(tmp_path / "out"), *arguments]) == 1
    said = capsys.readouterr().err
    assert re.search(r"accuracy [\d.]+% instead of [\d.]+%, AUROC [\d.]+ instead of [\d.]+; at most 1 point", said)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    model = tmp_path / "model"
    write_detector(model, stored(network()))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    safetensors = ["--formats", "safetensors"]
    assert export.main([str(model), str(other), *safetensors, "--overwrite"]) == 2
    assert (other / "thesis.txt").read_text() == "years of work"
    assert export.main([str(model), str(model), *safetensors]) == 2
    assert not (model / "README.md").exists()
    assert export.main([str(model), str(model), *safetensors, "--overwrite"]) == 0
    assert (model / "README.md").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]
    assert Detector.load(model).fingerprint == stored(network()).description.fingerprint


def test_an_interruption_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    write_detector(model, stored(network()))
    before = (model / "detector.json").read_bytes()

    def interrupted(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "model_card", interrupted)
    assert export.main([str(model), str(model), "--formats", "safetensors", "--overwrite"]) == 130
    assert (model / "detector.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("form", ["safetensors", "openvino", "timm"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    write_detector(model, stored(network()))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # no file may grow longer, as on a full disk
    try:
        assert export.main([str(model), str(tmp_path / "out"), "--formats", form, "--count", "2"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    [line] = [line for line in capsys.readouterr().err.splitlines() if "Nothing was written" in line]
    assert line.startswith(f"exporting to {tmp_path / 'out'} was stopped at ")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("where", ["tempfile.mkdtemp", "rexnet_ai_real.export.folder.write_text"])
def test_a_disk_that_refuses_leaves_the_old_folder(
    code: int, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    write_detector(model, stored(network()))

    def refuses(*_: Any, **__: Any) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(where, refuses)
    assert export.main([str(model), str(model), "--formats", "safetensors", "--overwrite"]) == 2
    assert f": {os.strerror(code).lower()}. Nothing was written. Make room there" in capsys.readouterr().err
    assert sorted(path.name for path in model.iterdir()) == ["detector.json", "model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("refused", [{2}, {2, 3}])
def test_what_cannot_be_replaced_is_put_back_or_kept(
    refused: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "weights").write_text("the only copy")
    renamed, rename = 0, Path.rename

    def refuses(path: Path, target: Path) -> Path:
        nonlocal renamed
        renamed += 1
        if renamed in refused:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuses)
    with pytest.raises(UserError) as told, explained(out), replacing(out, overwrite=True):
        pass
    [kept] = tmp_path.iterdir()
    assert (kept / "weights").read_text() == "the only copy"
    assert (kept == out) == (3 not in refused)
    assert str(kept) in str(told.value)


# timm


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "rexnet_100", "width": 0.25},
        {"name": "rexnet_130"},
        {"name": "rexnetr_150", "width": 0.5, "depth": 0.5},
        {"name": "mobilenetv3_small_050", "library": "timm"},
        {"name": "deit_tiny_patch16_224", "library": "timm"},
    ],
    ids=lambda architecture: "-".join(map(str, architecture.values())),
)
def test_timm_builds_the_same_network_from_the_exported_folder(architecture: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    ours = build(**architecture).eval()
    size = 224 if "deit" in architecture["name"] else 96
    preprocessing = replace(PREPROCESSING, image_size=size)
    write_detector(tmp_path / "model", StoredDetector.of([ours.state_dict()], architecture, preprocessing, {}))
    assert export.main([str(tmp_path / "model"), str(tmp_path / "out"), "--formats", "timm", "--count", "2"]) == 0
    theirs = timm.create_model(f"local-dir:{tmp_path / 'out' / 'timm'}", pretrained=True).eval()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images), rtol=0, atol=1e-5)
    data = TIMM_DATA.resolve_model_data_config(theirs)
    assert tuple(data["input_size"]) == (3, size, size)
    assert (tuple(data["mean"]), tuple(data["std"])) == (PREPROCESSING.mean, PREPROCESSING.std)
    assert (data["interpolation"], data["crop_pct"], data["crop_mode"]) == ("bilinear", 1.0, "squash")
    assert json.loads((tmp_path / "out" / "timm" / "config.json").read_text())["label_names"] == ["real", "ai"]
    found = Detector.load(tmp_path / "out")  # and the folder is a detector of this project's too
    assert found.engine.backend == "torch"
    [entry] = json.loads((tmp_path / "out" / "parity.json").read_text())["parity"]
    assert entry["name"] == "timm"


def test_timm_prepares_images_as_the_detector_does(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 120, 3), dtype=np.uint8))
    for resize in ("squash", "crop"):
        preprocessing = replace(PREPROCESSING, resize=resize)
        description = StoredDetector.of([network().state_dict()], ARCHITECTURE, preprocessing, {}).description
        config = timm_config(description)["pretrained_cfg"]
        theirs = TIMM_DATA.create_transform(**{key: config[key] for key in config if key != "num_classes"})
        ours = evaluation_transform(preprocessing)(image)
        # Their crop is cut from the resized image, ours before resizing: a difference of grey levels at most.
        assert (theirs(image) - ours).abs().max() < (0.03 if resize == "squash" else 1.0)
        assert (theirs(image) - ours).abs().mean() < 0.1


def test_what_timm_does_not_have_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_detector(tmp_path / "two", stored(network(1), network(2)))
    lite = build("rexnet_lite_100")
    write_detector(
        tmp_path / "lite", StoredDetector.of([lite.state_dict()], {"name": "rexnet_lite_100"}, PREPROCESSING, {})
    )
    for name, words in (
        ("two", "timm holds one network, and this detector has 2"),
        ("lite", "timm has no rexnet"),
    ):
        assert export.main([str(tmp_path / name), str(tmp_path / "out"), "--formats", "timm", "--count", "2"]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_what_cannot_be_measured_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    write_detector(model, stored(network()))
    assert export.main([str(model), str(tmp_path / "out"), "--formats", "onnx-int8"]) == 2
    assert "--images" in capsys.readouterr().err


def test_a_missing_library_is_named_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "find_spec", lambda name: None if name == "openvino" else object())
    with pytest.raises(UserError, match=r"openvino is not installed: pip install 'rexnet-ai-real\[export,openvino\]'"):
        request.check_request(tmp_path / "out", request.Request(("onnx", "openvino")))


def test_help_needs_no_pytorch() -> None:
    program = "import sys\nfrom rexnet_ai_real.export.__main__ import main\ntry: main(['--help'])\n"
    program += "except SystemExit: pass\n"
    program += "assert not {'torch', 'numpy', 'onnx'} & set(sys.modules), 'slow'"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Parity


def sample(labels: list[int]) -> Sample:
    count = len(labels)
    return Sample(np.zeros((count, 1, 1, 3), np.uint8), np.array(labels), np.ones(count, bool), "images")


def test_parity_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    before = (random.normal(0, 2, 200) + labels).astype(np.float32)
    after = (before + random.normal(0, 0.3, 200)).astype(np.float32)
    found = parity.compare("x", Answers(after, None), Answers(before, None), sample(labels.tolist()), UNCALIBRATED)
    assert found.accuracy == accuracy_score(labels, after > 0)
    assert found.accuracy_before == accuracy_score(labels, before > 0)
    assert found.auroc == roc_auc_score(labels, after)
    assert found.logit_difference == pytest.approx(np.abs(after - before).max())
    assert found.same_verdict == pytest.approx(((after >= 0) == (before >= 0)).mean())


def test_the_bounds_are_where_they_are_said_to_be() -> None:
    labels = [0, 1] * 100
    before = np.where(np.array(labels) == 1, 1, -1).astype(np.float32)
    for wrong, allowed in ((2, True), (3, False)):
        after = before.copy()
        after[:wrong] = -0.001 * np.sign(after[:wrong])
        found = parity.compare("x", Answers(after, None), Answers(before, None), sample(labels), UNCALIBRATED)
        assert found.is_close is allowed
    for off, exact in ((0.9e-4, True), (1.2e-4, False)):
        found = parity.compare("x", Answers(before + off, None), Answers(before, None), sample(labels), UNCALIBRATED)
        assert found.is_exact is exact
    one_class = parity.compare("x", Answers(before, None), Answers(before, None), sample([1] * 200), UNCALIBRATED)
    assert not one_class.is_close
    broken = Answers(np.array([np.nan, np.inf] + [0.0] * 198, np.float32), None)
    with pytest.raises(ParityFailed, match="2 logits are not finite"):
        parity.compare("x", broken, Answers(before, None), sample(labels), UNCALIBRATED)


# Averaged weights


def test_the_mean_of_equal_networks_is_that_network_with_measured_statistics() -> None:
    state = network().state_dict()
    mean = mean_weights([state, state, state])
    assert all(torch.equal(mean[name], state[name]) for name in state)
    found = with_new_statistics(ARCHITECTURE, mean, PREPROCESSING, pixels(6))
    subject = network()
    with torch.no_grad():
        features = subject.stem.conv(normalised(pixels(6)))  # type: ignore[union-attr, operator]
    torch.testing.assert_close(found["stem.bn.running_mean"], features.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["stem.bn.running_var"], features.var((0, 2, 3)), rtol=1e-3, atol=1e-4)
    assert torch.equal(found["stem.conv.weight"], state["stem.conv.weight"])


def test_averaged_weights_that_are_worse_are_refused(
    sure_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = read_detector(sure_run.path)
    noise = {k: v + torch.randn(v.shape) * v.std() if v.ndim == 4 else v.clone() for k, v in trained.states[0].items()}
    description = trained.description
    both = StoredDetector.of([trained.states[0], noise], description.architecture, description.preprocessing, {})
    write_detector(tmp_path / "folds", both)
    arguments = ["--formats", "safetensors", "--average-weights", *beside(sure_run)]
    assert export.main([str(tmp_path / "folds"), str(tmp_path / "out"), *arguments]) == 1
    assert re.search(r"averaged weights.*accuracy [\d.]+% instead of", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
    # Of two epochs the running statistics are far from those of these images; measuring them anew is tested above.
    monkeypatch.setattr(folder, "with_new_statistics", lambda architecture, state, *_: state)
    again = {name: tensor.clone() for name, tensor in trained.states[0].items()}
    equal = StoredDetector.of([trained.states[0], again], description.architecture, description.preprocessing, {})
    write_detector(tmp_path / "equal", equal)
    assert export.main([str(tmp_path / "equal"), str(tmp_path / "out"), *arguments]) == 0
    assert read_description(tmp_path / "out").networks == 1
    assert "mean over 2 networks" in (tmp_path / "out" / "README.md").read_text()
