"""The report's pieces: the document in both forms, the first paragraph, parts with their operating points, answers."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss, recall_score, roc_auc_score

from rexnet_ai_real.config import ConfigError, DataConfig, EvaluateConfig
from rexnet_ai_real.detector.description import UNCALIBRATED
from rexnet_ai_real.evaluate.part import ONE, Part, measure
from rexnet_ai_real.evaluate.report.document import (
    Caution,
    Document,
    Findings,
    Illustration,
    Paragraph,
    Risk,
    Section,
    Table,
)
from rexnet_ai_real.evaluate.report.evaluation import Evaluation
from rexnet_ai_real.evaluate.report.formatting import number, percent, signed, written
from rexnet_ai_real.evaluate.report.gallery import Gallery
from rexnet_ai_real.evaluate.report.html import html
from rexnet_ai_real.evaluate.report.markdown import markdown
from rexnet_ai_real.evaluate.report.opening import largest_risk
from rexnet_ai_real.evaluate.report.sections import SECTIONS, mistakes
from rexnet_ai_real.evaluate.report.sections.groups import Groups, collections_of, groups_of, real_kinds
from rexnet_ai_real.evaluate.report.sections.shortcuts import file_audit
from rexnet_ai_real.evaluate.report.sections.sources import SourceScore, source_blocks
from rexnet_ai_real.evaluate.report.write import wanted, write_report
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.metrics.scores import Scores
from rexnet_ai_real.metrics.selective import measure_answers

NASTY = 'a<script>alert("x")</script>|b\nc [x](//example.com) \x1b[2J\udcff.png'


def a_part(n: int = 120, folds: int = 1, seed: int = 0, **columns: object) -> Part:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    rows = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(n)],
            "label": labels,
            "source": "",
            "collection": "",
            "group": [f"g{i}" for i in range(n)],
            "sha256": [f"{random.integers(2**60):x}" for _ in range(n)],
            "fold": ONE if folds == 1 else np.arange(n) // 2 % folds,
            "logit": 2.0 * labels - 1 + random.normal(size=n),
        }
    ).assign(**columns)
    calibrations = {
        fold: replace(UNCALIBRATED, temperature=1.0 + fold, threshold=0.3 + 0.1 * fold, unsure_low=0.1, unsure_high=0.9)
        for fold in range(folds)
    }
    return Part("test", "test images", rows, DataConfig(name="folder"), calibrations or {})


def one_fold(part: Part) -> Part:
    return replace(part, calibrations={ONE: replace(UNCALIBRATED, temperature=2.0, threshold=0.7, unsure_high=0.8)})


def a_document() -> Document:
    figure = Illustration(
        "curve", f"A figure of {NASTY}", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    )
    table = Table(("Image", "Value"), ((NASTY, Estimate(0.5, 0.4, 0.6)), ("none", Estimate.undefined("why"))), bars=1)
    found = Findings(f"Found {NASTY}.", (Paragraph(NASTY), Caution(NASTY), table, figure))
    whole = Section("metrics", "How good is it?", found)
    broken = Section("robustness", "Does it last?", Findings("Not made.", failed=f"gone: {NASTY}"))
    about = Table(("", ""), (("Evaluated", NASTY),))
    return Document("Title", "subtitle", (("What was found", NASTY),), (whole, broken), about)


def test_html_needs_nothing_from_outside() -> None:
    text = html(a_document())
    assert not re.search(r"https?:", text)
    assert not re.search(r"<(link|iframe|object)\b|@import|<script[^>]+src|url\(", text)
    assert set(re.findall(r'src="([^":]+):', text)) == {"data"}


def test_words_from_outside_stay_words() -> None:
    document = a_document()
    text = html(document)
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;") >= 7
    lines = markdown(document).splitlines()
    row = next(line for line in lines if line.startswith("| a&lt;script>"))
    assert row.replace("\\|", "").count("|") == 3  # the bar inside the name is escaped
    assert "<script>" not in markdown(document)
    assert "](/" not in markdown(document)
    for written_out in (text, markdown(document)):
        assert "\\x1b[2J" in written_out  # seen, and steering nothing
        assert not any(letter < " " and letter != "\n" for letter in written_out)
        written_out.encode()  # names that are no UTF-8 do not stop the report


def test_both_forms_say_the_same() -> None:
    document = a_document()
    for text in (html(document), markdown(document)):
        for words in (
            "Title",
            "subtitle",
            "How good is it?",
            "0.500",
            "[0.400, 0.600]",
            "Does it last?",
            "Evaluated",
        ):
            assert words in text
    assert document.failures == [f"Does it last?: gone: {NASTY}"]


def test_cells_read_well() -> None:
    assert written(Estimate(0.8421, 0.80149, 0.88)) == "0.842 [0.801, 0.880]"
    assert written(Estimate(0.5, float("nan"), float("nan"), "one group")) == "0.500"
    assert written(Estimate.undefined("one class")) == written(None) == written(float("nan")) == "–"
    assert written(12345) == "12,345"
    assert number(-0.0001) == "0.000"
    assert number(-0.25) == "\N{MINUS SIGN}0.250"
    assert signed(Estimate(0.05, -0.01, 0.11)) == "+0.050 [\N{MINUS SIGN}0.010, +0.110]"
    assert percent(Estimate(0.5, 0.25, 0.75)) == "50.0% (95% interval 25.0 to 75.0)"
    assert percent(Estimate.undefined("no images")) == "unknown (no images)"


def test_figures_are_saved_and_embedded(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    drawn, shown = Figure(figsize=(2, 2)), Figure(figsize=(9, 2))
    for figure in (drawn, shown):
        figure.subplots().plot([0, 1])
    vector, pixels = gallery.add(drawn, "a", "words"), gallery.add(shown, "b", "words", photographs=True)
    assert b"<svg" in vector.content
    assert not vector.wide
    assert pixels.content.startswith(b"\x89PNG")
    assert pixels.wide
    assert {p.name for p in gallery.folder.iterdir()} == {"a.png", "a.pdf", "b.png", "b.pdf"}


def test_the_largest_risk_comes_first() -> None:
    risks = [Risk(0.1, "small"), Risk(0.4, "large"), Risk(0.2, "middle")]
    assert largest_risk(risks, []) == "large. Next: middle."
    assert largest_risk(risks[:1], [Risk(0.1, "x"), Risk(0.2, "y")]) == "small. Also untested: y; x."
    assert largest_risk([], [Risk(0.1, "x")]) == "unknown, since untested: x."
    assert "stays open" in largest_risk([], [])


def test_metrics_of_a_part_are_those_of_its_operating_point() -> None:
    part = one_fold(a_part())
    at_half, chosen = measure(part, resamples=50, seed=0)
    labels = part.rows["label"]
    probability = 1 / (1 + np.exp(-part.rows["logit"] / 2))
    assert at_half.accuracy.value == pytest.approx(accuracy_score(labels, probability >= 0.5))
    assert chosen.accuracy.value == pytest.approx(accuracy_score(labels, probability >= 0.7))
    assert chosen.recall.value == pytest.approx(recall_score(labels, probability >= 0.7))
    assert chosen.auroc == at_half.auroc
    assert at_half.auroc.value == pytest.approx(roc_auc_score(labels, probability))
    assert at_half.nll.value == pytest.approx(log_loss(labels, probability))


def test_every_fold_has_its_own_operating_point() -> None:
    part = a_part(folds=3)
    _, chosen = measure(part, resamples=50, seed=0)
    folds, logits = part.rows["fold"].to_numpy(), part.rows["logit"].to_numpy()
    called = 1 / (1 + np.exp(-logits / (1 + folds))) >= 0.3 + 0.1 * folds
    assert chosen.accuracy.value == pytest.approx(accuracy_score(part.rows["label"], called))
    shifted = part.margins(np.stack([logits, logits - 100], axis=1))
    np.testing.assert_array_equal(shifted[:, 0] >= 0, called)
    assert not (shifted[:, 1] >= 0).any()
    assert set(part.table.columns) >= {"set", "path", "label", "fold", "logit", "probability", "verdict"}
    unsure = (part.scores.probabilities >= 0.1) & (part.scores.probabilities < 0.9)
    np.testing.assert_array_equal(part.verdicts == "unsure", unsure)


def test_a_draw_keeps_the_shares_and_does_not_depend_on_the_order_of_rows() -> None:
    part = a_part(120, label=(np.arange(120) % 4 == 0).astype(int))
    drawn = part.drawn(40)
    assert drawn.rows["label"].value_counts().to_dict() == {0: 30, 1: 10}
    shuffled = replace(part, rows=part.rows.sample(frac=1, random_state=1).reset_index(drop=True))
    assert set(shuffled.drawn(40).rows["path"]) == set(drawn.rows["path"])
    assert part.drawn(None) is part.drawn(500) is part


def test_a_draw_is_as_good_as_the_whole() -> None:
    """Classes, sources and scores keep their shares, so the sample starts where all images are, not points below."""
    gaps, random_gaps = [], []
    for seed in range(20):
        source = np.random.default_rng(seed).choice(["a", "b", "c"], 900, p=[0.7, 0.2, 0.1])
        part = a_part(900, seed=seed, source=source)
        drawn = part.drawn(192)
        assert len(drawn) == 192
        assert drawn.rows.groupby(["label", "source"]).size().to_numpy() == pytest.approx(
            part.rows.groupby(["label", "source"]).size().to_numpy() * 192 / 900, abs=1
        )
        right = [((rows["logit"] >= 0) == rows["label"]).mean() for rows in (part.rows, drawn.rows)]
        gaps.append(abs(right[0] - right[1]))
        random_gaps.append(abs(right[0] - ((part.rows["logit"] >= 0) == part.rows["label"]).head(192).mean()))
    assert np.mean(gaps) < 0.5 * np.mean(random_gaps)
    assert max(gaps) < 0.03


def test_a_dash_says_why_in_both_forms() -> None:
    table = Table(("Metric", "Value"), (("AUROC", Estimate.undefined("needs both classes")), ("Accuracy", 0.0)))
    document = replace(a_document(), sections=(Section("metrics", "?", Findings("Found.", (table,))),))
    for text in (html(document), markdown(document)):
        assert "–: needs both classes." in text
    assert "| AUROC | – |" in markdown(document)
    assert Table(("",), ((0.5,),)).footnote == ""


def test_answers_are_counted_by_hand() -> None:
    scores = Scores.of([0, 0, 0, 1, 1, 1], [0.0] * 6)
    verdicts = np.array(["real", "ai", "unsure", "ai", "ai", "unsure"])
    found = measure_answers(scores, verdicts, resamples=400, seed=0)
    assert (found.answered, found.wrong) == (4, 1)
    assert found.coverage.value == pytest.approx(4 / 6)
    assert found.error.value == pytest.approx(1 / 4)
    assert found.error.low < 1 / 4 < found.error.high
    everything = measure_answers(scores, np.array(["real"] * 3 + ["ai"] * 3), resamples=400, seed=0)
    assert everything.error.value == 0
    assert everything.error.high > 0.3  # six right answers of six leave much room
    assert not measure_answers(scores, np.array(["unsure"] * 6), resamples=50, seed=0).error.defined


def test_files_all_alike_need_no_table_of_facts(tmp_path: Path) -> None:
    for row in range(20):
        pixels = np.random.default_rng(row).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.png", "BMP")
    digests = [hashlib.sha256((tmp_path / f"{row}.png").read_bytes()).hexdigest() for row in range(20)]
    part = replace(one_fold(a_part(20, sha256=digests)), data=DataConfig(name="folder", root=str(tmp_path)))
    evaluation = SimpleNamespace(
        part=part, settings=EvaluateConfig(run="", resamples=20), gallery=Gallery(tmp_path / "figures")
    )
    found = file_audit(cast(Evaluation, evaluation))
    assert "only pixels can tell them apart" in found.finding
    assert not any(isinstance(block, Table) for block in found.blocks)


def called(part: Part, score: SourceScore) -> tuple[np.ndarray, np.ndarray]:
    rows = part.rows[(part.rows["source"] == score.source) & (part.rows["label"] == score.label)]
    return rows["label"].to_numpy(), (rows["logit"] >= 0).to_numpy()


def test_the_worst_source_stands_first_and_small_ones_are_marked_and_last() -> None:
    n = 200
    source = np.where(np.arange(n) % 2 == 0, "camera", np.where(np.arange(n) < 20, "tiny", "painter")).astype(object)
    source[101::2] = "sculptor"
    part = one_fold(a_part(n, source=source))
    part = replace(part, rows=part.rows.assign(logit=np.where(source == "sculptor", -3.0, part.rows["logit"])))
    found = source_blocks(part, resamples=50, seed=0)
    by_name = {score.source: score for score in found.scores}
    assert by_name["tiny"].is_small
    assert by_name["sculptor"].correct.value == 0
    (caution,) = [block.words for block in found.blocks if isinstance(block, Caution)]
    assert "Most errors: sculptor (AI, 50 images), 50 of them wrong" in caution
    assert "tiny (10)" in caution
    assert "sculptor" in found.risks[0].words
    correct = [accuracy_score(*called(part, score)) for score in found.scores]
    assert correct[:-1] == sorted(correct[:-1])
    assert [found.scores[0].source, found.scores[-1].source] == ["sculptor", "tiny"]
    assert found.worst[0].startswith("The worst of 3 sources is sculptor (AI, 50 images): 0.0% (95% interval 0.0 to")
    painters = part.rows[(part.rows["source"] == "painter") | (part.rows["label"] == 0)]
    assert by_name["painter"].auroc.value == pytest.approx(roc_auc_score(painters["label"], painters["logit"]))
    assert not source_blocks(one_fold(a_part()), resamples=50, seed=0).blocks


def two_collections(n: int = 240) -> Part:
    """Art of both classes, whose photographs of snow raise false alarms, and a collection of AI images alone."""
    index = np.arange(n)
    label = np.where(index < 160, index % 2, 1)
    collection = np.where(index < 160, "art", "only ai").astype(object)
    source = np.where((label == 0) & (index < 80), "snow", np.where(label == 0, "faces", "")).astype(object)
    part = one_fold(a_part(n, label=label, collection=collection, source=source))
    logit = np.where(source == "snow", part.rows["logit"] + 2, part.rows["logit"] + 2.0 * label)
    return replace(part, rows=part.rows.assign(logit=logit))


def test_false_alarms_are_counted_by_kind_of_real_image() -> None:
    part = two_collections()
    found = real_kinds(part, resamples=50, seed=0)
    assert [(kind.name, kind.n) for kind in found] == [("art / snow", 40), ("art / faces", 40)]
    for kind in found:
        here = part.rows["source"] == kind.name.removeprefix("art / ")
        alarms = (1 / (1 + np.exp(-part.rows["logit"][here] / 2)) >= 0.7).mean()
        assert kind.false_alarms.value == pytest.approx(alarms)
        assert kind.false_alarms.low <= alarms <= kind.false_alarms.high
    one = replace(part, rows=part.rows.assign(collection=""))
    assert [kind.name for kind in real_kinds(one, resamples=50, seed=0)] == ["snow", "faces"]
    assert real_kinds(one_fold(a_part()), resamples=50, seed=0) == []


def test_a_collection_of_one_class_is_ranked_against_all_images_of_the_other() -> None:
    part = two_collections()
    found = {each.name: each for each in collections_of(part, resamples=50, seed=0)}
    rows = part.rows
    for name, those in (("art", rows["collection"] == "art"), ("only ai", (rows["label"] == 0) | (rows.index >= 160))):
        expected = roc_auc_score(rows["label"][those], rows["logit"][those])
        assert found[name].ranked.auroc.value == pytest.approx(expected)
    alone = rows[rows["collection"] == "only ai"]
    assert found["only ai"].decided.accuracy.value == pytest.approx((alone["logit"] / 2 >= np.log(0.7 / 0.3)).mean())
    assert not found["only ai"].decided.specificity.defined
    groups = groups_of(part, resamples=50, seed=0)
    assert f"The worst of 2 collections is {next(iter(found))}: AUROC" in groups.worst
    assert set(groups.metrics) == {"sources", "false_alarms", "collections"}
    assert groups_of(one_fold(a_part()), resamples=50, seed=0) == Groups((), {}, (), "")


def an_evaluation(part: Part, folder: Path) -> Evaluation:
    settings = EvaluateConfig(run="", resamples=20)
    return cast(Evaluation, SimpleNamespace(part=part, settings=settings, gallery=Gallery(folder / "figures")))


def photographed(part: Part, folder: Path) -> Part:
    """The part with a file for each of its images."""
    for path in part.rows["path"]:
        Image.effect_noise((40, 20), 60).save(folder / path)
    digests = [hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in part.rows["path"]]
    return replace(part, rows=part.rows.assign(sha256=digests), data=DataConfig(name="folder", root=str(folder)))


def test_the_surest_mistakes_are_shown(tmp_path: Path) -> None:
    part = photographed(one_fold(a_part(200, source="camera", collection="art")), tmp_path)
    found = mistakes.findings(an_evaluation(part, tmp_path))
    probability = 1 / (1 + np.exp(-part.rows["logit"] / 2))
    for key, label, wrong in (("false_alarms", 0, probability >= 0.7), ("missed", 1, probability < 0.7)):
        expected = probability[wrong & (part.rows["label"] == label)].sort_values(ascending=label == 1)
        assert found.metrics[key]["n"] == len(expected)
        listed = found.metrics[key]["surest"]
        assert [each["probability"] for each in listed] == pytest.approx(expected.head(24).tolist())
        assert listed[0].keys() == {"path", "source", "collection", "probability"}
        with Image.open(tmp_path / "figures" / f"{key}.png") as sheet:
            assert sheet.width < 1200
        assert (tmp_path / "figures" / f"{key}.pdf").read_bytes().startswith(b"%PDF")
    shown = [block for block in found.blocks if isinstance(block, Illustration)]
    assert all(block.content.startswith(b"\xff\xd8") and len(block.content) < 500_000 for block in shown)
    assert len(shown) == 2


def test_mistakes_that_are_gone_or_changed_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    part = photographed(one_fold(a_part(60)), tmp_path)
    whole = mistakes.findings(an_evaluation(part, tmp_path))
    first, second = (each["path"] for each in whole.metrics["missed"]["surest"][:2])
    (tmp_path / first).unlink()
    Image.new("RGB", (4, 4)).save(tmp_path / second)
    found = mistakes.findings(an_evaluation(part, tmp_path))
    words = [block.words for block in found.blocks if isinstance(block, Paragraph)]
    count = len(whole.metrics["missed"]["surest"])
    (said,) = [said for said in words if "cannot be shown any more" in said]
    assert said.startswith(f"2 of the {count} surest")
    assert first in said
    assert found.metrics == whole.metrics
    moved = replace(part, data=DataConfig(name="folder", root=str(tmp_path / "gone")))
    found = mistakes.findings(an_evaluation(moved, tmp_path))
    assert not any(isinstance(block, Illustration) for block in found.blocks)
    assert "cannot be shown as pictures" in " ".join(b.words for b in found.blocks if isinstance(b, Paragraph))


def test_near_duplicates_are_shown_once(tmp_path: Path) -> None:
    part = one_fold(a_part(60, group="all alike"))
    found = mistakes.findings(an_evaluation(photographed(part, tmp_path), tmp_path))
    assert [len(found.metrics[key]["surest"]) for key in ("false_alarms", "missed")] == [1, 1]


def test_sections_are_checked_before_any_work() -> None:
    nowhere = EvaluateConfig(run="nowhere", sections=["metrics", "colours"])
    with pytest.raises(ConfigError, match=r"sections=\['metrics', 'colours'\]: expected some of metrics, calibration"):
        write_report(nowhere)
    with pytest.raises(ConfigError, match="expected some of"):
        write_report(replace(nowhere, sections=[]))
    with pytest.raises(
        ConfigError, match=r"against=other: add comparison to sections=\['metrics'\], or leave against out"
    ):
        write_report(replace(nowhere, sections=["metrics"], against="other"))
    left = {entry.key for entry in wanted(EvaluateConfig(run="nowhere"))}
    assert set(SECTIONS) - left == {"comparison", "collections"}
