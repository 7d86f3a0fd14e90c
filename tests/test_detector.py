"""The detector: the same numbers as the run it comes from, verdicts on any file, refusals that say why."""

import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit
from torch import nn

from rexnet_ai_real import Detector, Verdict
from rexnet_ai_real.config import TrainerConfig
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import UNCALIBRATED
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine, require_torch
from rexnet_ai_real.detector.storage import StoredDetector
from rexnet_ai_real.detector.verdict import verdicts
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.decode import decode
from rexnet_ai_real.images.loading import made_ahead
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.transforms import evaluation_transform
from rexnet_ai_real.images.walk import image_files
from rexnet_ai_real.models.factory import build_trained
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.identify import NotADetector
from rexnet_ai_real.train.trainer import resolve_precision

BAND = replace(UNCALIBRATED, temperature=2.0, threshold=0.6, unsure_low=0.4, unsure_high=0.8, n_real=50, n_ai=50)


@pytest.fixture(scope="module")
def detector(tiny_run: RunFolder) -> Detector:
    return Detector.load(tiny_run.path, precision="32-true")


@pytest.fixture(scope="module")
def root(tiny_run: RunFolder) -> Path:
    return Path(tiny_run.read_config()["data"]["root"])


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Twelve small images of several sizes and formats."""
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number, suffix in zip(range(12), itertools.cycle(("png", "jpg", "webp"))):
        pixels = random.integers(0, 256, (20 + 3 * number, 50 - 2 * number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.{suffix}")
    return sorted(folder.iterdir())


def networks_of(detector: Detector) -> tuple[nn.Module, ...]:
    return require_torch(detector.engine, "This test").networks


def pixels(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def otherwise_prepared(detector: Detector, **changes: Any) -> Detector:
    """The same networks behind another preprocessing."""
    preprocessing, before = replace(detector.preprocessing, **changes), detector.description
    states = [network.state_dict() for network in networks_of(detector)]
    stored = StoredDetector.of(states, before.architecture, preprocessing, before.training)
    networks = [build_trained(before.architecture, state) for state in states]
    return Detector(TorchEngine.of(networks, preprocessing, "cpu", "32-true"), stored.description)


def copied(run: RunFolder, folder: Path, change: Callable[[dict[str, Any]], None], overrides: list[str]) -> RunFolder:
    """A job of a multirun, made of a finished run: other settings, and weights that are a little different."""
    shutil.copytree(run.path, folder)
    job = RunFolder(folder)
    config = job.read_config()
    change(config)
    job.write_config(config)
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    checkpoint = torch.load(job.best_checkpoint, weights_only=True)
    checkpoint["state_dict"]["network.head.fc.weight"][1] += 0.1 * (1 + len(list(folder.parent.iterdir())))
    torch.save(checkpoint, job.best_checkpoint)
    return job


@pytest.fixture
def folds(tiny_run: RunFolder, tmp_path: Path) -> list[RunFolder]:
    """Finished jobs of folds 1 and 0 in tmp_path/folds."""

    def job(number: int, fold: int) -> RunFolder:
        folder = tmp_path / "folds" / str(number)
        return copied(tiny_run, folder, lambda config: config["data"].update(fold=fold, folds=2), [f"data.fold={fold}"])

    return [job(0, 1), job(1, 0)]


# The same numbers


def test_views_are_averaged_and_part_of_what_a_detector_is(
    detector: Detector, images: list[Path], tmp_path: Path
) -> None:
    several = otherwise_prepared(detector, views=("frame", "native", "flip"))
    alone = [
        otherwise_prepared(detector, resize="native"),
        otherwise_prepared(detector),
    ]
    logits = np.array([[verdict.logit for verdict in one.predict(images)] for one in alone])
    flipped = detector.engine.logits(
        np.stack([detector.preprocessing.to_array(decode(path))[:, ::-1] for path in images])
    )
    found = [verdict.logit for verdict in several.predict(images, batch_size=5)]
    assert found == pytest.approx((logits.sum(axis=0) + flipped) / 3, abs=1e-5)
    assert len({several.fingerprint, detector.fingerprint, alone[0].fingerprint}) == 3
    assert alone[1].fingerprint == detector.fingerprint
    several.save(tmp_path / "saved")
    again = Detector.load(tmp_path / "saved", precision="32-true")
    assert again.preprocessing.views == ("frame", "native", "flip")
    assert [verdict.logit for verdict in again.predict(images)] == pytest.approx(found, abs=1e-5)


def test_logits_are_those_of_the_run(detector: Detector, tiny_run: RunFolder, root: Path) -> None:
    expected = pd.read_csv(tiny_run.predictions_file)
    found = list(detector.predict([root / path for path in expected["path"]], batch_size=7))
    assert [verdict.path for verdict in found] == [str(root / path) for path in expected["path"]]
    assert [verdict.logit for verdict in found] == pytest.approx(expected["logit"].tolist(), abs=1e-5)
    assert [verdict.probability for verdict in found] == pytest.approx(expected["probability"].tolist(), abs=1e-5)
    assert expected["logit"].std() > 1e-3  # so that equal numbers mean something


def test_a_checkpoint_and_its_run_are_the_same_detector(detector: Detector, tiny_run: RunFolder) -> None:
    alone = Detector.load(str(tiny_run.best_checkpoint))
    assert alone.fingerprint == detector.fingerprint
    assert alone.preprocessing == Preprocessing.from_plain(detector.preprocessing.to_plain())
    assert detector.description.training["images"]["train"]["ai"] > 0
    assert detector.description.training["test"] == tiny_run.read_metrics()["test"]
    assert str(tiny_run.path) not in json.dumps(detector.description.training)


def test_networks_are_ready_for_inference(detector: Detector) -> None:
    for network in networks_of(detector):
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
        wide = next(p for p in network.parameters() if p.ndim == 4 and min(p.shape) > 1)
        assert wide.is_contiguous(memory_format=torch.channels_last)


def test_bfloat16_products_change_little(detector: Detector, tiny_run: RunFolder) -> None:
    rounded = Detector.load(tiny_run.path, precision="bf16-mixed")
    fast, exact = (each.engine.logits(pixels(6)) for each in (rounded, detector))
    assert fast.dtype == np.float32
    assert not np.array_equal(fast, exact)
    np.testing.assert_allclose(fast, exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("has_bfloat16", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_training_and_detector_choose_the_same_arithmetic(
    has_bfloat16: bool, expected: str, tiny_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bfloat16)
    engine = Detector.load(tiny_run.path, device="cpu").engine
    assert isinstance(engine, TorchEngine)
    assert engine.precision == expected
    assert resolve_precision(TrainerConfig(accelerator="cpu", precision="auto")) == expected


def test_logits_take_no_images_and_refuse_other_shapes(detector: Detector) -> None:
    engine = require_torch(detector.engine, "This test")
    assert engine.logits(pixels(0)).shape == (0,)
    with pytest.raises(ValueError, match=r"\(3, 32, 32\): expected \(N, 3, H, W\)"):
        engine.logits_of(torch.zeros(3, 32, 32))


# Saved and read again


def test_a_saved_detector_is_the_same(detector: Detector, root: Path, tmp_path: Path) -> None:
    calibrated = detector.with_calibration(BAND)
    calibrated.save(tmp_path / "new" / "folder")
    again = Detector.load(tmp_path / "new" / "folder", precision="32-true")
    assert again.fingerprint == detector.fingerprint
    assert (again.calibration, again.description.training) == (BAND, detector.description.training)
    assert detector.calibration == UNCALIBRATED
    assert list(again.predict(root)) == list(calibrated.predict(root))
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "detector.json",
        "model.safetensors",
    ]


def test_a_detector_is_saved_over_another_whole_or_not(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector.save(tmp_path)
    other = otherwise_prepared(detector, image_size=40)
    monkeypatch.setattr("rexnet_ai_real.detector.storage.save_file", _full_disk)
    with pytest.raises(OSError, match="No space left"):
        other.save(tmp_path)
    assert Detector.load(tmp_path).fingerprint == detector.fingerprint
    assert len(list(tmp_path.iterdir())) == 2


def _full_disk(*arguments: object, **options: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_fingerprint_is_of_all_that_logits_depend_on(detector: Detector, folds: list[RunFolder]) -> None:
    prints = [
        detector.fingerprint,
        Detector.load(folds[0].path).fingerprint,
        Detector.load(folds[0].path.parent).fingerprint,
        otherwise_prepared(detector, interpolation="bicubic").fingerprint,
    ]
    assert len(set(prints)) == 4
    assert detector.with_calibration(BAND).fingerprint == detector.fingerprint


# Folds


def test_folds_are_an_ensemble_of_their_networks(folds: list[RunFolder], tmp_path: Path) -> None:
    images = pixels(5)
    ensemble = Detector.load(tmp_path / "folds", precision="32-true")
    single = [Detector.load(job.path, precision="32-true").engine.logits(images) for job in folds]
    assert not np.allclose(single[0], single[1])
    np.testing.assert_allclose(ensemble.engine.logits(images), (single[0] + single[1]) / 2, rtol=1e-5, atol=1e-6)
    assert list(ensemble.description.training["networks"]) == ["0", "1"]  # by fold, not by job
    engine = require_torch(ensemble.engine, "This test")
    second = replace(engine, networks=engine.networks[1:])
    np.testing.assert_allclose(second.logits(images), single[0], rtol=1e-5, atol=1e-6)
    ensemble.save(tmp_path / "saved")
    again = Detector.load(tmp_path / "saved", precision="32-true")
    assert np.array_equal(again.engine.logits(images), ensemble.engine.logits(images))


def test_a_fold_without_result_is_left_out(folds: list[RunFolder], tmp_path: Path) -> None:
    folds[0].metrics_file.unlink()
    assert Detector.load(tmp_path / "folds").fingerprint == Detector.load(folds[1].path).fingerprint
    (folds[1].path / "error.txt").write_text("RuntimeError: lightning struck")
    with pytest.raises(NotADetector, match="without a finished job"):
        Detector.load(tmp_path / "folds")


def test_jobs_that_differ_in_more_than_the_fold_are_no_detector(folds: list[RunFolder], tmp_path: Path) -> None:
    overrides = folds[0].path / ".hydra" / "overrides.yaml"
    overrides.write_text(yaml.safe_dump(["data.fold=1", "optimizer.lr=0.5"]))
    with pytest.raises(NotADetector, match=r"differ in optimizer\.lr .*; only the folds"):
        Detector.load(tmp_path / "folds")
    overrides.write_text(yaml.safe_dump(["data.fold=0"]))
    config = folds[0].read_config()
    config["data"]["fold"] = 0
    folds[0].write_config(config)
    with pytest.raises(NotADetector, match="several jobs of one fold"):
        Detector.load(tmp_path / "folds")


# Refusals


class Payload:
    """What a malicious file unpickles to: a command that leaves a trace."""

    def __init__(self, trace: Path) -> None:  # noqa: D107
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_checkpoint_that_carries_code_is_refused_and_nothing_runs(
    save: Callable[[object, Path], object], tiny_run: RunFolder, tmp_path: Path
) -> None:
    content = torch.load(tiny_run.best_checkpoint, weights_only=True) | {"hyper_parameters": Payload(tmp_path / "ran")}
    save(content, tmp_path / "kind.ckpt")
    with pytest.raises(NotADetector, match=r"was not opened: it asks to run posix\.system|damaged or no checkpoint"):
        Detector.load(tmp_path / "kind.ckpt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist: expected a run folder"),
        (lambda path: path.mkdir(), "holds no detector: expected a run folder"),
        (lambda path: path.write_text("weights, honestly"), "damaged or no checkpoint"),
        (lambda path: path.write_bytes(b""), "damaged or no checkpoint"),
        (lambda path: torch.save(nn.Linear(2, 2).state_dict(), path), "does not say which network"),
        (lambda path: torch.save([1, 2], path), "does not say which network"),
        (lambda path: torch.save({"state_dict": {}, "epoch": 3, "hyper_parameters": {}}, path), "does not say which"),
    ],
)
def test_what_holds_no_detector_is_refused(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    make(tmp_path / "thing")
    with pytest.raises(NotADetector, match=message):
        Detector.load(tmp_path / "thing")


def test_a_truncated_checkpoint_is_refused(tiny_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "half.ckpt").write_bytes(tiny_run.best_checkpoint.read_bytes()[:50_000])
    with pytest.raises(NotADetector, match="damaged or no checkpoint"):
        Detector.load(tmp_path / "half.ckpt")


def test_a_run_that_ended_too_early_is_refused(tiny_run: RunFolder, tmp_path: Path) -> None:
    run = copied(tiny_run, tmp_path / "run", lambda config: None, [])
    run.best_checkpoint.unlink()
    with pytest.raises(NotADetector, match=r"without checkpoints.best\.ckpt: it ended before"):
        Detector.load(run.path)


BROKEN = (b"", b"a: [1, {", b"{", b"name: x\n", b"\xff\xfe\x00", b"5")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("config.yaml", content) for content in BROKEN),
        *(("metrics.json", content) for content in BROKEN),
        ("manifest.csv", b""),
        ("manifest.csv", b"path,label\na.png,0\n"),
        (
            "manifest.csv",
            b"path,label,source,sha256,dhash,group,width,height,format,bytes,split,problem\n" + b"x," * 12,
        ),
    ],
)
def test_a_run_with_a_damaged_file_is_one_sentence(
    file: str, content: bytes, detector: Detector, tiny_run: RunFolder, tmp_path: Path
) -> None:
    run = copied(tiny_run, tmp_path / "run", lambda config: None, [])
    (run.path / file).write_bytes(content)
    with pytest.raises(UserError) as caught:
        Detector.load(run.path)
    assert str(caught.value).startswith(str(run.path))
    assert "\n" not in str(caught.value)
    assert Detector.load(run.best_checkpoint).preprocessing == detector.preprocessing  # as the message advises


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"name": "rexnet_100", "width": 0.5}}, "do not fit together"),
        ({"model": {"name": "alexnet"}}, "do not fit together"),
        ({"model": {"wings": 2}}, "do not fit together"),
        ({"model": "rexnet_100"}, "model must be an object"),
        ({"preprocessing": {"image_size": 32}}, "preprocessing has missing or unknown entries"),
        ({"preprocessing": "as usual"}, "preprocessing must be an object"),
    ],
)
def test_a_checkpoint_with_impossible_settings_is_refused(
    settings: dict[str, Any], message: str, tiny_run: RunFolder, tmp_path: Path
) -> None:
    content = torch.load(tiny_run.best_checkpoint, weights_only=True)
    content["hyper_parameters"] |= settings
    torch.save(content, tmp_path / "strange.ckpt")
    with pytest.raises(NotADetector, match=message):
        Detector.load(tmp_path / "strange.ckpt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["cat", "dog"]}, r"for the labels \['cat', 'dog'\]; expected \['real', 'ai'\]"),
        ({"version": 2}, "is of version 2; this program reads version 1"),
        ({"architecture": None}, "architecture must be an object"),
        ({"calibration": {"temperature": 1}}, "not a stored calibration: missing"),
        ({"calibration": UNCALIBRATED.plain() | {"temperature": 0}}, "temperature must be positive"),
        ({"fingerprint": "0" * 64}, "do not belong together"),
    ],
)
def test_a_saved_detector_that_cannot_be_used_is_refused(
    change: dict[str, Any], message: str, detector: Detector, tmp_path: Path
) -> None:
    detector.save(tmp_path)
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(NotADetector, match=message):
        Detector.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 10**6},
        {"image_size": "32"},
        {"resize": "stretch"},
        {"interpolation": "lanczos"},
        {"std": [1, 0, 1]},
        {"mean": [0.5]},
    ],
)
def test_impossible_preprocessing_is_refused(change: dict[str, Any], detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path)
    file = tmp_path / "detector.json"
    plain = json.loads(file.read_text())
    plain["preprocessing"] |= change
    file.write_text(json.dumps(plain))
    with pytest.raises(NotADetector, match="impossible preprocessing"):
        Detector.load(tmp_path)


def test_damaged_files_of_a_saved_detector_are_refused(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path)
    weights, file = tmp_path / "model.safetensors", tmp_path / "detector.json"
    with pytest.raises(NotADetector, match=r"only one of the files of a saved detector: give its folder"):
        Detector.load(weights)
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(NotADetector, match="missing or damaged"):
        Detector.load(tmp_path)
    weights.unlink()
    with pytest.raises(NotADetector, match="its weights are missing"):
        Detector.load(tmp_path)
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # one bit of one weight
    with pytest.raises(NotADetector, match="do not belong together"):
        Detector.load(tmp_path)
    file.write_text(file.read_text()[:100])
    with pytest.raises(NotADetector, match=r"detector\.json is missing or damaged"):
        Detector.load(tmp_path)


@pytest.mark.parametrize("options", [{"device": "abacus"}, {"device": "cuda:99"}, {"precision": "64-true"}])
def test_impossible_devices_and_precisions_are_named(options: dict[str, str], tiny_run: RunFolder) -> None:
    with pytest.raises(UserError, match="|".join(options.values())):
        Detector.load(tiny_run.path, **options)


# Verdicts


def test_bad_images_are_verdicts_in_their_place(detector: Detector, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "half.png").write_bytes(images[0].read_bytes()[:200])
    bad = {
        str(tmp_path / "empty.png"): "empty file",
        str(tmp_path / "text.jpg"): "not an image",
        str(tmp_path / "half.png"): "truncated PNG",
        str(tmp_path / "absent.png"): "no such file",
        str(tmp_path / "zero\0byte.png"): "cannot be prepared: ValueError: embedded null byte",
        "": "a folder",
    }
    mixed = [item for pair in zip(map(str, images), bad, strict=False) for item in pair]
    found = list(detector.predict(mixed, batch_size=4))
    assert [verdict.path for verdict in found] == mixed
    assert {verdict.path: verdict.error for verdict in found if verdict.error} == bad
    assert {(v.probability, v.label, v.logit) for v in found if v.error} == {(None, None, None)}
    alone = {verdict.path: verdict.logit for verdict in detector.predict(images)}
    good = [verdict for verdict in found if not verdict.error]
    assert [verdict.logit for verdict in good] == pytest.approx([alone[verdict.path] for verdict in good], abs=1e-5)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (5, 3), (12, 1), (64, 4)])
def test_batches_and_threads_change_nothing(
    batch_size: int, workers: int, detector: Detector, images: list[Path]
) -> None:
    found = list(detector.predict(iter(images), batch_size, workers))
    assert [verdict.path for verdict in found] == list(map(str, images))
    with torch.inference_mode():
        for verdict, path in zip(found, images, strict=True):
            image = evaluation_transform(detector.preprocessing)(Image.open(path).convert("RGB"))
            logits = networks_of(detector)[0](image[None])[0]
            assert verdict.logit == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)


def test_prediction_is_lazy_and_bounded(detector: Detector, images: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        for path in itertools.cycle(images):
            taken += 1
            yield path

    stream = detector.predict(endless(), batch_size=4)
    assert taken == 0
    for number, _ in enumerate(itertools.islice(stream, 60), start=1):
        assert taken <= number + 3 * 4
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("image")]


def test_the_operating_point_decides(detector: Detector, images: list[Path]) -> None:
    logits = [2.9, 1.0, 0.0, -1.0, -8.0, float("nan"), float("inf")]
    found = verdicts([f"{logit}" for logit in logits], logits, BAND)
    assert [verdict.label for verdict in found] == ["ai", "unsure", "unsure", "real", "real", None, None]
    probabilities = [verdict.probability for verdict in found[:5]]
    assert probabilities == pytest.approx(expit(np.array(logits[:5]) / 2).tolist())
    assert [verdict.error for verdict in found[5:]] == [
        f"the network answers {each} instead of a finite logit: its weights are damaged" for each in ("nan", "inf")
    ]
    [plain] = detector.predict(images[0])
    [banded] = detector.with_calibration(_unsure_about_all()).predict(str(images[0]))
    assert (plain.label, banded.label) == ("ai" if plain.logit and plain.logit >= 0 else "real", "unsure")
    assert banded.logit == plain.logit


def _unsure_about_all() -> Calibration:
    return replace(UNCALIBRATED, unsure_low=0.0, unsure_high=1.0)


def test_impossible_batches_are_named(detector: Detector) -> None:
    with pytest.raises(ValueError, match="batch_size=0, workers=2: expected at least 1"):
        detector.predict([], batch_size=0)
    assert list(detector.predict([])) == []


# Files


def test_folders_are_walked_in_order_and_links_once(images: list[Path], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("b/inner/2.png", "b/1.png", "a.png", ".hidden.png", "c/line\nbreak.png", b"d/\xff.png"):
        path = Path(os.fsdecode(os.fsencode(tree) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images[0], path)
    (tree / "empty").mkdir()
    (tree / "e").symlink_to(tree / "b", target_is_directory=True)
    (tree / "b" / "up").symlink_to(tree, target_is_directory=True)
    (tree / "self").symlink_to(tree / "self")
    found = [os.path.relpath(file.path, tree) for file in image_files([tree, tree / "a.png"])]
    expected = [
        ".hidden.png",
        "a.png",
        "b/1.png",
        "b/inner/2.png",
        "c/line\nbreak.png",
        "d/\udcff.png",
        "self",
        "a.png",
    ]
    assert found == expected
    assert [file.path for file in image_files("nowhere.png")] == ["nowhere.png"]


def test_folders_deeper_than_calls_can_be_are_walked(tmp_path: Path) -> None:
    levels = 150
    deepest = tmp_path.joinpath(*["d"] * levels)
    deepest.mkdir(parents=True)
    (deepest / "deep.png").touch()
    calls = sys.getrecursionlimit()
    sys.setrecursionlimit(len(traceback.extract_stack()) + levels // 2)
    try:
        found = list(image_files(tmp_path))
    finally:
        sys.setrecursionlimit(calls)
    assert [file.path for file in found] == [str(deepest / "deep.png")]


def test_a_folder_that_cannot_be_opened_is_told(
    detector: Detector, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = images[0].parent / "05b"
    locked.mkdir()
    listdir = os.listdir

    def refusing(path: str) -> list[str]:
        if path == str(locked):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refusing)
    found = list(detector.predict(images[0].parent))
    assert len(found) == 13
    assert found[6] == Verdict(str(locked), None, None, "cannot be opened: permission denied")


def test_work_ahead_is_bounded_in_order_and_raises_in_its_place() -> None:
    begun: list[int] = []

    def slow_square(number: int) -> int:
        begun.append(number)
        if number == 30:
            raise ValueError("thirty")
        return number**2

    stream = made_ahead(slow_square, itertools.count(), workers=3, ahead=5)
    for expected in range(30):
        assert next(stream) == (expected, expected**2)
        assert max(begun) < expected + 6
    with pytest.raises(ValueError, match="thirty"):
        next(stream)


def test_the_package_is_imported_at_once() -> None:
    program = "import sys, rexnet_ai_real; assert not {'torch', 'numpy', 'PIL'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Detektor'"):
        __import__("rexnet_ai_real").Detektor  # noqa: B018


def test_real_images_of_every_kind_are_answered(detector: Detector, shared_data: Path) -> None:
    found = list(detector.predict(shared_data / "kaggle-raw"))
    assert len(found) == len([path for path in (shared_data / "kaggle-raw").rglob("*") if path.is_file()])
    assert [verdict for verdict in found if verdict.error] == []
