"""The audit of file facts on sets with a planted shortcut, without one, and on real files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from rexnet_ai_real.evaluate.audits import shortcuts
from rexnet_ai_real.evaluate.audits.container import ContainerFacts, read_containers
from rexnet_ai_real.evaluate.audits.shortcuts import FileAudit, audit_files

Write = Callable[[Image.Image, Path, int], Path]
DRAWS = 200


@pytest.fixture(autouse=True)
def small_forest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the trees is enough for planted shortcuts; real files get the whole forest."""
    if "shared_data" not in request.fixturenames:
        monkeypatch.setattr(shortcuts, "_TREES", 10)


def audited(folder: Path, write: Write, *, n: int = 60, seed: int = 0) -> tuple[FileAudit, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    paths = []
    for number, label in enumerate(labels.tolist()):
        width, height = random.integers(16, 40, 2)
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        paths.append(write(image, folder / f"{number:03d}", label))
    facts = read_containers(paths, progress=False)
    assert not [each for each in facts if each.problem]
    return audit_files(facts, labels, np.arange(n), resamples=DRAWS, progress=False), labels


def test_formats_by_class_are_found(tmp_path: Path) -> None:
    """Reals are JPEG, AI-generated are PNG, half of them under a name that ends in .jpg."""

    def write(image: Image.Image, stem: Path, label: int) -> Path:
        path = stem.with_suffix(".png" if int(stem.name) % 4 == 1 else ".jpg")
        image.save(path, "PNG" if label else "JPEG")
        return path

    audit, labels = audited(tmp_path, write)
    assert audit.auroc.value > 0.99
    assert audit.auroc.value == pytest.approx(roc_auc_score(labels, audit.logits))
    assert audit.rule is not None
    assert audit.rule_right == 60
    assert audit.rule_balanced_accuracy.value > 0.95  # held out: a fold of another partition may miss one
    strengths = {fact.name: fact.auroc.value for fact in audit.facts}
    assert strengths["container"] > 0.99 > strengths["extension"] > 0.6
    assert [(each.name, each.real, each.ai) for each in audit.containers] == [("JPEG", 30, 0), ("PNG", 0, 30)]
    assert (audit.lying_extensions.real, audit.lying_extensions.ai) == (0, 15)
    assert "nearly give the class away" in audit.finding
    assert "right for 100% of the files (60 of 60)" in audit.finding
    assert "15 extensions contradict the content (0 of real files)" in audit.finding


def test_a_usual_size_is_found(tmp_path: Path) -> None:
    """All but six AI-generated images are 512 x 512, reals are of any size; all are JPEG."""

    def write(image: Image.Image, stem: Path, label: int) -> Path:
        path = stem.with_suffix(".jpg")
        (image.resize((512, 512)) if label and int(stem.name) % 10 != 1 else image).save(path)
        return path

    audit, _ = audited(tmp_path, write)
    assert audit.auroc.low > 0.7
    assert audit.rule is not None
    assert audit.rule_right >= 54
    assert audit.rule_balanced_accuracy.low > 0.7
    assert "The strongest rule" in audit.finding


def test_compression_by_class_is_found(tmp_path: Path) -> None:
    def write(image: Image.Image, stem: Path, label: int) -> Path:
        path = stem.with_suffix(".jpg")
        image.save(path, quality=85 if label else 88, progressive=int(stem.name) % 3 == 0)
        return path

    audit, _ = audited(tmp_path, write)
    assert audit.auroc.value > 0.99
    assert audit.facts[0].name in {"JPEG quality", "luminance step", "chrominance step", "quantisation tables"}


def test_no_shortcut_none_found(tmp_path: Path) -> None:
    def write(image: Image.Image, stem: Path, label: int) -> Path:
        path = stem.with_suffix(".jpg")
        image.save(path, quality=90)
        return path

    audits = []
    for seed in range(4):
        (tmp_path / str(seed)).mkdir()
        audits.append(audited(tmp_path / str(seed), write, n=80, seed=seed)[0])
    # One interval of twenty misses 0.5 by chance; which one depends on the versions of NumPy and scikit-learn.
    silent = [audit for audit in audits if audit.auroc.low <= 0.5 and audit.rule_balanced_accuracy.low <= 0.5]
    assert len(silent) >= 3
    for audit in silent:
        assert "do not tell the classes apart beyond chance" in audit.finding
        assert "No rule of one or two conditions is better than chance" in audit.finding


def test_duplicates_do_not_pass_for_evidence() -> None:
    """Four copies of each of 20 files, sizes by chance: kept apart they look like a rule, kept together they do not."""
    random = np.random.default_rng(3)
    sizes = random.integers(100, 2000, 20)
    facts = [ContainerFacts(".jpg", int(size) * 100, "JPEG", int(size), 300) for size in np.repeat(sizes, 4)]
    labels, groups = np.repeat(np.arange(20) % 2, 4), np.repeat(np.arange(20), 4)
    apart = audit_files(facts, labels, np.arange(80), resamples=DRAWS, progress=False)
    together = audit_files(facts, labels, groups, resamples=DRAWS, progress=False)
    assert apart.auroc.low > 0.8
    assert together.auroc.low <= 0.5


def test_files_all_alike() -> None:
    audit = audit_files(
        [ContainerFacts(".jpg", 1000, "JPEG", 32, 32)] * 20, np.arange(20) % 2, np.arange(20), progress=False
    )
    assert (audit.rule, audit.facts, audit.auroc.value) == (None, (), 0.5)
    assert "only pixels can tell them apart" in audit.finding


def test_one_odd_file_among_many() -> None:
    """In the folds that hold it out, no fact varies."""
    facts = [ContainerFacts(".jpg", 1000, "JPEG", 32, 32, exif=number == 0) for number in range(20)]
    audit = audit_files(facts, np.arange(20) % 2, np.arange(20), resamples=DRAWS, progress=False)
    assert "beyond chance" in audit.finding


def test_too_few_files_of_a_class() -> None:
    facts = [ContainerFacts(".jpg", 1000 + number, "JPEG", 32, 32) for number in range(12)]
    with pytest.raises(ValueError, match="at least 5 independent files of each class, found 3 of class ai"):
        audit_files(facts, np.array([0] * 9 + [1] * 3), np.arange(12))


def test_real_files_of_mixed_formats(shared_data: Path) -> None:
    """57 AI-generated and 55 real files as downloaded: 13 and 5 of them are PNG."""
    paths = sorted(path for path in (shared_data / "kaggle-raw").rglob("*") if path.is_file())
    labels = np.array([int("AiArtData" in path.parts) for path in paths])
    audit = audit_files(
        read_containers(paths, progress=False), labels, np.arange(len(paths)), resamples=DRAWS, progress=False
    )
    assert [(each.name, each.real, each.ai) for each in audit.containers] == [("JPEG", 50, 44), ("PNG", 5, 13)]
    assert audit.auroc.low > 0.5
    assert "PNG 5 of 55 and 13 of 57" in audit.finding
