"""The detector that comes with the program: how it is made, that it is found, and what people are told of it first."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir

from rexnet_ai_real import Detector
from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.data.synthetic import make_images
from rexnet_ai_real.detector import ready
from rexnet_ai_real.detector.arguments import model_and_images
from rexnet_ai_real.detector.description import UNCALIBRATED, read_description, write_description
from rexnet_ai_real.detector.storage import read_detector
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.evaluate.__main__ import run as evaluate
from rexnet_ai_real.explain.__main__ import main as explain
from rexnet_ai_real.export import release as release_module
from rexnet_ai_real.export.__main__ import main as export
from rexnet_ai_real.export.release import released
from rexnet_ai_real.export.request import Release
from rexnet_ai_real.export.source import ExportSource
from rexnet_ai_real.predict.__main__ import main as predict
from rexnet_ai_real.runs.folder import RunFolder
from rexnet_ai_real.runs.identify import NotADetector

CHECKOUT = Path(__file__).resolve().parents[1]
BAND = replace(UNCALIBRATED, threshold=0.4, unsure_low=0.2, unsure_high=0.6, error_target=0.1, confidence=0.9, n_real=9)


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def group(auroc: float) -> dict[str, Any]:
    rates = {name: estimate(0.5) for name in ("accuracy_at_threshold", "tpr", "fpr")}
    return {"n_real": 5, "n_ai": 5, "auroc": estimate(auroc), **rates}


REPORT: dict[str, Any] = {
    "out_of_fold": {
        **{"n": 60, "n_real": 30, "n_ai": 30, "accuracy_at_threshold": estimate(0.75), "auroc": estimate(0.8)},
        **{"accuracy": estimate(0.7), "f1": estimate(0.7)},
        "collections": {"one": group(0.9), "wild/two": group(0.6)},
        "false_alarms": {"one / phone": {"n": 40, "fpr": estimate(0.3)}},
    },
    "delivery": {
        "n": 20,
        "tiers": {
            name: {rate: estimate(0.5) for rate in ("accuracy", "tpr", "fpr", "auroc")}
            for name in ("clean", "web", "messenger")
        },
    },
}


def split_into_collections(run: RunFolder) -> None:
    """The manifest of a run, as if its images came from two collections."""
    manifest = pd.read_csv(run.manifest_file, keep_default_na=False, dtype=str)
    manifest["collection"] = ["one" if number % 2 else "wild/two" for number in range(len(manifest))]
    manifest["source"] = ["sd" if label == "1" else "phone" for label in manifest["label"]]
    manifest.to_csv(run.manifest_file, index=False)


@pytest.fixture(scope="module")
def trained(tiny_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on two collections."""
    run = RunFolder(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("trained") / "run"))
    split_into_collections(run)
    (run.path / ".hydra").mkdir(exist_ok=True)
    (run.path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(["+experiment=general", "data.root=/home/me"]))
    return run


@pytest.fixture
def left_out(tiny_run: RunFolder, tmp_path: Path) -> Path:
    """An evaluated multirun that left each collection out once."""
    return evaluated_multirun(tiny_run, tmp_path / "left_out")


def evaluated_multirun(tiny_run: RunFolder, folder: Path) -> Path:
    for fold in (0, 1):
        job = RunFolder(shutil.copytree(tiny_run.path, folder / str(fold)))
        config = job.read_config()
        config["data"] |= {"fold": fold, "folds": 2, "split_by": "collection"}
        job.write_config(config)
        (job.path / ".hydra").mkdir(exist_ok=True)
        (job.path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([f"data.fold={fold}"]))
    description = replace(read_detector(folder).description, calibration=BAND)
    write_description(folder / "report" / "detector", description)
    (folder / "report" / "metrics.json").write_text(json.dumps(REPORT))
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the two collections come from."""
    file = tmp_path_factory.mktemp("table") / "collections.csv"
    lines = ("collection,repository,commit,licence,trust", "one,here/one,abc,MIT,high", "two,there/two,def,none,medium")
    file.write_text("\n".join(lines) + "\n")
    return file


def release(trained: RunFolder, left_out: Path, table: Path, out: Path, *more: str) -> int:
    named = ["--release", "general", "1.0", "--left-out", str(left_out), "--collections", str(table)]
    return export([str(trained.path), str(out), "--count", "16", "--formats", "onnx", *named, *more])


@pytest.fixture(scope="module")
def made(trained: RunFolder, tiny_run: RunFolder, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released detector; for reading only."""
    folder = tmp_path_factory.mktemp("made")
    multirun = evaluated_multirun(tiny_run, folder / "left_out")
    assert release(trained, multirun, table, folder / "ready") == 0
    return folder / "ready"


