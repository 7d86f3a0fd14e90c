"""Detectors of other programs: functions and timm's networks beside what they say when they are asked directly."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image, ImageStat
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from timm.data import config as of_timm
from timm.data.transforms_factory import create_transform

from rexnet_ai_real.config import EvaluateConfig
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.corruptions import CORRUPTIONS
from rexnet_ai_real.evaluate.prediction import predicted_logits
from rexnet_ai_real.evaluate.report.write import write_report
from rexnet_ai_real.evaluate.rivals.rival import is_rival, open_rival
from rexnet_ai_real.evaluate.subject import read_collection
from rexnet_ai_real.files import write_text
from rexnet_ai_real.images.decode import decode
from rexnet_ai_real.runs.folder import RunFolder

NETWORK = "mobilenetv3_small_050"
FUNCTIONS = """
from pathlib import Path
from PIL import Image, ImageStat

def light(path):
    with open("asked.txt", "a") as file:
        file.write(path + "\\n")
    with Image.open(path) as image:
        return ImageStat.Stat(image.convert("L")).mean[0] / 255

def fails(path):
    raise RuntimeError("no weights")

def logit(path):
    return 2.5

def nothing(path):
    return float("nan")

built = eval("lambda path: 0.5")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with functions, under a name of its own: modules are imported once in a process."""
    name = f"judges_{abs(hash(tmp_path))}"
    write_text(tmp_path / f"{name}.py", FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path / f"{name}.py"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Forty images of grey noise; those called AI are lighter in most cases."""
    random, root = np.random.default_rng(0), tmp_path / "images"
    for number in range(40):
        folder = root / ("ai" if number % 2 else "real")
        folder.mkdir(parents=True, exist_ok=True)
        low = int(random.integers(0, 120)) + 40 * (number % 2)
        pixels = random.integers(low, low + 80, (40, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return root


def settings(name: str, images: Path, folder: Path, **changes: Any) -> EvaluateConfig:
    data = replace(EvaluateConfig().data, name="folder", root=str(images), workers=1)
    chosen = EvaluateConfig(run=name, output_dir=str(folder), data=data, sections=["metrics"], resamples=30, sample=6)
    return replace(chosen, **changes)


def light(file: Path) -> float:
    return float(np.asarray(Image.open(file).convert("L")).mean() / 255)


def test_names_of_rivals_are_no_paths() -> None:
    assert is_rival("timm:resnet18@a.pth")
    assert is_rival("python:module:function")
    assert not any(map(is_rival, ["timm", "outputs/run", "OWNER/NAME@v1", "C:\\runs\\1", "other:module"]))


def test_a_function_is_measured_like_any_detector(here: Path, images: Path, tmp_path: Path) -> None:
    chosen = settings(f"python:{here.stem}:light", images, tmp_path / "report", sections=["metrics", "explanations"])
    assert write_report(chosen) == []
    table = pd.read_csv(tmp_path / "report" / "predictions.csv")
    expected = [light(images / path) for path in table["path"]]
    np.testing.assert_allclose(table["probability"], expected, atol=1e-6)
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())["images"]
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(table["label"], expected))
    words = (tmp_path / "report" / "report.md").read_text()
    assert "no heat maps" in words
    assert "Evaluated | a rival: python:" in words


def test_answers_are_kept_by_the_source_of_the_function(here: Path, images: Path, tmp_path: Path) -> None:
    chosen = settings(f"python:{here.stem}:light", images, tmp_path / "report")
    for _ in range(2):
        write_report(chosen)
    asked = (tmp_path / "asked.txt").read_text().split()
    assert sorted(asked) == sorted(str(path) for path in images.glob("*/*"))
    first, unknown = (open_rival(f"python:{here.stem}:{name}") for name in ("light", "built"))
    write_text(here, FUNCTIONS + "\n# changed\n")
    assert open_rival(f"python:{here.stem}:light").fingerprint != first.fingerprint
    assert vars(unknown.engine)["source"] is None


