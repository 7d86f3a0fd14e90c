"""The synthetic images: repeatable, whole or absent, alike in all but the trace that tells the classes apart."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rexnet_ai_real.data import synthetic
from rexnet_ai_real.data.scenes import render
from rexnet_ai_real.data.synthetic import SyntheticError, make_images
from rexnet_ai_real.labels import AI, REAL

Images = NDArray[np.float64]  # (N, H, W, 3), from 0 to 1

PER_CLASS = 100
LABELS_OF_ALL = np.repeat([REAL, AI], PER_CLASS)
EXPECTED_REAL = [161.5, 149.7, 131.8, 172.1, 159.3, 145.1, 144.2, 134.8, 125.5, 169.7, 158.3, 145.6]
EXPECTED_AI = [148.6, 145.4, 135.0, 162.8, 161.9, 148.9, 166.1, 164.4, 151.4, 151.2, 148.5, 139.1]


@pytest.fixture(scope="module")
def images() -> Images:
    """First all real ones, then all generated ones."""
    drawn = [render(label, index, size=64, seed=1) for label in (REAL, AI) for index in range(PER_CLASS)]
    return np.stack(drawn) / 255


def _make(root: Path, *, count: int = 8, size: int = 32, seed: int = 0, workers: int | None = 1) -> Path:
    return make_images(root, count=count, size=size, seed=seed, workers=workers, progress=False)


def _bytes(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _auroc(statistic: NDArray[np.float64]) -> float:
    return float(roc_auc_score(LABELS_OF_ALL, statistic))


def _laplacian(images: Images) -> Images:
    grey = images.mean(axis=3)
    neighbours = grey[:, 2:, 1:-1] + grey[:, :-2, 1:-1] + grey[:, 1:-1, 2:] + grey[:, 1:-1, :-2]
    return np.asarray(4 * grey[:, 1:-1, 1:-1] - neighbours)


def _upsampling_peak(images: Images) -> NDArray[np.float64]:
    """Power at the highest frequency of both axes, over that of the frequencies around it."""
    grey = images.mean(axis=3)
    power = np.abs(np.fft.fftshift(np.fft.fft2(grey), axes=(1, 2)))[:, :6, :6] ** 2
    return np.asarray(np.log(power[:, 0, 0] / np.median(power.reshape(len(power), -1), axis=1)))


# What tells the classes apart, and what does not


def _auroc_of_colour_and_contrast(images: Images) -> float:
    """Cross-validated, of a logistic regression on 8 x 8 thumbnails: means, deviations and histogram."""
    thumbnails = images.reshape(len(images), 8, 8, 8, 8, 3).mean(axis=(2, 4))
    histograms = np.stack([np.histogram(thumbnail, bins=8, range=(0, 1))[0] for thumbnail in thumbnails])
    features = np.concatenate([thumbnails.mean(axis=(1, 2)), thumbnails.std(axis=(1, 2)), histograms], axis=1)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    return _auroc(cross_val_predict(classifier, features, LABELS_OF_ALL, cv=5, method="decision_function"))


def test_colour_and_contrast_say_nothing(images: Images) -> None:
    assert 0.35 < _auroc_of_colour_and_contrast(images) < 0.65
    darker = np.where((LABELS_OF_ALL == AI)[:, None, None, None], 0.8 * images, images)
    assert _auroc_of_colour_and_contrast(darker) > 0.75  # so it would see content that differs


def test_neither_class_is_sharper(images: Images) -> None:
    assert 0.3 < _auroc(_laplacian(images).std(axis=(1, 2))) < 0.7


def test_upsampling_leaves_a_spectral_peak(images: Images) -> None:
    assert _auroc(_upsampling_peak(images)) > 0.95


def test_the_trace_is_in_the_pixels_not_in_the_scene(images: Images) -> None:
    halved = images.reshape(len(images), 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert 0.3 < _auroc(_upsampling_peak(halved)) < 0.7


def test_scenes_are_all_different(images: Images) -> None:
    rows = images.reshape(len(images), 8, 8, 8, 8, 3).mean(axis=(2, 4, 5))
    bits = (rows[:, :, 1:] > rows[:, :, :-1]).reshape(len(images), -1)
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    assert distances[np.triu_indices(len(bits), 1)].min() > 4


# The same arguments give the same images


def test_images_on_any_machine() -> None:
    """Means of 16 x 16 px, as first drawn; processors may differ by a level here and there."""
    for label, expected in ((REAL, EXPECTED_REAL), (AI, EXPECTED_AI)):
        means = render(label, 3, size=32, seed=7).reshape(2, 16, 2, 16, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(means.ravel(), expected, atol=0.5)


def test_images_depend_on_class_index_seed_and_nothing_else(tmp_path: Path) -> None:
    few, many = _bytes(_make(tmp_path / "few")), _bytes(_make(tmp_path / "many", count=12, workers=3))
    pixels = {name: np.asarray(Image.open(tmp_path / "many" / name)).tobytes() for name in many}
    assert all(np.asarray(Image.open(tmp_path / "few" / name)).tobytes() == pixels[name] for name in few)
    assert len(set(pixels.values())) == 12
    assert _bytes(_make(tmp_path / "again", workers=2)) == few
    assert not set(_bytes(_make(tmp_path / "other", seed=1)).values()) & set(few.values())


def test_files_differ_in_pixels_only(tmp_path: Path) -> None:
    root = _make(tmp_path / "set", size=48)
    assert sorted(_bytes(root)) == [f"{label}/0000{index}.png" for label in ("ai", "real") for index in range(4)]
    assert len({len(content) for content in _bytes(root).values()}) == 1
    for path in root.rglob("*.png"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 48))


# The folder


def test_complete_folder_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _make(tmp_path / "set")
    (root / "real" / "note.txt").write_text("mine")
    monkeypatch.setattr(synthetic, "render", lambda *_, **__: pytest.fail("drawn again"))
    assert _make(root) == root
    assert (root / "real" / "note.txt").exists()


@pytest.mark.parametrize("lost", ["real/00000.png", "ai/00003.png"])
def test_missing_image_is_made_again(tmp_path: Path, lost: str) -> None:
    root = _make(tmp_path / "set")
    before = _bytes(root)
    (root / lost).unlink()
    assert _bytes(_make(root)) == before


def test_other_numbers_replace_the_images(tmp_path: Path) -> None:
    root = _make(tmp_path / "set")
    for other in ({"count": 4}, {"size": 34}, {"seed": 3}):
        assert _bytes(_make(root, **other)) == _bytes(_make(tmp_path / f"fresh {other}", **other))


@pytest.mark.parametrize("own", ["real/00000.png", "real/cat.png", "notes.txt", "ai/00001.png/inner.txt"])
def test_files_of_others_are_left_alone(tmp_path: Path, own: str) -> None:
    path = tmp_path / "set" / own
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(SyntheticError, match="left alone"):
        _make(tmp_path / "set")
    assert path.read_bytes() == b"mine"


def test_note_among_the_images_is_not_lost(tmp_path: Path) -> None:
    root = _make(tmp_path / "set")
    (root / "notes.txt").write_text("mine")
    with pytest.raises(SyntheticError, match=r"notes\.txt"):
        _make(root, seed=1)
    assert (root / "notes.txt").read_text() == "mine"


def test_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("mine")
    with pytest.raises(SyntheticError, match="left alone"):
        _make(tmp_path / "set")


def test_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "parent").write_text("mine")
    with pytest.raises(SyntheticError, match="parent folder"):
        _make(tmp_path / "parent" / "set")


@pytest.mark.parametrize("before", ["absent", "empty", "made"])
def test_interruption_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    root = tmp_path / "set"
    if before == "empty":
        root.mkdir()
    if before == "made":
        _make(root, seed=5)
    content = _bytes(root)

    def interrupted(label: int, index: int, *, size: int, seed: int) -> NDArray[np.uint8]:
        if index == 2:
            raise KeyboardInterrupt
        return render(label, index, size=size, seed=seed)

    monkeypatch.setattr(synthetic, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _make(root)
    monkeypatch.undo()
    assert _bytes(root) == content
    assert [path.name for path in tmp_path.iterdir()] == ([] if before == "absent" else ["set"])
    assert len(_bytes(_make(root))) == 8


def test_several_may_ask_at_once(tmp_path: Path) -> None:
    root = tmp_path / "set"
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: _make(root), range(4))) == {root}
    assert len(_bytes(tmp_path)) == 8


@pytest.mark.parametrize(
    ("wrong", "name"),
    [({"count": 0}, "count=0"), ({"count": 7}, "count=7"), ({"size": 33}, "size=33"), ({"size": 8}, "size=8")],
)
def test_impossible_numbers(tmp_path: Path, wrong: dict[str, int], name: str) -> None:
    with pytest.raises(SyntheticError, match=name):
        _make(tmp_path / "set", **wrong)
    with pytest.raises(SyntheticError, match="seed=-1"):
        _make(tmp_path / "set", seed=-1)
    assert not list(tmp_path.iterdir())


def test_progress_goes_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_images(tmp_path / "set", count=2, size=32)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Drawing images" in printed.err
