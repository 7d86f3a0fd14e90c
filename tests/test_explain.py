"""Explanations: heat lies where the network looked, scales say what compares, and odd files end nothing."""

import csv
import io
import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from rexnet_ai_real import Detector
from rexnet_ai_real.detector.calibration import NEVER_AI
from rexnet_ai_real.detector.engines.torch_engine import require_torch
from rexnet_ai_real.detector.explanation import Explanation, Scale
from rexnet_ai_real.detector.verdict import Verdict
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.explain import caption as captions
from rexnet_ai_real.explain import contact_sheet, folder, overlay
from rexnet_ai_real.explain.__main__ import main
from rexnet_ai_real.explain.explainer import Explainer
from rexnet_ai_real.explain.folder import ExplanationFolder, drawn, overlay_name, set_aside
from rexnet_ai_real.explain.methods import METHODS
from rexnet_ai_real.images.contact_sheet import LABEL_COLOURS
from rexnet_ai_real.images.heat import heat_colours, painted
from rexnet_ai_real.images.lettering import fitted, font, plain, wrapped
from rexnet_ai_real.images.placement import heat_on_image, scaled, spread
from rexnet_ai_real.images.preprocessing import Box, Preprocessing
from rexnet_ai_real.images.walk import image_files
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.models.cam import METHODS as LIBRARY_METHODS
from rexnet_ai_real.runs.folder import RunFolder


def random_map(rows: int, columns: int) -> NDArray[np.float32]:
    return np.random.default_rng(rows * columns).random((rows, columns), dtype=np.float32)


def explanation(path: str = "a.png", heat: NDArray[np.float32] | None = None, **verdict: Any) -> Explanation:
    said = Verdict(path, 0.9, "ai", None, 2.0)
    return Explanation(replace(said, **verdict), "nothing", AI, random_map(3, 3) if heat is None else heat)