@pytest.fixture
def packaged(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as the one that comes with the program."""
    monkeypatch.setattr(ready, "FOLDER", made)
    return made


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that the project has generated."""
    return make_images(tmp_path_factory.mktemp("images") / "synthetic", count=4, size=96) / "ai" / "00000.png"


# How it is made


def test_it_is_named_and_calibrated_on_what_was_left_out(made: Path, trained: RunFolder) -> None:
    found = read_description(made)
    assert (found.training["name"], found.training["version"]) == ("general", "1.0")
    assert found.calibration == replace(BAND, notes=found.calibration.notes)
    assert found.fingerprint == Detector.load(trained.path).fingerprint
    assert found.training["settings"] == ["+experiment=general", "data.root=PATH"]
    with trained.manifest_file.open(newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["split"] in ("train", "val")]
    for name in ("one", "wild/two"):
        here = [row for row in rows if row["collection"] == name]
        facts = found.training["collections"][name]
        hashes = "\n".join(sorted(row["sha256"] for row in here))
        assert facts["sha256"] == hashlib.sha256(hashes.encode()).hexdigest()
        assert (facts["ai"], facts["real"]) == tuple(sum(row["label"] == label for row in here) for label in "10")
        assert facts["generators"] == ["sd"]
    assert found.training["collections"]["wild/two"]["licence"] == "none"


def test_its_card_tells_what_it_learned_from_and_where_it_fails(made: Path) -> None:
    card = (made / "README.md").read_text()
    assert "# general 1.0: AI-generated or real?" in card
    for words in (
        "| one | ",
        "| here/one | abc | MIT | high | ",
        "and for 1 of these collections none is stated or recorded: wild/two.",
        "For research use",
        "of collections that were left out",
        "| Accuracy | 0.700 [0.600, 0.800] |",
        "one / phone 0.300 [0.200, 0.400] (n = 40)",
        "long side ≤ 512 px, JPEG 40",
        "Settings: +experiment=general, data.root=PATH",
    ):
        assert words in card, words
    assert card.index("| wild/two | 5 + 5 | 0.600") < card.index("| one | 5 + 5 | 0.900")  # the worst first
    assert "/home" not in card + (made / "detector.json").read_text()


def test_what_it_is_worth_is_that_of_collections_left_out(made: Path) -> None:
    worth = Worth.of(read_description(made), made)
    assert worth.name == "general 1.0, trained on 2 collections"
    assert "about 1 in 4 images of collections left out of its training (15 of 60 that" in worth.sentences[1]
    many = {f"c{number}": 0.5 + number / 20 for number in range(9)}
    said = replace(worth, elsewhere=many).sentences[2]
    assert "AUROC 0.70 in the mean of 9 collections, 0.50 on c0, the worst (0.5" in said


def lost(file: str) -> Callable[[Path, Path], None]:
    return lambda folder, table: (folder / file).unlink()


def another_split(folder: Path, table: Path) -> None:
    job = RunFolder(folder / "0")
    config = job.read_config()
    config["data"]["split_by"] = "group"
    job.write_config(config)


def another_collection(folder: Path, table: Path) -> None:
    groups = {**REPORT["out_of_fold"]["collections"], "three": group(0.5)}
    report = REPORT | {"out_of_fold": REPORT["out_of_fold"] | {"collections": groups}}
    (folder / "report" / "metrics.json").write_text(json.dumps(report))


def another_setting(folder: Path, table: Path) -> None:
    for job in map(RunFolder, (folder / "0", folder / "1")):
        config = job.read_config()
        config["optimizer"]["lr"], config["seed"] = 0.5, 77
        job.write_config(config)


def a_fold_less(folder: Path, table: Path) -> None:
    (folder / "1" / "metrics.json").unlink()


def a_short_table(folder: Path, table: Path) -> None:
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lost("report/metrics.json"), "has no report with figures by collection: python -m rexnet_ai_real"),
        (another_split, "is no multirun of folds with data.split_by=collection"),
        (another_collection, "were not trained on the same collections: three is in one of them only"),
        (another_setting, r"were trained with other settings \(optimizer.lr \S+ and 0.5\)"),
        (a_fold_less, "fold 1 of 2 is not finished"),
        (a_short_table, "does not say where wild/two come from"),
        (lambda folder, table: table.write_text("a,b\n1,2\n"), "cannot be read as a table with collection, repository"),
    ],
)
def test_what_does_not_belong_together_is_not_released(
    change: Callable[[Path, Path], None],
    message: str,
    trained: RunFolder,
    left_out: Path,
    table: Path,
    tmp_path: Path,
) -> None:
    own = Path(shutil.copy(table, tmp_path))
    change(left_out, own)
    with pytest.raises(UserError, match=message):
        released(ExportSource.open(trained.path), Release("general", "1.0", left_out, own))


