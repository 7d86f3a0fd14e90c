"""The page's modules against the Python that they follow: resizing, scope, verdicts, heat, formats, tables."""

import csv
import io
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, ImageDraw

from rexnet_ai_real.cli.cells import harmless_path, harmless_text
from rexnet_ai_real.detector.calibration import Calibration
from rexnet_ai_real.detector.description import read_description
from rexnet_ai_real.detector.explanation import Explanation
from rexnet_ai_real.detector.ready import FOLDER
from rexnet_ai_real.detector.verdict import verdicts
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.images.remarks import remark
from rexnet_ai_real.images.scope import out_of_scope
from rexnet_ai_real.labels import percent
from rexnet_ai_real.page.described import described
from rexnet_ai_real.page.provenance_table import provenance_table
from rexnet_ai_real.predict.row import columns
from tests.javascript import run_module

IMPORTS = """
import { resized, reduced, seen } from "./js/resize.js";
import { outOfScope, remarkOn } from "./js/scope.js";
import { verdict, percent } from "./js/verdict.js";
import { heatOf } from "./js/heat.js";
import { refusal } from "./js/formats.js";
import { formatOf } from "./js/provenance/format.js";
import { rulesOf } from "./js/provenance/rules.js";
import { COLUMNS, csv } from "./js/csv.js";
const pixels = ({ width, height, data }) => ({ width, height, data: Uint8Array.from(data) });
const answer = (value) => console.log(JSON.stringify(value));
"""


