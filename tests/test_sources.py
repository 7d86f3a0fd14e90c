"""Where images are looked for and how their folders are read."""

import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir

from rexnet_ai_real import config
from rexnet_ai_real.cli.hydra_help import CONF
from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.__main__ import main
from rexnet_ai_real.data.folders import one_class_advice, require_both_classes
from rexnet_ai_real.data.listed import AmbiguousFolders, Listed, MissingImagesError
from rexnet_ai_real.data.sources import listing, locate
from rexnet_ai_real.images.layouts import LAYOUTS, Layout
from rexnet_ai_real.labels import AI, REAL


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def listed(root: Path, *paths: str, **classes: str) -> list[Listed]:
    return listing(DataConfig(name="folder", classes=classes), tree(root, *paths))


@pytest.mark.parametrize(
    ("path", "label", "source", "subset"),
    [
        ("AiArtData/AiArtData/.hidden.png", AI, "", None),
        ("RealArt/RealArt/1707541234037", REAL, "", None),
        ("train/FAKE/a (2).jpg", AI, "", "train"),
        ("test/REAL/a.jpg", REAL, "", "test"),
        ("ai/gan/a.jpg", AI, "gan", None),
        ("ai/diffusion/sdxl/a.jpg", AI, "diffusion/sdxl", None),
        ("real/a.jpg", REAL, "", None),
        ("Midjourney/imagenet_midjourney/val/nature/a.jpg", REAL, "Midjourney/imagenet_midjourney", "val"),
        ("valid/fake/a.jpg", AI, "", "val"),
        ("ai/animals/a.jpg", AI, "animals", None),
        ("0_real/a.jpg", REAL, "", None),
        ("1_fake/a.jpg", AI, "", None),
        ("train/progan/cat/1_fake/a.jpg", AI, "progan/cat", "train"),
        ("AI Generated Images/a.jpg", AI, "", None),
        ("Real Images/a.jpg", REAL, "", None),
        ("fake-images/a.jpg", AI, "", None),
        ("REAL_IMAGES/a.jpg", REAL, "", None),
        ("AiImages/a.jpg", AI, "", None),
        ("training_fake/a.jpg", AI, "", "train"),
        ("test_real/a.jpg", REAL, "", "test"),
        ("real/2024_photos/a.jpg", REAL, "2024_photos", None),
        ("loose.jpg", None, "", None),
        ("elsewhere/a.jpg", None, "elsewhere", None),
    ],
)
def test_folders_say_class_source_and_subset(
    tmp_path: Path, path: str, label: int | None, source: str, subset: str | None
) -> None:
    assert Listed(path, label, source, subset) in listed(tmp_path, path, "ai/x", "real/x")  # type: ignore[arg-type]


def test_own_class_names_are_sources_too(tmp_path: Path) -> None:
    files = listed(tmp_path, "Midjourney/a.jpg", "flickr/b.jpg", midjourney="ai", flickr="real")
    assert files == [Listed("Midjourney/a.jpg", AI, "Midjourney", None), Listed("flickr/b.jpg", REAL, "flickr", None)]
    with pytest.raises(ValueError, match=r"data\.classes: midjourney is given the class 'robot'; expected real or ai"):
        listed(tmp_path, midjourney="robot")


def test_unknown_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingImagesError, match=r"no file lies in .*found: cats \(1 file\), dogs \(1 file\).*data"):
        listed(tmp_path, "cats/a.jpg", "dogs/b.jpg")


def test_two_classes_on_one_path_are_never_chosen_between(tmp_path: Path) -> None:
    """A topic folder such as human/ or photos/ above the class folder once gave AI images the label real."""
    paths = ["human/ai/a.jpg", "human/ai/b.jpg", "nature/ai/c.jpg", "ai/d.jpg", "human/real/e.jpg"]
    message = (
        r"name both classes: human/ai \(2 files\), nature/ai \(1 file\)\. If the last folder is right, add "
        r"'data\.classes=\{human: null, nature: null\}' .*If the first is, add 'data\.classes=\{ai: null\}'"
    )
    with pytest.raises(AmbiguousFolders, match=message):
        listed(tmp_path, *paths)
    data = DataConfig(name="folder", classes={"human": None, "nature": None})
    assert {file.path: (file.label, file.source) for file in listing(data, tmp_path)} == {
        "ai/d.jpg": (AI, ""),
        "human/ai/a.jpg": (AI, "human"),
        "human/ai/b.jpg": (AI, "human"),
        "human/real/e.jpg": (REAL, "human"),
        "nature/ai/c.jpg": (AI, "nature"),
    }


def test_paths_that_name_both_classes_both_ways_have_to_be_renamed(tmp_path: Path) -> None:
    with pytest.raises(AmbiguousFolders, match="Rename folders"):
        listed(tmp_path, "human/ai/a.jpg", "ai/human/b.jpg")


def test_numbers_are_never_guessed_and_the_advice_has_both_ways(tmp_path: Path) -> None:
    with pytest.raises(MissingImagesError, match=r"found: 0 \(1 file\), 1 \(1 file\)") as error:
        listed(tmp_path, "train/0/a.jpg", "train/1/b.jpg")
    assert "If 0 is real, add 'data.classes={0: real, 1: ai}'" in str(error.value)
    assert "If 1 is real, add 'data.classes={1: real, 0: ai}'" in str(error.value)
    assert [file.label for file in listed(tmp_path, **{"0": "real", "1": "ai"})] == [REAL, AI]