def test_corrupted_images_come_as_files_without_loss(here: Path, images: Path, tmp_path: Path) -> None:
    data = settings("", images, tmp_path).data
    part = read_collection(data, "images").drawn(6)
    detector = open_rival(f"python:{here.stem}:light")
    chosen: dict[str, Any] = {"cache": tmp_path / "cache", "settings": data, "title": "Corrupted"}
    found = predicted_logits(part, lambda _: detector, corruptions=CORRUPTIONS[:20], **chosen)
    expected = [
        [
            ImageStat.Stat(corrupt(decode(each.path), each.sha256).convert("L")).mean[0] / 255
            for corrupt in CORRUPTIONS[:20]
        ]
        for each in part.images()
    ]
    np.testing.assert_allclose(found, np.log(expected) - np.log1p(-np.array(expected)), atol=1e-9)
    asked = (tmp_path / "asked.txt").read_text().split()
    assert len(asked) == 6 * 20
    assert not any(Path(path).exists() for path in asked)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("fails", r"fails failed on .*\d\d\.png \(RuntimeError: no weights\): it must take the path of an image"),
        ("logit", r"logit returned 2.5 for .*\d\d\.png: expected the probability"),
        ("nothing", r"nothing returned nan for .*\d\d\.png"),
        ("missing", "has no function missing"),
        ("Path:home", "expected python:MODULE:FUNCTION"),
    ],
)
def test_a_bad_function_is_named_with_the_image(
    function: str, words: str, here: Path, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        write_report(settings(f"python:{here.stem}:{function}", images, tmp_path / "report"))


def test_a_module_that_is_not_there_is_named(here: Path) -> None:
    with pytest.raises(UserError, match="no_such_module_of_mine cannot be imported"):
        open_rival("python:no_such_module_of_mine:light")
    write_text(here.parent / f"broken_{here.stem}.py", "1 / 0")
    with pytest.raises(UserError, match="ZeroDivisionError"):
        open_rival(f"python:broken_{here.stem}:light")


def test_certainty_has_finite_log_odds(here: Path) -> None:
    engine = open_rival(f"python:{here.stem}:light").engine
    black_and_white = np.stack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)])
    np.testing.assert_allclose(engine.logits(black_and_white), [math.log(1e-6), -math.log(1e-6)], rtol=1e-5)


def test_a_rival_needs_images_and_a_place_for_the_report(here: Path, images: Path, tmp_path: Path) -> None:
    chosen = settings(f"python:{here.stem}:light", images, tmp_path / "report")
    with pytest.raises(UserError, match=r"no images of its own; name some: data=folder .* run=RUN against=python:"):
        write_report(replace(chosen, data=EvaluateConfig().data))
    with pytest.raises(UserError, match="say where the report goes with output_dir=PATH"):
        write_report(replace(chosen, output_dir=None))


@pytest.mark.parametrize("kind", ["timm", "python"])
def test_a_run_is_compared_with_a_rival_on_its_own_images(
    kind: str, here: Path, tiny_run: RunFolder, tmp_path: Path
) -> None:
    rival = f"python:{here.stem}:light" if kind == "python" else f"timm:{NETWORK}@{weights(tmp_path, 2)}"
    chosen = settings(
        str(tiny_run.path), tmp_path, tmp_path / "report", against=rival, sections=["metrics", "comparison"]
    )
    assert write_report(replace(chosen, data=EvaluateConfig().data)) == []
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    rows = pd.read_csv(tiny_run.predictions_file).query("split == 'test'")
    detector, root = open_rival(rival), Path(tiny_run.read_config()["data"]["root"])
    if kind == "python":
        scores = [light(root / path) for path in rows["path"]]
    else:
        pixels = [detector.preprocessing.to_array(decode(root / path)) for path in rows["path"]]
        scores = detector.engine.logits(np.stack(pixels)).tolist()
    b = found["comparison"]["auroc"]["b"]["value"]
    assert b == pytest.approx(roc_auc_score(rows["label"], scores))
    assert found["comparison"]["against"] == rival
    assert found["comparison"]["auroc"]["a"]["value"] == found["test"]["auroc"]["value"]
    assert (
        "Whether B was trained on some of these images is not known" in (tmp_path / "report" / "report.md").read_text()
    )


def weights(folder: Path, classes: int) -> Path:
    """A network of timm's with random weights, whose batch norm has seen something."""
    torch.manual_seed(0)
    network: Any = timm.create_model(NETWORK, num_classes=classes)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(cast(torch.Tensor, module.running_var), 0.5, 2)
    save_file(network.state_dict(), folder / f"{classes}.safetensors")
    return folder / f"{classes}.safetensors"