def test_a_release_is_of_one_run_and_needs_all_three(
    trained: RunFolder, left_out: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export([str(trained.path), str(tmp_path / "out"), "--release", "general", "1.0"]) == 2
    assert "--release, --left-out and --collections belong together" in capsys.readouterr().err
    assert release(RunFolder(left_out), left_out, table, tmp_path / "out") == 2
    assert "--release takes the folder of one run" in capsys.readouterr().err


# That it is found


def test_it_answers_where_none_is_named(packaged: Path, image: Path) -> None:
    named, unnamed = Detector.load("ready"), Detector.load()
    assert (named.origin, unnamed.origin) == ("ready", "ready")
    assert unnamed.fingerprint == read_description(packaged).fingerprint
    (verdict,) = unnamed.predict(image)
    assert verdict.error is None
    assert verdict.probability == next(Detector.load(packaged).predict(image)).probability


def test_predict_says_first_which_detector_answers_and_what_it_is_worth(
    packaged: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([str(image)], ["ready", str(image)], [str(image.parent)]):
        assert predict([*arguments, "--format", "table"]) == 0
        said = capsys.readouterr()
        first, second = said.err.splitlines()[:2]
        assert first == "Detector: general 1.0, trained on 2 collections. It comes with this program."
        assert second.startswith("An answer is no proof. This detector was wrong on about 1 in 4 images")
        assert image.name in said.out
        assert "wrong on" not in said.out  # told once
    assert predict([str(packaged), "--format", "table", str(image)]) == 0  # options stand anywhere
    said = capsys.readouterr()
    assert (said.err, "wrong on" in said.out) == ("", True)


def test_it_explains_what_it_says(
    packaged: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain([str(image), "-o", str(tmp_path / "out"), "--no-sheet"]) == 0
    assert capsys.readouterr().err.startswith("Detector: general 1.0")
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == 1


def test_an_installation_without_one_says_what_to_do(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ready, "FOLDER", tmp_path)
    with pytest.raises(NotADetector, match=r"no detector is named, and none comes with this installation .*: name one"):
        Detector.load()
    assert predict([str(image)]) == 2
    assert "none comes with this installation" in capsys.readouterr().err


def test_it_is_not_written_into_nor_exported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ready, "FOLDER", tmp_path)
    (tmp_path / "detector.json").touch()
    assert export(["ready", str(tmp_path / "out")]) == 2
    assert "is exported already" in capsys.readouterr().err
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("evaluate", overrides=["run=ready"])
    with pytest.raises(SystemExit):
        evaluate(composed)
    assert "run=ready lies in the Hub's cache or in this program: say where" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["detector.json"]


def test_the_first_argument_is_a_detector_only_where_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(image, "a.png")
    Path("photos").mkdir()
    shutil.copy(image, "photos/b.png")
    Path("run").mkdir()
    Path("run/config.yaml").touch()
    Path("exported").mkdir()
    Path("exported/detector.json").touch()
    Path("sweep/0/.hydra").mkdir(parents=True)
    Path("sweep/0/.hydra/overrides.yaml").touch()
    Path("last.ckpt").touch()
    Path("checkpoint").write_bytes(b"PK\x03\x04...")
    for detector in ("run", "exported", "sweep", "last.ckpt", "checkpoint", "owner/name", "owner/name@v1", "gone.ckpt"):
        assert model_and_images([detector, "a.png"]) == (detector, ["a.png"]), detector
        there = (
            "is taken for the detector: give" if Path(detector).exists() else "does not exist here. If it is a detec"
        )
        with pytest.raises(UserError, match=f"{there}.*images after it"):
            model_and_images([detector])
    for images in (["a.png"], ["photos"], ["photos", "run"], ["-"], ["*.png"], ["a.png", "gone.png"]):
        assert model_and_images(images) == (None, images), images
    assert model_and_images(["ready", "a.png"]) == (None, ["a.png"])
    Path("ready").mkdir()
    assert model_and_images(["ready", "a.png"]) == (None, ["ready", "a.png"])  # a folder of that name
    for gone in ("gone", "gone.jpg", "gone/a.jpg", "gone/b.webp", "photos/gone"):
        with pytest.raises(UserError, match=f"{gone} does not exist: expected a run folder, .*, or images"):
            model_and_images([gone, "a.png"])


@pytest.mark.parametrize("trace", ["model.onnx", "openvino/model.xml", "checkpoints", "manifest.csv"])
def test_what_is_left_of_a_detector_is_no_folder_of_images(trace: str, tmp_path: Path) -> None:
    (tmp_path / trace).mkdir(parents=True)
    with pytest.raises(UserError, match=f"holds {trace}, but neither detector.json nor config.yaml"):
        model_and_images([str(tmp_path)])


def test_a_release_that_is_too_large_is_not_written(
    trained: RunFolder,
    left_out: Path,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(release_module, "MOST_BYTES", 1000)
    assert release(trained, left_out, table, tmp_path / "out") == 2
    assert "comes with this program at most 0 MB" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


# The one that ships


@pytest.fixture
def shipped() -> Path:
    """The folder in the package, where the checkout holds one."""
    if not (ready.FOLDER / "detector.json").is_file():
        pytest.skip(f"no detector in {ready.FOLDER}: make ready makes it")
    return ready.FOLDER


def test_the_shipped_one_is_small(shipped: Path) -> None:
    assert {file.name for file in shipped.iterdir()} == {"README.md", "detector.json", "model.int8.onnx", "parity.json"}
    assert sum(file.stat().st_size for file in shipped.iterdir()) <= 5_000_000


def test_the_card_of_the_shipped_one_names_every_collection(shipped: Path) -> None:
    collections = read_description(shipped).training["collections"]
    with (CHECKOUT / "docs" / "collections.csv").open(newline="") as opened:
        known = {row["collection"]: row for row in csv.DictReader(opened)}
    card = (shipped / "README.md").read_text()
    for name, facts in collections.items():
        origin = known[name.rpartition("/")[2]]
        assert (facts["repository"], facts["licence"]) == (origin["repository"], origin["licence"])
        assert f"| {name} | {facts['real']} + {facts['ai']} |" in card
    assert "For research use" in card


def test_the_shipped_one_judges_a_generated_image(shipped: Path, image: Path) -> None:
    (verdict,) = Detector.load().predict(image)
    assert verdict.error is None
    assert 0 <= (verdict.probability or -1) <= 1