def test_generator_folders_beside_real_are_named_with_the_line_to_type(tmp_path: Path) -> None:
    files = listed(tmp_path, "midjourney/a.jpg", "train/sdxl/b.jpg", "real/c.jpg")
    with pytest.raises(MissingImagesError, match=r"no folder is known to hold the class 'ai'.*midjourney \(1 file\)"):
        require_both_classes(files, tmp_path)
    assert "--classes midjourney=ai sdxl=ai" in one_class_advice(files)
    require_both_classes(listed(tmp_path, **{"midjourney": "ai", "s*l": "ai"}), tmp_path)
    assert one_class_advice(listed(tmp_path / "one", "real/c.jpg")) == ""


def test_a_new_layout_is_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed in --help, downloaded, and read by its own folder names."""
    monkeypatch.setitem(
        LAYOUTS, "dummy", Layout("zero and one", "owner/dummy", class_folders={"zero": REAL, "one": AI})
    )

    def download(handle: str, *, output_dir: str) -> str:
        assert handle == "owner/dummy"
        tree(Path(output_dir), "zero/a.jpg", "one/real/b.jpg")
        return output_dir

    fake_kagglehub(monkeypatch, download)
    data = DataConfig(name="dummy", root=str(tmp_path / "dummy"))
    assert listing(data, locate(data)) == [
        Listed("one/real/b.jpg", AI, "real", None),
        Listed("zero/a.jpg", REAL, "", None),
    ]
    with pytest.raises(MissingImagesError, match=r"Expected: zero and one; found: cats \(1 file\)\."):
        listing(data, tree(tmp_path / "other", "cats/a.jpg"))
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "dummy" in capsys.readouterr().out


def test_the_configuration_knows_every_layout() -> None:
    for name in LAYOUTS:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            assert config.load(compose("train", overrides=["data=folder", f"data.name={name}"])).data.name == name


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    tree(tmp_path / "elsewhere", "a.jpg", "deep/b.jpg")
    root = tree(tmp_path / "root", "real/c.jpg")
    (root / "ai").symlink_to(tmp_path / "elsewhere")
    (root / "real" / "up").symlink_to(root)
    (root / "real" / "self").symlink_to("self")
    (tmp_path / "elsewhere" / "deep" / "back").symlink_to(tmp_path / "elsewhere")
    paths = [file.path for file in listing(DataConfig(name="folder"), root)]
    assert paths == ["ai/a.jpg", "ai/deep/b.jpg", "real/c.jpg", "real/self"]


def test_folder_named_like_an_image(tmp_path: Path) -> None:
    files = listed(tmp_path, "ai/x.jpg/y.jpg", "real/z.jpg")
    assert [file.path for file in files] == ["ai/x.jpg/y.jpg", "real/z.jpg"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    tree(tmp_path, "real/a.jpg", "ai/b.jpg")
    os.makedirs(os.fsencode(tmp_path) + b"/ai/caf\xe9")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/ai/caf\xe9/\xff\n.jpg")).touch()
    files = {os.fsencode(file.path): file for file in listing(DataConfig(name="folder"), tmp_path)}
    assert files[b"ai/caf\xe9/\xff\n.jpg"].label == AI


def test_locate_takes_the_folder_given(tmp_path: Path) -> None:
    tree(tmp_path, "ai/a.jpg")
    for name in ("folder", "kaggle", "cifake"):
        assert locate(DataConfig(name=name, root=str(tmp_path))) == tmp_path


def test_locate_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingImagesError, match=r"no such folder, or an empty one.*data\.root=PATH.*data=synthetic"):
        locate(DataConfig(name="folder", root=str(tmp_path / "absent")))
    (tmp_path / "file").touch()
    with pytest.raises(MissingImagesError, match="is a file; the folder that holds AiArtData/AiArtData and"):
        locate(DataConfig(name="kaggle", root=str(tmp_path / "file")))


def fake_kagglehub(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))


def test_download_fills_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(handle: str, *, output_dir: str) -> str:
        assert handle == LAYOUTS["cifake"].kaggle_id
        tree(Path(output_dir), "train/FAKE/a.jpg", ".complete/note")
        return output_dir

    fake_kagglehub(monkeypatch, download)
    data = DataConfig(name="cifake", root=str(tmp_path / "new" / "cifake"))
    (tmp_path / "new" / "cifake").mkdir(parents=True)  # empty
    root = locate(data)
    assert root == tmp_path / "new" / "cifake"
    assert [file.path for file in listing(data, root)] == ["train/FAKE/a.jpg"]
    fake_kagglehub(monkeypatch, None)
    assert locate(data) == root  # no second download


def test_cut_off_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    def download(handle: str, *, output_dir: str) -> str:
        tree(Path(output_dir), "AiArtData/AiArtData/a.jpg")
        raise requests.ConnectionError("HTTPSConnectionPool(...)")

    fake_kagglehub(monkeypatch, download)
    root = tmp_path / "kaggle"
    message = (
        f"data.root={root} holds no images, and they cannot be downloaded (no connection to kaggle.com). Fetch "
        "https://www.kaggle.com/datasets/cashbowman/ai-generated-images-vs-real-images by hand and unpack it so that "
        f"{root} holds AiArtData/AiArtData and RealArt/RealArt; or try the program without it: data=synthetic"
    )
    with pytest.raises(MissingImagesError, match=f"^{re.escape(message)}$"):
        locate(DataConfig(name="kaggle", root=str(root)))
    assert not root.exists()