@pytest.fixture(scope="module")
def detector(tiny_run: RunFolder) -> Detector:
    """The tiny run, seeing images larger than in training: its map has 3 x 3 places instead of one."""
    loaded = Detector.load(tiny_run.path, precision="32-true")
    return replace(
        loaded,
        description=replace(loaded.description, preprocessing=replace(loaded.preprocessing, image_size=96)),
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of five sound images, odd ones among them, and two files that hold none."""
    made = tmp_path / "images"
    (made / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    photo = Image.fromarray(random.integers(0, 256, (40, 90, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    photo.save(made / "turned.jpg", exif=turned)
    photo.save(made / "日本 naïve\nline.png")
    photo.convert("LA").save(made / "more" / "turned.png")
    Image.new("RGB", (1, 1)).save(made / "one.png")
    Image.new("RGB", (3000, 3), "red").save(made / "strip.png")
    (made / "empty.png").touch()
    (made / "text.jpg").write_text("no image")
    return made


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "explained.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def preprocessing(resize: str) -> Preprocessing:
    return Preprocessing(112, resize, "bilinear", (0.5,) * 3, (0.5,) * 3)


def seen(size: tuple[int, int], resize: str) -> Box:
    return preprocessing(resize).seen(size)


WHOLE, SQUARE = preprocessing("squash").seen, preprocessing("crop").seen


# Where heat lies


@pytest.mark.parametrize("size", [(7, 7), (50, 31), (224, 224), (1000, 3), (513, 640)])
@pytest.mark.parametrize("places", [(1, 1), (7, 7), (3, 5)])
def test_heat_is_spread_as_pytorch_enlarges_maps(size: tuple[int, int], places: tuple[int, int]) -> None:
    heat = random_map(*places)
    expected = F.interpolate(torch.from_numpy(heat)[None, None], size=size[::-1], mode="bilinear")[0, 0].numpy()
    found = spread(heat, size, (0, 0, *size))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(spread(heat, size, seen(size, "squash"), slice(2, 5)), found[2:5], atol=1e-6)


@pytest.mark.parametrize("size", [(60, 41), (41, 60), (41, 41), (40, 200), (1, 3), (2, 1)])
def test_of_a_cut_image_only_what_the_network_saw_has_heat(size: tuple[int, int]) -> None:
    heat = random_map(4, 4)
    found = spread(heat, size, seen(size, "crop"))
    side = min(size)
    if (max(size) - side) % 2 == 0:  # the square is of whole pixels
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        square = found[top : top + side, left : left + side]
        np.testing.assert_allclose(square, spread(heat, (side, side), (0, 0, side, side)), atol=1e-5)
        assert np.isnan(found).sum() == size[0] * size[1] - side * side
    assert side * side <= (~np.isnan(found)).sum() <= side * (side + 1)


@pytest.mark.parametrize("resize", ["squash", "crop", "native"])
@pytest.mark.parametrize("size", [(300, 200), (120, 500)])
def test_heat_lies_on_what_the_network_saw_there(resize: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size)
    left, top = size[0] // 2 + 20, size[1] // 2 - 40
    image.paste((255, 0, 0), (left, top, left + 25, top + 25))
    red = preprocessing(resize).to_array(image)[..., 0].astype(np.float32)
    heat = red.reshape(28, 4, 28, 4).mean(axis=(1, 3))  # a network that finds red, with 28 x 28 places
    found = np.nan_to_num(spread(heat, size, seen(size, resize)))
    centre = np.array([(found.sum(axis=1 - axis) @ np.arange(found.shape[axis])) / found.sum() for axis in (0, 1)])
    np.testing.assert_allclose(centre, (top + 12, left + 12), atol=0.5)


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    image = Image.fromarray(random.integers(0, 256, (77, 130, 3), dtype=np.uint8))
    for resize in ("squash", "crop", "native"):
        whole = heat_on_image(image, random_map(7, 7), seen(image.size, resize))
        monkeypatch.setattr("rexnet_ai_real.images.placement._ROWS", 10)
        strips = heat_on_image(image, random_map(7, 7), seen(image.size, resize))
        np.testing.assert_allclose(np.asarray(strips, int), np.asarray(whole, int), atol=1)
        monkeypatch.undo()


# Colours and scales


def test_colours_are_those_of_the_figures() -> None:
    heat = np.linspace(0, 1, 500, dtype=np.float32)
    expected = matplotlib.colormaps["inferno"](0.25 + 0.75 * heat)[:, :3] * 255
    np.testing.assert_allclose(heat_colours(heat), expected, atol=5)
    lightness = heat_colours(heat) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).all()  # more heat is lighter, for every colour vision


def test_without_heat_the_grey_image_stays_and_all_heat_leaves_it_visible() -> None:
    grey = np.arange(256, dtype=np.float32).reshape(16, 16)
    none, full = (painted(grey, np.full_like(grey, heat)).astype(int) for heat in (0, 1))
    np.testing.assert_array_equal(none, np.repeat(grey[..., None], 3, axis=2))
    assert (full[-1, -1] - full[0, 0] >= 50).all()


def test_on_a_shared_scale_equal_heat_has_equal_colour() -> None:
    weak, strong = np.full((2, 2), 0.2, dtype=np.float32), np.array([[0.2, 0.4]], dtype=np.float32)
    image = Image.new("RGB", (20, 20), "gray")

    def colour(heat: NDArray[np.float32], scale: Scale) -> Any:
        return heat_on_image(image, scale.positions(explanation(heat=heat)), WHOLE(image.size)).getpixel((0, 0))

    shared, own = Scale("", 0.4), Scale("")
    assert colour(weak, shared) == colour(strong, shared) == colour(strong, own)
    assert colour(weak, own) != colour(weak, shared)


def test_no_heat_at_all_is_said_and_leaves_the_image() -> None:
    nothing = explanation(heat=np.zeros((3, 3), dtype=np.float32))
    image = Image.new("RGB", (300, 300), (10, 20, 30))
    for scale in (Scale(""), Scale("", 0.0), Scale("", 2.0)):
        assert not scale.positions(nothing).any()
        shown = overlay.overlay(image, nothing, scale, WHOLE).crop((70, 0, 370, 300))
        assert shown.getcolors() == [(90_000, (image.convert("L").getpixel((0, 0)),) * 3)]


def test_evidence_that_is_spread_evenly_is_said_and_not_painted() -> None:
    even = np.ones((7, 7), dtype=np.float32) + 0.3 * random_map(7, 7)
    spot = np.full((7, 7), 0.01, dtype=np.float32)
    spot[2, 3] = 1.0
    image = Image.new("RGB", (300, 300), (10, 20, 30))
    for heat, is_painted in ((even, False), (spot, True), (np.ones((1, 1), np.float32), False)):
        given_ = explanation(heat=heat)
        assert given_.points_somewhere == is_painted
        shown = overlay.overlay(image, given_, Scale("unit", 1.3), WHOLE).crop((70, 0, 370, 300))
        assert (len(shown.getcolors(1 << 20) or ()) > 1) == is_painted
        tile = contact_sheet.tile(image, given_, Scale("unit"), WHOLE)
        assert tile.heated is not None
        assert (len(tile.heated.getcolors(1 << 20) or ()) > 1) == is_painted
        said = captions.about_heat(given_, Scale("unit"))
        assert ("spread too evenly to point anywhere" in said) != is_painted
        assert ("not which part is fake" in said) == is_painted
    assert explanation(heat=even).strongest_tenth == pytest.approx(0.1, abs=0.03)
    assert explanation(heat=spot).strongest_tenth > 0.6


def test_a_random_order_of_an_even_map_stays_even() -> None:
    """Maps without any structure, as of positions that do not matter, must not be painted as hot spots."""
    random = np.random.default_rng(0)
    painted_ = [explanation(heat=random.uniform(0.5, 1, (7, 7)).astype(np.float32)).points_somewhere for _ in range(99)]
    assert not any(painted_)


# Size and caption


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((640, 480), (640, 480)),
        ((200, 100), (200, 100)),
        ((1, 1), (256, 256)),
        ((100, 10), (200, 20)),
        ((900, 2), (900, 2)),
    ],
)
def test_overlays_have_the_resolution_of_their_image(size: tuple[int, int], shown: tuple[int, int]) -> None:
    made = overlay.overlay(Image.new("RGB", size, "teal"), explanation(), Scale("unit"), WHOLE)
    assert made.width == max(shown[0], overlay.NARROWEST)
    strip = captions.caption(made.width, 14, explanation(), Scale("unit"), ["x"] if shown != size else [])
    if shown[0] < 600:
        assert made.height == shown[1] + strip.height
    assert made.height > shown[1] + 100


def test_huge_images_are_shown_smaller_and_the_caption_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def overheard(*arguments: Any) -> Image.Image:
        said.extend(arguments[-1])
        return captions.caption(*arguments)

    monkeypatch.setattr(overlay, "LARGEST", 10_000)
    monkeypatch.setattr(overlay, "caption", overheard)
    made = overlay.overlay(Image.new("RGB", (1000, 500)), explanation(), Scale("unit"), SQUARE)
    assert made.width == overlay.NARROWEST
    assert said == ["Shown smaller: the image is 1000 x 500 pixels", "Striped: outside of what the network saw"]


def test_stripes_begin_where_the_network_saw_no_more_at_any_size_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    native = preprocessing("native").seen
    assert scaled(native((1000, 500)), (1000, 500), (200, 100)) == pytest.approx((88.8, 38.8, 111.2, 61.2))
    monkeypatch.setattr(overlay, "LARGEST", 20_000)
    made = overlay.overlay(Image.new("RGB", (1000, 500), "gray"), explanation(), Scale("unit"), native)
    left = (made.width - 200) // 2
    shown = np.asarray(made.convert("L").crop((left, 0, left + 200, 100)), int)
    assert shown[45:55, 95:105].mean() < 140  # grey as the image is, or darker under heat
    assert shown[:, 80:88].mean() > 160  # pale and striped
    assert shown[:37].mean() > 160


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=300), st.integers(40, 400))
def test_any_text_fits(text: str, width: int) -> None:
    letters = font(14)
    assert letters.getlength(fitted(text, letters, width)) <= width
    lines = wrapped(text, letters, width, 3)
    assert len(lines) <= 3
    assert all(letters.getlength(line) <= width for line in lines)
    assert plain(text).isascii()


def test_short_text_stays_and_long_text_keeps_both_ends() -> None:
    assert fitted("naïve.png", font(14), 500) == "naive.png"
    short = fitted("folder/" + 2000 * "x" + "/name.png", font(14), 200)
    assert short.startswith("folder/xx")
    assert short.endswith("/name.png")
    assert wrapped("one two", font(14), 500) == ["one two"]
    assert wrapped("one two three " * 20, font(14), 100, 2)[1].endswith("...")


# Names


def test_names_of_overlays_differ_when_paths_do_and_suit_every_file_system() -> None:
    paths = [
        *("a/x.png", "b/x.png", "x.png", "x.jpg", "X.png", "./x.png", "x y.png", "x_y.png", "x\ny.png", "", ".", "-"),
        *("CON", "日本.png", "\udce9.png", "a" * 5000, "a" * 5001, "..", "../../etc/passwd", "tab\t.png", "q?*:.png"),
    ]
    names = [overlay_name(path) for path in paths]
    assert len({name.lower() for name in names}) == len(paths)
    for name in names:
        assert len(name) <= 81
        assert name.removesuffix(".png").replace("_", "a").replace("-", "a").isalnum()
        assert name.isascii()
        assert not name.startswith(("-", "_"))
    assert overlay_name("a/x.png").startswith("x-")
    assert names == [overlay_name(path) for path in paths]


# Explanations


def test_answers_are_those_of_predict(detector: Detector, images: Path) -> None:
    found = list(Explainer(detector).explain(image_files(images), batch_size=2))
    expected = list(detector.predict(images))
    assert [(e.verdict.path, e.verdict.error) for e in found] == [(v.path, v.error) for v in expected]
    good = [(e, v) for e, v in zip(found, expected, strict=True) if v.error is None]
    assert [e.verdict.logit for e, _ in good] == pytest.approx([v.logit for _, v in good], abs=1e-4)
    assert len(good) == 5
    assert all("metadata" in e.provenance for e, _ in good)
    assert all(e.heat is not None and e.heat.shape == (3, 3) and e.heat.dtype == np.float32 for e, _ in good)


@pytest.mark.parametrize("target", ["predicted", "ai", "real"])
def test_the_exact_map_is_what_the_gradients_say(target: Any, detector: Detector, images: Path) -> None:
    files = [file for file in image_files(images) if "turned" in file.path]
    exact = list(Explainer(detector, "cam", target).explain(files))
    library = list(Explainer(detector, "gradcam", target).explain(files))
    assert len(exact) == 2
    for ours, theirs in zip(exact, library, strict=True):
        assert ours.heat is not None
        assert theirs.heat is not None
        assert ours.target == theirs.target
        np.testing.assert_allclose(spread(ours.heat, (96, 96), (0, 0, 96, 96)), theirs.heat, atol=1e-5)
    assert any(e.greatest > 0 for e in exact) or target != "predicted"


def test_heat_for_the_two_classes_adds_up_to_the_logit(detector: Detector, images: Path) -> None:
    maps = {target: [*Explainer(detector, target=target).explain(image_files(images))] for target in ("ai", "real")}
    bias = require_torch(detector.engine, "This test").networks[0].state_dict()["head.fc.bias"]
    for ai, real in zip(maps["ai"], maps["real"], strict=True):
        if ai.heat is not None and real.heat is not None:
            assert ai.verdict.logit == pytest.approx(
                float(ai.heat.sum() - real.heat.sum() + bias[AI] - bias[REAL]), abs=1e-4
            )
            assert not (ai.heat * real.heat).any()


def test_the_predicted_class_is_by_the_threshold_also_of_unsure_images(detector: Detector, images: Path) -> None:
    probability = next(detector.predict(images / "turned.jpg")).probability
    assert probability is not None
    for shift, expected in ((0.01, REAL), (-0.01, AI)):
        point = replace(
            detector.calibration, threshold=probability + shift, unsure_low=0.0, unsure_high=0.999999, n_real=9, n_ai=9
        )
        found = next(Explainer(detector.with_calibration(point)).explain(image_files(images / "turned.jpg")))
        assert (found.verdict.label, found.target) == ("unsure", expected)


def test_methods_are_those_of_the_library_and_the_exact_one() -> None:
    assert set(METHODS) == {"cam", *LIBRARY_METHODS}


class Graph:
    """An exported network without a map."""

    backend = "onnx"
    device = "cpu"

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros(len(images), dtype=np.float32)

    def logits_and_maps(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        raise UserError("this network has no exact class-activation map")


def test_what_cannot_explain_says_what_can(detector: Detector, images: Path) -> None:
    exported = replace(detector, engine=Graph())
    with pytest.raises(
        UserError, match="method=gradcam needs gradients, which backend=onnx does not give: use backend"
    ):
        Explainer(exported, "gradcam")
    with pytest.raises(UserError, match=r"no exact class-activation map.*choose another method, such as gradcam"):
        list(Explainer(exported).explain(image_files(images)))
    with pytest.raises(UserError, match="method=magic: expected one of cam, gradcam"):
        Explainer(detector, "magic")


def test_large_images_are_explained_few_at_a_time(
    detector: Detector, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = detector.preprocessing.image_size
    monkeypatch.setattr("rexnet_ai_real.detector.engines.engine.ROUTINE_SIZE", side - 1)
    monkeypatch.setattr("rexnet_ai_real.detector.engines.engine.PIXELS_AT_ONCE", 2 * side**2)
    batches, explained = [], Explainer._explained

    def noted(explainer: Explainer, batch: list[Any]) -> Iterator[Explanation]:
        batches.append(len(batch))
        return explained(explainer, batch)

    monkeypatch.setattr(Explainer, "_explained", noted)
    list(Explainer(detector, "gradcam").explain(image_files(images)))
    assert sum(batches) == 7
    assert max(batches) == 2


def test_explaining_and_drawing_are_lazy_and_bounded(detector: Detector, images: Path) -> None:
    taken = 0

    def endless() -> Iterator[Any]:
        nonlocal taken
        for file in itertools.cycle(image_files(images)):
            taken += 1
            yield file

    stream = drawn(Explainer(detector).explain(endless(), batch_size=4), Scale(""), WHOLE, workers=2)
    for number, _ in enumerate(itertools.islice(stream, 30), start=1):
        assert taken <= number + 3 * 4 + 3
    stream.close()  # type: ignore[attr-defined]


def test_set_aside_explanations_come_back_as_they_were() -> None:
    given_ = [explanation(str(number), number * random_map(7, 7)) for number in range(3)]
    failed = Explanation(Verdict.failed("\udce9", "empty file"))
    with set_aside([*given_, failed]) as (greatest, count, again):
        assert greatest == max(e.greatest for e in given_)
        assert count == 4
        *kept, last = again
        assert last == failed
        for before, after in zip(given_, kept, strict=True):
            assert before.verdict == after.verdict
            np.testing.assert_array_equal(before.heat, after.heat)


def test_an_exported_detector_is_explained_where_pytorch_is_not_installed(detector: Detector, images: Path) -> None:
    code = f"""
import sys
sys.modules |= dict.fromkeys(("torch", "torchvision", "matplotlib", "pandas", "scipy", "yaml", "hydra", "jinja2"))
from pathlib import Path
import numpy as np
import rexnet_ai_real.explain
from rexnet_ai_real.detector.description import UNCALIBRATED, Description
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.explain.explainer import Explainer
from rexnet_ai_real.detector.explanation import Scale
from rexnet_ai_real.explain.folder import ExplanationFolder, drawn
from rexnet_ai_real.images.walk import image_files
from rexnet_ai_real.images.preprocessing import Preprocessing

class Graph:
    backend = "onnx"
    def logits_and_maps(self, images):
        return np.zeros(len(images), np.float32), np.ones((len(images), 7, 7), np.float32)

preprocessing = Preprocessing.from_plain({detector.preprocessing.to_plain()!r})
detector = Detector(Graph(), Description({{}}, 1, preprocessing, UNCALIBRATED, {{}}, ""))
with ExplanationFolder(Path({str(images / "out")!r}), Scale("")) as output:
    explained = Explainer(detector).explain(image_files({str(images / "more")!r}))
    for made in drawn(explained, Scale(""), preprocessing.seen):
        output.add(made)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.stderr
    (row,) = rows_of(images / "out")
    assert (row["label"], row["target"], row["error"]) == ("ai", "ai", "")
    assert float(row["greatest_heat"]) == pytest.approx(1 / 49)
    assert (images / "out" / row["overlay"]).is_file()


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.9951, "> 99 % AI"), (0.0001, "< 1 % AI"), (0.99, "99 % AI"), (0.25, "25 % AI")]
)
def test_no_answer_reads_as_certain(probability: float, shown: str) -> None:
    assert captions.answer(explanation(probability=probability)) == f"AI-generated, {shown}"


