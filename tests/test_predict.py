"""`predict`: a row for every file, whatever the files are and whenever the command is killed."""

import csv
import html
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from rexnet_ai_real import Detector, Verdict
from rexnet_ai_real.detector.backends import ONNX
from rexnet_ai_real.detector.calibration import NEVER_AI
from rexnet_ai_real.detector.description import UNCALIBRATED, Description, write_description
from rexnet_ai_real.detector.engines.engine import facts
from rexnet_ai_real.detector.engines.graphs import IMAGES, LOGIT
from rexnet_ai_real.detector.name import detector_name
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.walk import ImageFile
from rexnet_ai_real.labels import percent
from rexnet_ai_real.predict.__main__ import main
from rexnet_ai_real.predict.output import Known, Output
from rexnet_ai_real.predict.row import COLUMNS, PROVENANCE, Row, readable
from rexnet_ai_real.predict.scan import Scan, write_rows
from rexnet_ai_real.predict.screen import Table
from rexnet_ai_real.predict.summary import Summary
from rexnet_ai_real.progress import track_and_count
from rexnet_ai_real.runs.folder import RunFolder


def description(fingerprint: str, temperature: float = 1.0) -> Description:
    return Description(
        {"name": "brightness"},
        1,
        Preprocessing(8, "squash", "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        replace(UNCALIBRATED, temperature=temperature, unsure_low=0.45, unsure_high=0.55),
        {},
        fingerprint,
    )


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An exported detector whose logit is the mean of all pixels, less 127: neither PyTorch nor training is needed."""
    folder = tmp_path_factory.mktemp("exported")
    write_description(folder, description("f" * 64))
    nodes = [
        helper.make_node("Cast", [IMAGES], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "middle"], [LOGIT]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info(LOGIT, TensorProto.FLOAT, ["n"])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
            helper.make_tensor("middle", TensorProto.FLOAT, [1], [127.0]),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(made, facts(description("f" * 64)))
    onnx.save(made, folder / ONNX.file)
    return str(folder)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Seven images, names of all kinds among them, and two files that are none."""
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    names = [b"plain.png", b'quote".png', b"line\nbreak.png", b"\xff.png", "日本.png".encode(), b"a,b.png", b"<i>.png"]
    for name in names:
        pixels = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            Image.fromarray(pixels).save(file, "PNG")
    (folder / "text.jpg").write_text("no image")
    (folder / "empty.jpg").touch()
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def predicted(model: str, images: Path, output: Path, *options: str) -> int:
    return main([model, str(images), "--output", str(output), "--batch-size", "2", *options])


def row(path: str, **values: Any) -> Row:
    empty: Row = dict.fromkeys(COLUMNS, "") | {"path": path, "probability": None, "logit": None}
    return empty | values


def name_of(model: str) -> str:
    return detector_name(Detector.load(model).description)


def run(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "rexnet_ai_real.predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_rows_are_the_detectors_verdicts(model: str, images: Path, tmp_path: Path) -> None:
    assert predicted(model, images, tmp_path / "out.csv") == 1
    rows = read_csv(tmp_path / "out.csv")
    expected = list(Detector.load(model).predict(images, batch_size=2))
    assert len(rows) == 9
    for row, verdict in zip(rows, expected, strict=True):
        assert row["path"] == verdict.path
        assert (row["label"], row["error"]) == (verdict.label or "", verdict.error or "")
        if verdict.probability is None:
            assert (row["probability"], row["logit"]) == ("", "")
        else:
            assert float(row["probability"]) == pytest.approx(verdict.probability, abs=1e-6)
            assert float(row["logit"]) == pytest.approx(verdict.logit, abs=1e-6)
    assert {Path(row["path"]).name: row["error"] for row in rows if row["error"]} == {
        "empty.jpg": "empty file",
        "text.jpg": "not an image",
    }


def test_every_format_tells_the_same(model: str, images: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        assert predicted(model, images, tmp_path / f"out.{suffix}") == 1
    rows = read_csv(tmp_path / "out.csv")
    objects = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert [each["path"] for each in objects] == [row["path"] for row in rows]
    paths = [os.fsencode(row["path"]).decode("utf-8", "backslashreplace") for row in rows]
    assert table["path"].tolist() == paths
    assert tuple(table.columns) == COLUMNS
    for row, each, label, probability in zip(rows, objects, table["label"], table["probability"], strict=True):
        assert each["label"] == row["label"] == (label if isinstance(label, str) else "")
        assert np.isnan(probability) if each["probability"] is None else probability == each["probability"]
        assert row["probability"] == ("" if each["probability"] is None else repr(each["probability"]))
    assert not list(tmp_path.glob("*.partial"))


def test_no_failure_is_exit_code_0(model: str, images: Path, tmp_path: Path) -> None:
    assert main([model, str(images / "plain.png"), "-o", str(tmp_path / "out.csv")]) == 0


def test_into_a_pipe_goes_csv(model: str, images: Path) -> None:
    done = run(model, images / "plain.png", images / "text.jpg", "nowhere.png")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["error"] for row in rows] == ["", "not an image", "no such file"]
    assert done.returncode == 1
    assert done.stderr == "2 files could not be read; their rows say why.\n"


def test_at_a_terminal_people_can_read_it() -> None:
    console = Console(file=io.StringIO(), width=200)
    rows: list[Row] = [
        row("a.png", label="ai", probability=0.934, leaning="ai", logit=2.6),
        row("b\x1b[2J.png", label="unsure", probability=0.5, leaning="real", reason="why", logit=0.0),
        row("c.png", error="not an image"),
    ]
    table, summary = Table(console), Summary()
    write_rows(rows, table, summary)
    assert (summary.failed, summary.labels["ai"], summary.labels["unsure"]) == (1, 1, 1)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["AI", "93", "%", "AI", "a.png"],
        ["unsure,", "leans", "real", "50", "%", "AI", "b", "[2J.png"],
        ["error", "c.png", "not", "an", "image"],
    ]
    assert "\x1b" not in text


def test_the_format_on_standard_output_can_be_chosen(model: str, images: Path, tmp_path: Path) -> None:
    lines = run(model, images / "plain.png", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["path"] for line in lines] == [str(images / "plain.png")]
    table = run(model, images / "plain.png", "--format", "table").stdout
    assert table.splitlines()[0].split() == ["verdict", "P(AI)", "image"]
    assert main([model, str(images), "--format", "csv", "-o", str(tmp_path / "out.csv")]) == 2
    assert not (tmp_path / "out.csv").exists()


def test_a_full_standard_output_is_told(model: str, images: Path) -> None:
    for form in ("csv", "table"):
        command = f"'{sys.executable}' -m rexnet_ai_real.predict '{model}' '{images}' --format {form} > /dev/full"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert done.stderr == "standard output cannot be written (no space left on device)\n"


def test_a_bar_shows_at_a_terminal_only_and_counts_beside_the_work() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    assert list(track_and_count(slowly(range(3)), "Images", lambda: range(3), console)) == [0, 1, 2]
    assert "2/3" in console.file.getvalue()  # type: ignore[attr-defined]
    console = Console(file=io.StringIO(), width=80)
    assert list(track_and_count(range(3), "Images", lambda: range(3), console)) == [0, 1, 2]
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def slowly(items: Iterable[int]) -> Iterator[int]:
    for item in items:
        time.sleep(0.15)  # longer than the bar waits between two drawings
        yield item


# However many, and with little installed


class Counted(Verdict):
    """A verdict that is counted as long as anything holds it."""

    alive = 0

    def __init__(self, path: str) -> None:  # noqa: D107
        super().__init__(path, 0.5, "unsure", None, 0.0)
        Counted.alive += 1

    def __del__(self) -> None:
        Counted.alive -= 1


class Endless:
    """Stands in for a detector."""

    description = description("e" * 64)

    def predict_files(self, files: Iterable[ImageFile], *_: Any, **__: Any) -> Iterator[Verdict]:
        return (Counted(file.path) for file in files)


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    asked = 0

    def listed() -> Iterator[str]:
        nonlocal asked
        for asked in count(1):
            yield f"{asked}.jpg"

    most = 0
    scan = Scan(Endless(), listed, 32, 2, 100, False)  # type: ignore[arg-type]
    with Output(tmp_path / "out.csv", COLUMNS, "d", resume=False) as output:
        for number, row in enumerate(islice(scan.rows(), 5000)):
            output.write(row)
            most = max(most, Counted.alive, asked - number)
    assert most <= 2
    assert (tmp_path / "out.csv").read_bytes().count(b"\n") == 5001


def test_an_exported_detector_needs_four_packages(model: str, images: Path, tmp_path: Path) -> None:
    """All but ONNX Runtime, NumPy, Pillow and Rich is hidden from the command, gallery and provenance included."""
    program = (
        "import importlib.metadata as metadata, runpy, sys\n"
        "names = metadata.packages_distributions()\n"
        "kept = {'onnxruntime', 'numpy', 'pillow', 'rich', 'markdown-it-py', 'mdurl', 'pygments', 'rexnet-ai-real'}\n"
        "for name, owners in names.items():\n"
        "    if not {owner.lower() for owner in owners} & kept: sys.modules[name] = None\n"
        "assert sys.modules['torch'] is sys.modules['scipy'] is sys.modules['jinja2'] is None\n"
        "runpy.run_module('rexnet_ai_real.predict', run_name='__main__')"
    )
    for name in ("out.csv", "out.jsonl", "out.html"):
        command = [sys.executable, "-c", program, model, str(images), "-o", str(tmp_path / name), "--provenance"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done.stderr
        assert (tmp_path / name).exists()
    assert len(read_csv(tmp_path / "out.csv")) == 9


def test_the_first_answer_waits_for_no_other_image(model: str, images: Path) -> None:
    detector = Detector.load(model)
    listed = iter([str(images / "plain.png")])

    def then_stop() -> Iterator[str]:
        yield from listed
        pytest.fail("the second path was asked for before the first answer was out")

    assert next(Scan(detector, then_stop, 32, 2, 10**8, False).rows())["label"] in ("ai", "real", "unsure")


# What is beside images in folders


def test_system_files_and_earlier_results_are_passed_over_and_counted(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    shutil.copy(images / "plain.png", clean)
    for suffix in ("csv", "jsonl", "parquet", "html"):
        assert predicted(model, clean, clean / f"out.{suffix}") == 0
    shutil.copy(clean / "out.jsonl", clean / "other.html.partial")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._plain.png", "__MACOSX/._plain.png"):
        (clean / name).parent.mkdir(exist_ok=True)
        (clean / name).write_bytes(b"no image")
    explained = clean / "explained"
    (explained / "overlays").mkdir(parents=True)
    (explained / "explained.csv").write_text('"path","label","probability","rest"\n')
    for name in ("overlays/plain-0.png", "contact_sheet_001.png"):
        shutil.copy(images / "plain.png", explained / name)
    capsys.readouterr()
    assert predicted(model, clean, tmp_path / "all.csv") == 0
    assert [row["path"] for row in read_csv(tmp_path / "all.csv")] == [str(clean / "plain.png")]
    said = capsys.readouterr().err
    assert "files of the operating system, such as .DS_Store, Thumbs.db and ._*: 5\n" in said
    assert "files and folders that predict or explain wrote earlier: 8\n" in said
    (clean / "mine.csv").write_text("not of this command")
    assert predicted(model, clean, tmp_path / "again.csv") == 1
    assert [Path(row["path"]).name for row in read_csv(tmp_path / "again.csv")] == ["mine.csv", "plain.png"]


def test_system_files_are_passed_over_from_python_too(model: str, images: Path) -> None:
    (images / ".DS_Store").write_bytes(b"no image")
    assert len(list(Detector.load(model).predict(images))) == 9


def test_an_image_piped_to_a_dash_leaves_nothing_behind(model: str, images: Path, tmp_path: Path) -> None:
    with (images / "plain.png").open("rb") as image:
        done = run(model, "-", "-o", tmp_path / "out.csv", stdin=image)
    assert done.returncode == 2
    assert done.stderr.startswith("- reads the names of images, and standard input holds an image itself (PNG)")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


# Answers that are not promised


@pytest.fixture(scope="session")
def unpromised(model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same detector where no error rate can be promised."""
    folder = tmp_path_factory.mktemp("unpromised") / "detector"
    shutil.copytree(model, folder)
    plain = description("f" * 64)
    point = replace(
        plain.calibration, unsure_low=0.0, unsure_high=NEVER_AI, coverage=0.0, error_target=0.1, confidence=0.9
    )
    write_description(folder, replace(plain, calibration=point, training={"test": {"accuracy": 0.7, "n": 50}}))
    return str(folder)


def test_without_a_promise_every_output_keeps_the_threshold_answer(
    model: str, unpromised: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [verdict.leaning or "" for verdict in Detector.load(model).predict(images, batch_size=2)]
    assert {"ai", "real"} <= set(answers)
    for suffix in ("csv", "jsonl", "parquet", "html"):
        assert predicted(unpromised, images, tmp_path / f"out.{suffix}") == 1
    said = capsys.readouterr().err
    assert "This detector cannot promise at most 10 % wrong answers on any images" in said
    assert "wrong on about 3 in 10 images of its own kind (15 of 50" in said
    assert "7 unsure (" in said
    rows = read_csv(tmp_path / "out.csv")
    assert [row["leaning"] for row in rows] == answers
    assert {row["label"] for row in rows} == {"unsure", ""}
    assert {row["reason"] for row in rows if row["label"]} == {
        "this detector cannot promise at most 10 % wrong answers on any images"
    }
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["leaning"] for line in lines] == answers
    assert pd.read_parquet(tmp_path / "out.parquet")["leaning"].fillna("").tolist() == answers
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert page.count("Leans AI-generated; not sure enough to promise") == answers.count("ai")
    assert "wrong on about 3 in 10 images of its own kind" in page
    table = run(unpromised, images / "plain.png", "--format", "table").stdout
    assert "unsure, leans" in table
    assert "wrong on about 3 in 10 images of its own kind" in table
    assert "An answer is no proof" in table


def test_answer_always_gives_the_threshold_answer_and_says_so(
    unpromised: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted(unpromised, images, tmp_path / "promised.csv")
    predicted(unpromised, images, tmp_path / "always.csv", "--answer", "always")
    assert "Of these answers 7 are not sure enough to promise" in capsys.readouterr().err
    promised, always = read_csv(tmp_path / "promised.csv"), read_csv(tmp_path / "always.csv")
    assert [row["label"] for row in always] == [row["leaning"] for row in promised]
    assert [row["reason"] for row in always] == [row["reason"] for row in promised]
    assert predicted(unpromised, images, tmp_path / "promised.csv", "--resume", "--answer", "always") == 2
    assert "holds results of detector" in capsys.readouterr().err


@pytest.fixture
def graphics(images: Path) -> Path:
    """The same with two screens, a light and a dark one, which are out of scope."""
    for name, ground, ink in (("light.png", "white", "navy"), ("dark.png", "black", "yellow")):
        screen = Image.new("RGB", (120, 80), ground)
        ImageDraw.Draw(screen).rectangle((20, 20, 50, 60), fill=ink)
        screen.save(images / name)
    return images


def test_out_of_scope_is_an_answer_in_every_output(
    model: str, graphics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in ("csv", "jsonl", "parquet", "html"):
        assert predicted(model, graphics, tmp_path / f"out.{suffix}") == 1
    assert "2 out of scope (1 leans AI-generated, 1 leans real)" in capsys.readouterr().err
    outputs: list[list[dict[str, Any]]] = [
        list(read_csv(tmp_path / "out.csv")),
        [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()],
        rows_of(pd.read_parquet(tmp_path / "out.parquet")),
    ]
    for rows in outputs:
        outside = {Path(row["path"]).name: row for row in rows if row["label"] == "out of scope"}
        assert {name: row["leaning"] for name, row in outside.items()} == {"light.png": "ai", "dark.png": "real"}
        assert all(row["reason"].startswith("a screenshot or flat graphic: ") for row in outside.values())
        assert all(row["probability"] not in (None, "") for row in outside.values())
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert '<button type="button" value="out-of-scope" aria-pressed="false">Out of scope 2</button>' in page
    assert page.count('<figure class="out-of-scope">') == 2
    assert "Leans real; not made to judge this" in page


def test_answer_always_answers_out_of_scope_too(
    model: str, graphics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted(model, graphics, tmp_path / "always.csv", "--answer", "always")
    assert "out of scope" not in capsys.readouterr().err
    found = {Path(row["path"]).name: row for row in read_csv(tmp_path / "always.csv")}
    assert (found["light.png"]["label"], found["dark.png"]["label"]) == ("ai", "real")
    assert found["light.png"]["reason"].startswith("a screenshot or flat graphic: ")


def test_an_answer_that_a_copy_changes_is_unsure(model: str, tmp_path: Path) -> None:
    """Where darks are cut off at 0, JPEG makes an image brighter: it leans real as it is, and AI as a copy."""
    folder, random = tmp_path / "images", np.random.default_rng(0)
    folder.mkdir()
    spots = np.where(random.random((64, 64, 3)) < 0.37, 0, random.integers(150, 250, (64, 64, 3)))
    for name, level in (("changes", 127.1), ("keeps", 60.0)):
        scaled = spots * (level / spots.mean())
        Image.fromarray(scaled.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    detector = Detector.load(model)
    before, after = list(detector.predict(folder)), list(detector.predict(folder, redeliver=True))
    assert [verdict.label for verdict in before] == ["real", "real"]
    for quality in (60, 40):  # as PNG: a JPEG would be decoded at a reduced size, without what JPEG cuts off
        Image.open(folder / "changes.png").save(tmp_path / "copy.jpg", quality=quality)
        Image.open(tmp_path / "copy.jpg").save(tmp_path / f"{quality}.png")
    copies = [verdict.probability or 0.0 for verdict in detector.predict([tmp_path / "60.png", tmp_path / "40.png"])]
    assert max(copies) >= 0.55
    assert after[0].reason is not None
    assert f"({percent(before[0].probability or 0.0)} as it is, {percent(max(copies))} at " in after[0].reason
    assert after[0] == replace(before[0], label="unsure", reason=after[0].reason)
    assert after[0].always().label == "real"
    assert after[1] == before[1]


# Spreadsheets, and two writers


def test_names_that_spreadsheets_run_are_harmless_in_csv_and_exact_elsewhere(
    model: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    names = ["=1+1.png", "+1.png", "-1.png", "@x.png", "\tx.png"]
    for name in names:
        shutil.copy("plain.png", name)
    Path("list").write_bytes(b"\0".join(map(os.fsencode, names)))
    for suffix in ("csv", "jsonl"):
        with Path("list").open("rb") as listed:
            done = run(model, "-", "-0", "-o", tmp_path / f"out.{suffix}", stdin=listed, cwd=images)
        assert done.returncode == 0, done.stderr
    rows = read_csv(tmp_path / "out.csv")
    assert [row["path"] for row in rows] == [f"./{name}" for name in names]
    assert all(Path(row["path"]).is_file() for row in rows)
    assert [json.loads(line)["path"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == names
    with Path("list").open("rb") as listed:  # they are known by either name
        assert run(model, "-", "-0", "-o", tmp_path / "out.csv", "--resume", stdin=listed, cwd=images).returncode == 0
    assert len(read_csv(tmp_path / "out.csv")) == len(names)


@pytest.mark.parametrize("suffix", ["csv", "html"])
def test_two_writers_on_one_output_are_one_clear_error(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    output = tmp_path / f"out.{suffix}"
    with Output(output, COLUMNS, name_of(model), resume=False) as first:
        before = first.records.read_bytes()
        assert predicted(model, images, output, "--resume") == 2
        assert "is being written by another process: wait until that has ended" in capsys.readouterr().err
        assert first.records.read_bytes() == before
    assert predicted(model, images, output, "--resume") == 1


# Interrupted


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_cut_anywhere_is_gone_on_with(model: str, images: Path, tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    predicted(model, images, whole)
    content = whole.read_bytes()
    for cut in [0, 1, 20, *range(60, len(content), 97), len(content) - 1, len(content)]:
        part = tmp_path / f"part.{suffix}"
        part.write_bytes(content[:cut])
        with Output(part, COLUMNS, name_of(model), resume=True) as output:
            known = output.known
            start = part.read_bytes()
        assert content.startswith(start)
        assert start.endswith(b"\n") or not start
        rows = [json.loads(line) for line in start.splitlines()] if suffix == "jsonl" else read_csv(part)
        assert len(known) == len(rows)
        assert all(row["path"] in known for row in rows)
    part.write_bytes(content[: len(content) // 2])
    assert predicted(model, images, part, "--resume") == 1
    again = read_csv(part) if suffix == "csv" else [json.loads(line) for line in part.read_bytes().splitlines()]
    before = read_csv(whole) if suffix == "csv" else [json.loads(line) for line in content.splitlines()]
    assert [row["path"] for row in again] == [row["path"] for row in before]
    assert [float(row["logit"] or 0) for row in again] == pytest.approx(
        [float(r["logit"] or 0) for r in before], abs=0.05
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_killed_scan_is_gone_on_with(model: str, images: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out.{suffix}"
    growing = output if suffix == "csv" else tmp_path / "out.parquet.partial"
    files = [file for file in sorted(images.iterdir()) if b"\n" not in os.fsencode(file)]
    command = [sys.executable, "-m", "rexnet_ai_real.predict", model, "-", "-o", str(output), "--batch-size", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin
        process.stdin.write(b"".join(os.fsencode(file) + b"\n" for file in files[:6]))
        process.stdin.flush()
        deadline = time.monotonic() + 100
        while not (growing.exists() and growing.read_bytes().count(b"\n") > 3) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -9
    written = growing.read_bytes()
    assert predicted(model, images, output, "--resume") == 1
    if suffix == "csv":
        assert output.read_bytes().startswith(written)
    paths = pd.read_parquet(output)["path"] if suffix == "parquet" else [row["path"] for row in read_csv(output)]
    assert len(set(paths)) == len(paths) == 9


def test_ctrl_c_keeps_what_is_written(
    model: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = Output.write
    written: list[Row] = []

    def interrupted(self: Output, row: Row) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(row)
        write(self, row)

    monkeypatch.setattr(Output, "write", interrupted)
    assert predicted(model, images, tmp_path / "out.jsonl") == 130
    assert "--resume continues" in capsys.readouterr().err
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    monkeypatch.setattr(Output, "write", write)
    assert predicted(model, images, tmp_path / "out.jsonl", "--resume") == 1
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 9


def test_a_full_disk_loses_nothing(model: str, images: Path, tmp_path: Path) -> None:
    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

    output = tmp_path / "out.csv"
    done = run(model, images, "-o", output, preexec_fn=little_room)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"{output} cannot be written (file too large). The rows written so far are kept: " + (
        "solve this, then add --resume"
    )
    assert "Traceback" not in done.stderr
    kept = read_csv(output)
    assert len(kept) == 2
    assert all(row["detector"] == name_of(model) for row in kept)
    assert predicted(model, images, output, "--resume") == 1
    assert len(read_csv(output)) == 9


def test_a_finished_scan_takes_new_files_only(
    model: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted(model, images, tmp_path / "out.csv")
    before = (tmp_path / "out.csv").read_bytes()
    shutil.copy(images / "plain.png", images / "new.png")
    # The exit code speaks of all that the file holds, as if it had been one scan.
    assert predicted(model, images, tmp_path / "out.csv", "--resume") == 1
    after = (tmp_path / "out.csv").read_bytes()
    assert after.startswith(before)
    assert after[len(before) :].count(b"\n") == 1


def test_a_finished_parquet_file_takes_new_files(model: str, images: Path, tmp_path: Path) -> None:
    output, partial = tmp_path / "out.parquet", tmp_path / "out.parquet.partial"
    predicted(model, images, output, "--provenance")
    before = pd.read_parquet(output)
    assert tuple(before.columns) == COLUMNS + PROVENANCE
    shutil.copy(images / "plain.png", images / "new.png")
    assert predicted(model, images, output, "--provenance", "--resume") == 1
    after = pd.read_parquet(output)
    pd.testing.assert_frame_equal(after.iloc[:9], before)
    assert after["path"].tolist()[9:] == [str(images / "new.png")]
    # Killed after the file was made and before its rows were cleared away.
    partial.write_text("".join(json.dumps(row) + "\n" for row in rows_of(after)))
    assert predicted(model, images, output, "--provenance", "--resume") == 1
    pd.testing.assert_frame_equal(pd.read_parquet(output), after)
    assert not partial.exists()


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{k: v if k in ("probability", "logit") else v or "" for k, v in row.items()} for row in rows]


def test_results_in_the_folder_that_is_scanned_are_no_images(model: str, images: Path) -> None:
    for name in ("out.csv", "out.html"):
        predicted(model, images, images / name)
        assert predicted(model, images / name, images / "again.csv") == 1  # but others may name them
        (images / "again.csv").unlink()
        (images / name).rename(images.parent / name)
    assert len(read_csv(images.parent / "out.csv")) == 9
    assert "2 files could not be read" in (images.parent / "out.html").read_text()


def test_known_paths_are_small_and_told_apart() -> None:
    assert "a" not in Known(np.empty(0, np.uint64))
    path = Path("/dev/null")
    known = Known(np.arange(500_000, dtype=np.uint64))
    assert known.digests.nbytes == 4_000_000
    assert str(path) not in known


# Refused


def test_results_in_the_way_are_left_alone(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content, options, message in (
        ("a.csv", "mine", [], "exists already: continue it with --resume"),
        ("b.csv", "mine\n", ["--resume"], "has other columns than path, label, probability"),
        ("c.jsonl", '{"mine": 1}\n', ["--resume"], "holds a line that this command did not write"),
        ("d.parquet", "mine", ["--resume"], "is not a Parquet file"),
        ("d.html", "mine", ["--resume"], "exists already and cannot be continued"),
        ("d.html", "mine", [], "exists already"),
        ("g.csv", "mine", ["--resume"], "is damaged from byte 0 on, or not written by this command"),
        ("h.jsonl", '{"mine": 1}', ["--resume"], "is damaged from byte 0 on, or not written by this command"),
        ("e.xlsx", "mine", [], r"expected a name that ends in \.csv, \.jsonl, \.parquet, \.html"),
    ):
        (tmp_path / name).write_text(content)
        assert predicted(model, images, tmp_path / name, *options) == 2
        assert re.search(message, capsys.readouterr().err), name
        assert (tmp_path / name).read_text() == content
    assert main([model, str(images), "--resume"]) == 2
    assert "--resume needs --output" in capsys.readouterr().err
    assert main([model]) == 2
    assert "is taken for the detector: give images after it" in capsys.readouterr().err
    assert predicted(model, images / "*.webp", tmp_path / "f.csv") == 2
    assert not (tmp_path / "f.csv").exists()


@pytest.mark.parametrize("row", [1, 4, 8])
def test_a_file_that_is_damaged_in_the_middle_is_left_alone(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: int
) -> None:
    (images / "line\nbreak.png").unlink()
    predicted(model, images, tmp_path / "whole.csv")
    lines = (tmp_path / "whole.csv").read_bytes().splitlines(keepends=True)
    for place in [at for at, letter in enumerate(lines[row]) if letter == ord('"')]:
        for name, changed in (("less", b""), ("more", b'""')):
            damaged = tmp_path / f"{name}{row}-{place}.csv"
            line = lines[row][:place] + changed + lines[row][place + 1 :]
            damaged.write_bytes(b"".join([*lines[:row], line, *lines[row + 1 :]]))
            before = damaged.read_bytes()
            code = predicted(model, images, damaged, "--resume")
            if row < len(lines) - 1:
                assert code == 2
                assert damaged.read_bytes() == before
            else:  # a damaged last row cannot be told from a torn one: it is made anew, or refused
                assert code in (1, 2)
                assert damaged.read_bytes().startswith(b"".join(lines[:row]))


def test_results_of_another_detector_are_not_added_to(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted(model, images / "plain.png", tmp_path / "out.csv")
    other = tmp_path / "calibrated"
    shutil.copytree(model, other)
    write_description(other, description("f" * 64, temperature=2.0))
    assert predicted(str(other), images, tmp_path / "out.csv", "--resume") == 2
    assert f"holds results of detector {name_of(model)}, and this one is {name_of(str(other))}" in (
        capsys.readouterr().err
    )
    assert len(read_csv(tmp_path / "out.csv")) == 1


def test_a_missing_library_is_named(
    model: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert predicted(model, images, tmp_path / "out.parquet") == 2
    assert "pip install 'rexnet-ai-real[parquet]'" in capsys.readouterr().err


# Provenance and the gallery


def test_metadata_stand_beside_the_probability(model: str, images: Path, tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Model: v1-5")
    plain = Image.open(images / "plain.png")
    plain.save(images / "tagged.png", pnginfo=info)
    predicted(model, images, tmp_path / "out.jsonl", "--provenance")
    rows = {Path(row["path"]).name: row for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert rows["tagged.png"]["provenance_says"] == "ai"
    assert "can be forged or removed" in rows["tagged.png"]["provenance"]
    assert rows["plain.png"]["provenance_says"] == ""
    assert rows["tagged.png"]["logit"] == pytest.approx(rows["plain.png"]["logit"], abs=0.05)


def test_the_gallery_is_sorted_whole_and_harmless(model: str, images: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    assert predicted(model, images, page, "--provenance") == 1
    text = page.read_text(encoding="utf-8")
    order = re.findall(r'<figure class="(\w+)">.*?title="([^"]*)"', text, re.DOTALL)
    verdicts = [v for v in Detector.load(model).predict(images, batch_size=2) if v.probability is not None]
    best = max(verdicts, key=lambda verdict: verdict.probability or 0)
    assert len(order) == len(verdicts) == 7
    assert readable(Path(best.path).name) in html.unescape(order[0][1])
    assert text.count("data:image/jpeg;base64,") == 7
    assert "<i>.png" not in text
    assert "&lt;i&gt;.png" in text
    assert "not an image" in text
    assert "2 files could not be read" in text
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert predicted(model, images, tmp_path / "few.html", "--gallery-images", "3") == 1
    few = (tmp_path / "few.html").read_text(encoding="utf-8")
    assert few.count("<figure") == 3
    assert "The 3 most likely AI-generated are shown" in few


def test_the_gallery_links_to_originals_and_can_be_filtered_sorted_and_enlarged(
    model: str, images: Path, tmp_path: Path
) -> None:
    beside, elsewhere = images / "out.html", tmp_path / "far" / "out.html"
    for page in (elsewhere, beside):
        assert predicted(model, images, page) == 1
        text = page.read_text(encoding="utf-8")
        links = [unquote_to_bytes(html.unescape(link)) for link in re.findall(r'<a href="([^"]*)" target', text)]
        targets = [
            link.removeprefix(b"file://") if link.startswith(b"file://") else os.fsencode(page.parent) + b"/" + link
            for link in links
        ]
        assert len(targets) == 7
        assert all(os.path.isfile(target) for target in targets)
    assert all(link.startswith(b"./") for link in links)  # they move together with the page
    assert name_of(model) in text
    for control in ('<button type="button" value="ai" aria-pressed="false">', "<select", 'type="search"', "<dialog"):
        assert control in text
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=\"(?!data:)", text)


def test_an_empty_folder_is_said(model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nothing").mkdir()
    arguments = [model, str(tmp_path / "nothing"), str(images / "plain.png"), "-o", str(tmp_path / "out.csv")]
    assert main(arguments) == 0
    assert f"{tmp_path / 'nothing'} holds no files: nothing to judge there." in capsys.readouterr().err


def test_an_empty_folder_gives_empty_results(model: str, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    for suffix in ("csv", "jsonl", "parquet", "html"):
        assert predicted(model, tmp_path / "nothing", tmp_path / f"out.{suffix}") == 0
    assert read_csv(tmp_path / "out.csv") == []
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == 0
    assert "0 images: none" in (tmp_path / "out.html").read_text()


def test_real_files_of_every_kind_are_answered(tiny_run: RunFolder, shared_data: Path, tmp_path: Path) -> None:
    assert predicted(str(tiny_run.path), shared_data / "kaggle-raw", tmp_path / "out.csv", "--provenance") == 0
    assert len(read_csv(tmp_path / "out.csv")) == 112