def outputs(file: Path, classes: int, image: Image.Image, **changes: Any) -> torch.Tensor:
    """What timm itself makes of an image, (classes,)."""
    network: Any = timm.create_model(NETWORK, num_classes=classes, checkpoint_path=str(file)).eval()
    resolve: Any = of_timm.resolve_data_config
    config = resolve({}, pretrained_cfg=network.pretrained_cfg | changes)
    with torch.inference_mode():
        answer: torch.Tensor = network(create_transform(**config)(image)[None])[0]
    return answer


@pytest.fixture
def picture() -> Image.Image:
    coarse = np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


def judged(name: str, image: Image.Image) -> float:
    detector = open_rival(name)
    return float(detector.engine.logits(detector.preprocessing.to_array(image)[None])[0])


@pytest.mark.parametrize(("classes", "output"), [(2, ""), (2, ":0"), (1, "")])
def test_timms_network_answers_as_in_timm(classes: int, output: str, picture: Image.Image, tmp_path: Path) -> None:
    file = weights(tmp_path, classes)
    answer = outputs(file, classes, picture)
    expected = float(answer[1] - answer[0] if classes == 2 else answer[0])
    expected *= -1 if output == ":0" else 1
    assert abs(expected) > 0.01
    assert judged(f"timm:{NETWORK}{output}@{file}", picture) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("names", "sign"), [(None, 1), (["Fake", "Real"], -1)])
def test_a_folder_in_timms_form_says_how_images_are_prepared_and_what_means_ai(
    names: list[str] | None, sign: int, picture: Image.Image, tmp_path: Path
) -> None:
    own = {"input_size": [3, 96, 96], "mean": [0.4, 0.5, 0.6], "std": [0.5, 0.5, 0.5], "crop_pct": 0.75}
    weights(tmp_path, 2).rename(tmp_path / "model.safetensors")
    config = {"architecture": NETWORK, "num_classes": 2, "label_names": names, "pretrained_cfg": own}
    write_text(tmp_path / "config.json", json.dumps(config))
    answer = outputs(tmp_path / "model.safetensors", 2, picture, **own)
    expected = sign * float(answer[1] - answer[0])
    assert judged(f"timm:{NETWORK}@{tmp_path}", picture) == pytest.approx(expected, abs=1e-4)


def test_weights_for_other_classes_are_to_be_fine_tuned_first(tmp_path: Path) -> None:
    file = weights(tmp_path, 10)
    with pytest.raises(UserError) as error:
        open_rival(f"timm:{NETWORK}@{file}")
    assert "a last layer for 10 classes" in str(error.value)
    assert f"train model=timm model.name={NETWORK} model.weights={file}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet18", "expected timm:NETWORK@WEIGHTS"),
        ("resnet18:2@a.pth", "expected timm:NETWORK@WEIGHTS"),
        ("resnet18@missing.pth", "no weights at missing.pth"),
        ("resnet18@FOLDER", "does not hold both config.json and model.safetensors"),
        ("resnet1818@FILE", "resnet1818.*resnet18"),
    ],
)
def test_a_name_without_a_network_says_what_is_expected(name: str, words: str, tmp_path: Path) -> None:
    name = name.replace("FOLDER", str(tmp_path)).replace("FILE", str(weights(tmp_path, 2)))
    with pytest.raises(UserError, match=words):
        open_rival(f"timm:{name}")


@pytest.mark.parametrize(
    "config", ["{", "[]", '{"pretrained_cfg": {"input_size": [3, 9000, 9000]}}', '{"model_args": {"width": 2}}']
)
def test_a_strange_config_is_refused(config: str, tmp_path: Path) -> None:
    weights(tmp_path, 2).rename(tmp_path / "model.safetensors")
    write_text(tmp_path / "config.json", config)
    with pytest.raises(UserError, match=r"config\.json|cannot be made"):
        open_rival(f"timm:{NETWORK}@{tmp_path}")


def test_a_function_is_told_what_redelivery_costs_and_may_import_when_it_is_called(
    here: Path, images: Path, tmp_path: Path
) -> None:
    write_text(here.parent / f"late_{here.stem}.py", "value = 0.5")
    write_text(here, f"{FUNCTIONS}\ndef late(path):\n    import late_{here.stem} as late\n    return late.value\n")
    chosen = settings(f"python:{here.stem}:late", images, tmp_path / "report", sections=["metrics", "abstention"])
    assert write_report(chosen) == []
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())["abstention"]
    assert list(found) == ["redelivery"]
    assert (found["redelivery"]["n"], found["redelivery"]["left_out"]) == (6, 0)