def test_an_unsure_answer_says_which_way_it_leans_and_why() -> None:
    unsure = explanation(label="unsure", leaning="real", reason="the reason", remark="too small", probability=0.39)
    assert captions.answer(unsure) == "Unsure, leans real, 39 % AI"
    assert captions.cautions(unsure) == ["Not sure enough to promise: the reason", "Too small"]
    assert captions.cautions(explanation()) == []


# The command


def test_a_transformer_is_refused_before_anything_is_written_and_explained_by_tokens(
    detector: Detector,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = timm.create_model("vit_tiny_patch16_224", num_classes=2, img_size=96, depth=2).eval()
    engine = replace(require_torch(detector.engine, "This test"), networks=(network,))
    monkeypatch.setattr(Detector, "load", lambda *_, **__: replace(detector, engine=engine))
    command = ["vit.ckpt", str(images / "turned.jpg"), "-o", str(tmp_path / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "VisionTransformer has no exact class-activation map" in said
    assert "--method gradcam" in said
    assert "layer=" not in said
    assert not (tmp_path / "out").exists()
    assert main([*command, "--method", "gradcam"]) == 0
    (row,) = rows_of(tmp_path / "out")
    assert (tmp_path / "out" / row["overlay"]).is_file()


def test_answer_always_and_the_caution_reach_explanations_too(
    detector: Detector,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = replace(
        detector.calibration, unsure_low=0.0, unsure_high=NEVER_AI, coverage=0.0, error_target=0.1, confidence=0.9
    )
    monkeypatch.setattr(Detector, "load", lambda *_, **__: detector.with_calibration(point))
    (images / ".DS_Store").write_bytes(b"no image")
    (images / "more" / "=x.png").write_bytes((images / "more" / "turned.png").read_bytes())
    monkeypatch.chdir(images / "more")
    for answer_, labels in (("promised", {"unsure", "out of scope"}), ("always", {"ai", "real"})):
        paths = ["=x.png", str(images)]
        assert main(["someone/x", *paths, "-o", str(tmp_path / answer_), "--answer", answer_]) == 1
        rows = [row for row in rows_of(tmp_path / answer_) if not row["error"]]
        assert {row["label"] for row in rows} <= labels
        assert all(row["leaning"] in ("ai", "real") for row in rows)
        reasons = {row["reason"] for row in rows}  # one of the images is flat, and has its own
        assert "this detector cannot promise at most 10 % wrong answers on any images" in reasons
        assert len(reasons) == 2
        assert rows[0]["path"] == "./=x.png"
        assert {row["points_somewhere"] for row in rows} <= {"yes", "no"}
    said = capsys.readouterr()
    assert "An answer is no proof. This detector was wrong on" in said.out
    assert "Metadata can be forged" in said.out
    assert "files of the operating system, such as .DS_Store, Thumbs.db and ._*: 1\n" in said.err


def test_two_writers_in_one_folder_are_one_clear_error(tmp_path: Path) -> None:
    with (
        ExplanationFolder(tmp_path / "out", Scale("")),
        pytest.raises(UserError, match="is being written by another process"),
    ):
        ExplanationFolder(tmp_path / "out", Scale(""))


def test_the_command_fills_a_folder(
    tiny_run: RunFolder,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folder, "PER_PAGE", 3)
    output = tmp_path / "out"
    assert main([str(tiny_run.path), str(images), "--output", str(output), "--shared-scale"]) == 1
    assert "Explained 5 of 7 files" in capsys.readouterr().out
    rows = rows_of(output)
    expected = list(Detector.load(tiny_run.path).predict(images))
    assert [row["path"] for row in rows] == [verdict.path for verdict in expected]
    assert [row["error"] for row in rows] == [verdict.error or "" for verdict in expected]
    written = {str(file.relative_to(output)) for file in output.rglob("*") if file.is_file()}
    sheets = {f"contact_sheet_{number:03}.png" for number in (1, 2, 3)}
    assert written == {"explained.csv", *sheets, *(row["overlay"] for row in rows if row["overlay"])}
    for row, verdict in zip(rows, expected, strict=True):
        if verdict.error:
            assert not row["overlay"]
            continue
        assert float(row["probability"]) == pytest.approx(verdict.probability, abs=0.02)  # bf16, other batches
        assert (row["label"], row["target"]) == (verdict.label, verdict.leaning)
        assert row["provenance"]
        assert float(row["greatest_heat"]) <= float(row["scale_top"])
        with Image.open(output / row["overlay"]) as made:
            assert made.format == "PNG"
            made.load()
    assert len({row["scale_top"] for row in rows if row["overlay"]}) == 1
    assert max(float(row["greatest_heat"]) for row in rows if row["overlay"]) == float(
        rows[1]["scale_top"] or rows[2]["scale_top"]
    )
    turned = next(row for row in rows if row["path"].endswith("turned.jpg"))
    with Image.open(output / turned["overlay"]) as made:  # 90 x 40 pixels as stored, shown twice as large, upright
        assert made.width == overlay.NARROWEST
        assert made.height > 180 + 100


def test_an_output_that_holds_something_is_kept_unless_told(
    tiny_run: RunFolder, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = images / "explained"  # inside the folder whose images are explained
    command = [str(tiny_run.path), str(images), "--output", str(output)]
    assert main(command) == 1
    first = rows_of(output)
    (output / "contact_sheet_007.png").write_text("of an earlier time")
    (output / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert main(command) == 2
    assert "is not empty: name another folder, or give --overwrite" in capsys.readouterr().err
    assert rows_of(output) == first
    assert main([*command, "--overwrite", "--no-sheet"]) == 1
    again = rows_of(output)
    assert [row["path"] for row in again if "notes" not in row["path"]] == [row["path"] for row in first]
    assert (output / "notes.txt").read_text() == "mine"
    assert not list(output.glob("contact_sheet_*"))
    assert main([*command[:-1], str(images / "one.png")]) == 2
    assert "is a file: name a folder" in capsys.readouterr().err


def test_wrong_commands_are_told_in_one_line(
    tiny_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([str(tmp_path / "absent"), "x.png"], "does not exist"),
        ([str(tiny_run.path), str(tmp_path / "empty")], "no files in"),
        ([str(tiny_run.path), "x.png", "--backend", "onnx"], "export it first"),
    ):
        assert main([*arguments, "--output", str(tmp_path / "out"), "--overwrite"]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
    assert main([str(tiny_run.path), "x.png", "--output", str(tmp_path / "new")]) == 1


def test_when_stopped_the_folder_holds_what_was_done(tmp_path: Path) -> None:
    original = tmp_path / "a.png"
    Image.new("RGB", (30, 20), "teal").save(original)

    def stopped() -> Iterator[Explanation]:
        yield from (explanation(str(original)) for _ in range(6))
        raise KeyboardInterrupt

    def write() -> None:
        with ExplanationFolder(tmp_path / "out", Scale("unit")) as output:
            for made in drawn(stopped(), Scale("unit"), WHOLE, workers=1):
                output.add(made)

    with pytest.raises(KeyboardInterrupt):
        write()
    rows = rows_of(tmp_path / "out")
    assert 0 < len(rows) <= 6
    for name in ("contact_sheet_001.png", rows[0]["overlay"]):
        with Image.open(tmp_path / "out" / name) as image:
            image.load()


def test_ctrl_c_ends_the_command_in_one_line(
    tiny_run: RunFolder,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add = ExplanationFolder.add

    def pressed(output: ExplanationFolder, drawn_: folder.Drawn) -> None:
        if "more" in drawn_.explanation.verdict.path:
            raise KeyboardInterrupt
        add(output, drawn_)

    monkeypatch.setattr(ExplanationFolder, "add", pressed)
    output = tmp_path / "out"
    assert main([str(tiny_run.path), str(images / "*.jpg"), str(images / "more"), "-o", str(output)]) == 130
    assert "Interrupted. What was written is complete." in capsys.readouterr().err
    assert [Path(row["path"]).name for row in rows_of(output)] == ["text.jpg", "turned.jpg"]
    assert (output / "contact_sheet_001.png").stat().st_size > 0


def test_a_full_disk_and_a_vanished_image_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = next(drawn([explanation(str(tmp_path / "gone.png"))], Scale(""), WHOLE))
    assert gone.overlay is None
    assert gone.explanation.verdict.error == "changed while it was explained: no such file"
    output = ExplanationFolder(tmp_path / "out", Scale(""))
    output.add(gone)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_atomically", full)
    with pytest.raises(UserError, match="out cannot be written: no space left on device"):
        output.add(replace(gone, overlay=b"png"))
    with pytest.raises(UserError, match="no space left on device"):
        output.__exit__()
    assert [row["path"] for row in rows_of(tmp_path / "out")] == [str(tmp_path / "gone.png")]


def test_pages_hold_every_kind_of_tile() -> None:
    image = Image.new("RGB", (400, 100), "teal")
    tiles = [
        contact_sheet.tile(image, explanation(label=label, path=f"/x/{label}.png"), Scale("unit"), SQUARE)
        for label in ("ai", "real", "unsure")
    ]
    failed = contact_sheet.Tile(Explanation(Verdict.failed("no/slash/", "truncated PNG " * 50)))
    made = contact_sheet.page([*tiles, failed, *tiles], 1, Scale("unit", 3.0))
    fewer = contact_sheet.page([failed], 2, Scale("unit"))
    assert made.height - fewer.height == made.height - contact_sheet.page(tiles, 1, Scale("unit")).height > 200
    for label in ("ai", "real", "unsure"):
        colour = Image.new("RGB", (1, 1), LABEL_COLOURS[label]).getpixel((0, 0))
        assert colour in {shade for _, shade in made.getcolors(1 << 24) or []}
    stored = io.BytesIO()
    made.save(stored, "PNG")
    assert stored.tell() < 1 << 20


def test_real_images_are_explained(tiny_run: RunFolder, shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "kaggle-raw").rglob("*.*"), key=lambda file: file.stat().st_size)
    chosen = [str(file) for file in files if file.is_file()][:3]
    assert main([str(tiny_run.path), *chosen, "--output", str(tmp_path / "out"), "--method", "layercam"]) == 0
    for row in rows_of(tmp_path / "out"):
        with Image.open(row["path"]) as given_, Image.open(tmp_path / "out" / row["overlay"]) as made:
            assert made.width >= given_.width
            assert made.height > given_.height