def noise(width: int, height: int, seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def plain(image: Image.Image) -> dict[str, object]:
    return {"width": image.width, "height": image.height, "data": list(image.tobytes())}


def preprocessing(resize: str, interpolation: str, side: int) -> Preprocessing:
    return Preprocessing(side, resize, interpolation, (0.5,) * 3, (0.5,) * 3)


@pytest.fixture(scope="module")
def detector() -> dict[str, object]:
    description = read_description(FOLDER)
    return described(description, Worth.of(description, FOLDER))


def test_resizing_is_pillows(tmp_path: Path) -> None:
    sizes = [(64, 48), (31, 77), (200, 13), (24, 24), (9, 7), (1, 40), (40, 60)]
    cases = [
        (noise(*size, number), preprocessing(resize, interpolation, 24))
        for number, size in enumerate(sizes)
        for resize in ("squash", "crop", "native")
        for interpolation in ("bilinear", "bicubic")
    ]
    source = """
        answer(argument.map(({ image, rule }) =>
          [...resized(pixels(image), 24, rule.interpolation, seen(rule, image.width, image.height))]));
    """
    argument = [{"image": plain(image), "rule": rule.to_plain()} for image, rule in cases]

    answers = run_module(IMPORTS + source, tmp_path / "js", argument)

    for answer, (image, rule) in zip(answers, cases, strict=True):
        difference = np.abs(np.array(answer) - rule.to_array(image).ravel().astype(int))
        # Before version 13, Pillow never took columns first; in tall images that is rounded otherwise.
        is_another = int(PIL.__version__.split(".")[0]) < 13 and image.height > image.width
        most = 0 if not is_another else 1 if rule.interpolation == "bilinear" else 10
        assert difference.max() <= most, (image.size, rule)


def test_reducing_is_pillows(tmp_path: Path) -> None:
    cases = [(noise(*size, number), number + 2) for number, size in enumerate([(40, 30), (41, 29), (17, 50), (64, 65)])]
    argument = [{"image": plain(image), "factor": factor} for image, factor in cases]

    answers = run_module(
        IMPORTS + "answer(argument.map(({ image, factor }) => [...reduced(pixels(image), factor).data]));",
        tmp_path / "js",
        argument,
    )

    for answer, (image, factor) in zip(answers, cases, strict=True):
        # Pillow multiplies by a rounded reciprocal, which may differ by one grey level.
        theirs = np.frombuffer(image.reduce(factor).tobytes(), np.uint8).astype(int)
        assert np.abs(np.array(answer) - theirs).max() <= 1


def drawings() -> list[Image.Image]:
    """A page of text, a window, a chart, a photograph's likes, a blank sheet, an icon."""
    text = Image.new("RGB", (400, 300), "white")
    lines = ImageDraw.Draw(text)
    for row in range(10, 290, 14):
        lines.text((10, row), "The quick brown fox jumps over the lazy dog, again and again.", fill="black")
    window = Image.new("RGB", (500, 400), (240, 240, 240))
    draw = ImageDraw.Draw(window)
    draw.rectangle((0, 0, 500, 40), fill=(40, 80, 160))
    for row in range(60, 380, 40):
        draw.rectangle((20, row, 480, row + 24), outline=(90, 90, 90), fill=(255, 255, 255))
        draw.text((30, row + 6), "An entry of a form", fill=(20, 20, 20))
    chart = Image.new("RGB", (300, 200), "white")
    for bar in range(6):
        ImageDraw.Draw(chart).rectangle((20 + 45 * bar, 190 - 25 * bar, 50 + 45 * bar, 190), fill=(200, 30 * bar, 60))
    soft = noise(12, 9, 0).resize((320, 240), Image.Resampling.BICUBIC)
    return [
        text,
        window,
        chart,
        soft,
        noise(90, 60, 1),
        Image.new("RGB", (50, 50), (9, 9, 9)),
        noise(20, 20, 2),
        noise(1, 9, 3),
    ]


def test_remarks_and_scope_are_those_of_predict(tmp_path: Path, detector: dict[str, object]) -> None:
    images = [*drawings(), drawings()[0].resize((1700, 1300), Image.Resampling.NEAREST)]
    rule = preprocessing("squash", "bilinear", 160)
    source = """
        const { limits, familiar } = argument;
        answer(argument.images.map((image) => {
          const input = resized(pixels(image), 160, "bilinear", [0, 0, image.width, image.height]);
          return [remarkOn(image, input, 160, familiar, limits), outOfScope(pixels(image), limits)];
        }));
    """
    argument = {"images": list(map(plain, images)), "limits": detector["limits"], "familiar": 30}

    answers = run_module(IMPORTS + source, tmp_path / "js", argument)

    theirs = [[remark(image.size, rule.to_array(image), 30), out_of_scope(image)] for image in images]
    assert answers == theirs
    assert sum(outside is not None for _, outside in theirs) >= 2
    assert sum(said is not None for said, _ in theirs) >= 2


def test_verdicts_are_those_of_predict(tmp_path: Path, detector: dict[str, object]) -> None:
    chance = random.Random(0)
    logits = [*(chance.uniform(-12, 12) for _ in range(200)), 0.0, 1e-9, 40.0, -40.0]
    outside = [None if number % 5 else "a screenshot" for number in range(len(logits))]
    source = """
        answer(argument.cases.map(([logit, outside]) => {
          const said = verdict(logit, argument.detector, null, outside);
          return { ...said, shown: percent(said.probability) };
        }));
    """
    argument = {"cases": list(zip(logits, outside, strict=True)), "detector": detector}

    answers = run_module(IMPORTS + source, tmp_path / "js", argument)

    calibration = Calibration.from_plain(dict(detector["calibration"]))  # type: ignore[call-overload]
    theirs = verdicts([""] * len(logits), logits, calibration, outside=outside)
    for answer, said in zip(answers, theirs, strict=True):
        assert answer["probability"] == pytest.approx(said.probability, abs=1e-12)
        assert said.probability is not None
        assert answer["shown"] == percent(said.probability)
        assert (answer["label"], answer["leaning"], answer["reason"]) == (said.label, said.leaning, said.reason or "")
    assert {answer["label"] for answer in answers} == {"ai", "real", "unsure", "out of scope"}


def test_heat_is_that_of_explain(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    maps = [chance.normal(size=(5, 5)) for _ in range(20)] + [np.full((5, 5), -1.0), np.ones((4, 6)), np.eye(7)]
    source = "answer(argument.map(({ map, rows, columns, target }) => heatOf(map, rows, columns, target)));"
    argument = [
        {"map": values.ravel().tolist(), "rows": values.shape[0], "columns": values.shape[1], "target": target}
        for values in maps
        for target in ("ai", "real")
    ]

    answers = run_module(IMPORTS + source, tmp_path / "js", argument)

    verdict = verdicts([""], [0.0], read_description(FOLDER).calibration)[0]
    for answer, case in zip(answers, argument, strict=True):
        values = np.array(case["map"]).reshape(case["rows"], case["columns"])
        heat = np.maximum(values if case["target"] == "ai" else -values, 0) / values.size
        theirs = Explanation(verdict, target=1, heat=heat.astype(np.float32))
        assert answer["greatest"] == pytest.approx(theirs.greatest, rel=1e-5)
        assert answer["share"] == pytest.approx(theirs.strongest_tenth, rel=1e-5)
        assert answer["pointsSomewhere"] is theirs.points_somewhere
    assert {answer["pointsSomewhere"] for answer in answers} == {True, False}


def saved(image: Image.Image, format_name: str) -> list[int]:
    buffer = io.BytesIO()
    image.save(buffer, format_name)
    return list(buffer.getvalue())


def test_what_browsers_do_not_read_alike_is_refused_with_a_reason(tmp_path: Path) -> None:
    image = noise(20, 20, 0)
    deep = Image.fromarray(np.zeros((8, 8), np.uint16))
    cases = {
        "": [],
        "not an image": list(b"<svg xmlns='x'></svg>"),
        "TIFF": saved(image, "TIFF"),
        "PPM": saved(image, "PPM"),
        "JPEG 2000": saved(image, "JPEG2000"),
        "16 bits": saved(deep, "PNG"),
        "CMYK": saved(image.convert("CMYK"), "JPEG"),
    }
    readable = [saved(image, name) for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")]
    source = """
        const bytes = argument.files.map((file) => Uint8Array.from(file));
        answer(bytes.map((file) => refusal(file, formatOf(file, rulesOf(argument.table)))));
    """
    argument = {"files": [*cases.values(), *readable], "table": provenance_table()}

    answers = run_module(IMPORTS + source, tmp_path / "js", argument)

    refusals, allowed = answers[: len(cases)], answers[len(cases) :]
    assert allowed == [None] * len(readable)
    assert refusals[0] == "empty file"
    for reason, expected in zip(refusals, cases, strict=True):
        assert expected in reason
        assert expected in ("", "not an image") or "rexnet-ai-real predict" in reason


def test_the_table_is_that_of_predict_and_no_spreadsheet_computes_it(tmp_path: Path) -> None:
    names = [
        "a.jpg",
        'with, comma and "quotes".png',
        "=HYPERLINK(1)",
        "+1",
        "@x",
        "-1+cmd",
        "-x",
        "new\nline",
        "ü.jpg",
        "\ta",
    ]
    said = asdict(verdicts([""], [-1.5], read_description(FOLDER).calibration)[0])
    verdict = {key: said[key] for key in ("label", "probability", "leaning", "reason", "remark", "logit")}
    verdict["reason"] = "=1+1"
    result = {"verdict": verdict, "provenance": {"says": None, "verdict": "no provenance metadata"}}
    entries = [{"name": name, "result": result} for name in names] + [{"name": "b.txt", "error": "not an image"}]

    text, names_of_columns = run_module(IMPORTS + "answer([csv(argument, 'abc'), COLUMNS]);", tmp_path / "js", entries)

    assert tuple(names_of_columns) == columns(provenance=True)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["path"] for row in rows] == [*map(harmless_path, names), "b.txt"]
    assert rows[0]["reason"] == harmless_text("=1+1")
    assert float(rows[0]["probability"]) == pytest.approx(said["probability"], abs=1e-6)
    assert float(rows[0]["logit"]) == -1.5
    assert (rows[-1]["error"], rows[-1]["probability"], rows[-1]["detector"]) == ("not an image", "", "abc")
