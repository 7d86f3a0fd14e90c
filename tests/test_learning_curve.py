"""Learning curves: nested subsets, the same steps for all, runs that are kept, the line and its page."""

import itertools
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.curve_fit import Curve
from benchmarks.learning_curve import length, main
from benchmarks.paired_rows import MEAN, Measured
from benchmarks.subsets import AXES, read_collections, subsets, write_list
from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.manifest import COLUMNS, write_manifest
from rexnet_ai_real.data.sources import listing
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.runs.folder import RunFolder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four collections to learn from, one of them of AI images alone, and two to judge by; the files are empty."""
    sizes = {"a/ai": 40, "a/real": 40, "b/ai/sd_1": 20, "b/ai/SD-1": 4, "b/real": 10, "c/ai/flux": 12, "d/real": 12}
    for folder, count in {**sizes, "e/ai": 20, "e/real": 20, "f/ai": 8}.items():
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / f"{number:02}.png").touch()
    return tmp_path


def pool(data: Path) -> pd.DataFrame:
    return read_collections([data / name for name in "abcd"])


def test_spellings_of_a_generator_are_one(data: Path) -> None:
    images = pool(data)
    assert set(images.loc[images["label"] == 1, "generator"]) == {"a", "sd1", "flux"}
    assert len(images) == 138
    assert all(Path(path).is_file() for path in images["path"])


@pytest.mark.parametrize("axis", AXES)
def test_subsets_grow_in_one_thing_alone(data: Path, axis: str) -> None:
    chosen = subsets(pool(data), axis, count=40, points=3)
    assert [subset.size for subset in chosen] == sorted({subset.size for subset in chosen})
    for subset in chosen:
        halves = subset.images["label"].value_counts()
        assert halves[0] == halves[1]
        assert not subset.images["path"].duplicated().any()
        assert len(subset.images) == (subset.size if axis == "images" else 40)
        if axis == "collections":
            assert subset.images["collection"].nunique() == subset.size
        if axis == "generators":
            assert subset.images.loc[subset.images["label"] == 1, "generator"].nunique() == subset.size
    if axis == "images":
        for small, large in itertools.pairwise(chosen):
            assert set(small.images["path"]) <= set(large.images["path"])
    if axis == "generators":
        reals = [set(s.images.loc[s.images["label"] == 0, "path"]) for s in chosen]
        assert all(paths == reals[0] for paths in reals)


def test_the_first_collections_hold_both_classes(data: Path) -> None:
    """Though that of AI images alone is the largest, and has as many images as are wanted."""
    images = pool(data)
    images = images[images["collection"].isin(["c", "d"])]
    (chosen,) = subsets(images, "collections", count=20, points=2)
    assert chosen.size == 2
    assert sorted(chosen.images["label"].value_counts()) == [10, 10]


def test_generators_are_those_of_the_splits(data: Path) -> None:
    """All folders name one, not the last alone."""
    for folder in ("e/ai/xl/sd_1", "e/ai/turbo/sd_1"):
        (data / folder).mkdir(parents=True)
        (data / folder / "0.png").touch()
    images = read_collections([data / "e"])
    assert set(images.loc[images["label"] == 1, "generator"]) == {"e", "xl/sd1", "turbo/sd1"}


def test_more_images_than_there_are(data: Path) -> None:
    with pytest.raises(UserError, match="--images 400: with both classes alike there are 124"):
        subsets(pool(data), "images", count=400, points=2)


def test_a_list_is_read_by_the_data_set_itself(data: Path) -> None:
    images, test = pool(data), read_collections([data / "e"])
    write_list(data / "lists" / "x.csv", images, test)
    listed = listing(DataConfig(name="folder", root=str(data / "lists" / "x.csv")), data / "lists")
    assert {file.path: file.label for file in listed} == dict(
        zip([*images["path"], *test["path"]], [*images["label"], *test["label"]], strict=True)
    )
    assert {file.path for file in listed if file.subset == "test"} == set(test["path"])


@pytest.mark.parametrize("images", [60, 400, 3000, 40000])
def test_every_size_takes_about_the_same_steps(images: int) -> None:
    epochs, batches = length(images, steps=300, batch=32)
    assert abs(epochs * batches - 300) <= 10
    assert batches * 32 <= images * 0.85 + 32


def measured(error: float) -> Measured:
    samples = 1 - error + np.linspace(-0.01, 0.01, 101)[:, None]
    values = np.array([[1 - error, 1 - error]])
    return Measured((MEAN, "x"), ("1.png",), np.zeros(1, int), values, np.concatenate([samples, samples], 1))


def test_the_line_is_that_of_least_squares() -> None:
    sizes, errors = (1, 5, 20, 100), (0.4, 0.33, 0.31, 0.22)
    curve = Curve(sizes, tuple(measured(error) for error in errors))
    slope, offset = np.polyfit(np.log10(sizes), errors, 1)
    assert curve.per_decade.value == pytest.approx(slope)
    assert curve.per_decade.low == pytest.approx(slope)  # every resample moves all points alike
    found = curve.predicted(1000)
    assert found.value == pytest.approx(offset + 3 * slope)
    assert (found.low, found.high) == pytest.approx((found.value - 0.0095, found.value + 0.0095))


def test_a_page_from_trainings_that_are_kept(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def trained(command: list[str], check: bool) -> Any:
        """Leaves what training would; the second training is interrupted after its first epoch, once."""
        commands.append(command)
        settings = dict(part.split("=", 1) for part in command if "=" in part)
        run = RunFolder(Path(settings.get("output_dir", settings.get("resume", ""))))
        table = pd.read_csv(settings["data.root"])
        table = table.assign(path=table["file_name"], label=(table["label"] == "ai").astype(int), split=table["part"])
        if len(commands) == 2:
            run.checkpoints.mkdir(parents=True)
            run.last_checkpoint.touch()
            return subprocess.CompletedProcess(command, 1)
        noise = np.random.default_rng(len(commands)).normal(size=len(table))
        manifest = table.reindex(columns=list(COLUMNS), fill_value="").assign(group=table["path"], width=1, height=1)
        write_manifest(manifest.assign(bytes=1), run.manifest_file)
        run.write_predictions(table.assign(logit=table["label"] + noise, probability=0.5))
        run.write_metrics({})
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", trained)
    folders = ["--train", *(str(data / name) for name in "abcd"), "--test", *(str(data / name) for name in "ef")]
    options = [*folders, *("--images", "40", "--points", "2", "--work", str(data / "work"))]
    options += ["--out", str(data / "page.md")]
    main([*options, "--dry"])
    assert "6 trainings" in capsys.readouterr().out
    assert not commands
    with pytest.raises(SystemExit):
        main([*options, "--", "optimizer.lr=1e-3"])
    assert "the same command goes on" in capsys.readouterr().err
    main([*options, "--", "optimizer.lr=1e-3"])
    assert len(commands) == 7
    assert [any(part.startswith("resume=") for part in command) for command in commands].count(True) == 1
    main([*options, "--", "optimizer.lr=1e-3"])
    assert len(commands) == 7
    text = (data / "page.md").read_text()
    assert text.count("\n| collections |") == 3  # two points and a fit
    picture = data / "page.png"
    assert picture.stat().st_size < 200_000
    with Image.open(picture) as image:
        assert image.width > 600
    main([*options, "--", "optimizer.lr=3e-4"])
    assert len(commands) == 13  # other settings are other trainings


def test_no_collection_judges_what_it_teaches(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--train", str(data / "a"), "--test", str(data / "b" / ".." / "a"), "--dry"])
    assert "is in --train and in --test" in capsys.readouterr().err
