"""Several collections: which folders `data.roots` names, and how their files are listed together."""

import re
from pathlib import Path

import pytest
from PIL import Image

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.__main__ import main
from rexnet_ai_real.data.listed import Listed, MissingImagesError
from rexnet_ai_real.data.manifest import read_manifest
from rexnet_ai_real.data.sources import listing, locate
from rexnet_ai_real.labels import AI, REAL


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def listed(*roots: Path | str) -> list[Listed]:
    data = DataConfig(name="collections", roots=[str(root) for root in roots])
    return listing(data, locate(data))


def test_folders_and_tables_are_listed_from_their_common_parent(tmp_path: Path) -> None:
    root = tree(tmp_path, "kaggle/AiArtData/a.jpg", "kaggle/RealArt/b.jpg", "wild/one/ai/sdxl/c.jpg", "wild/notes.txt")
    tree(root, "wild/two/real/d.jpg", "cifake/test/FAKE/e.jpg", "lists/images/f.jpg", "hub/g.jpg")
    (root / "lists/known.csv").write_text("file,label,generator\nimages/f.jpg,ai,Flux\n../kaggle/other.jpg,real,\n")
    (root / "hub/metadata.csv").write_text("file_name,label\ng.jpg,real\n")
    roots = ("kaggle", "wild/*", "cifake", "lists/known.csv", "hub")
    assert listed(*(root / name for name in roots)) == [
        Listed("cifake/test/FAKE/e.jpg", AI, "", None, "cifake"),
        Listed("hub/g.jpg", REAL, "", None, "hub"),
        Listed("kaggle/AiArtData/a.jpg", AI, "", None, "kaggle"),
        Listed("kaggle/RealArt/b.jpg", REAL, "", None, "kaggle"),
        Listed("kaggle/other.jpg", REAL, "kaggle", None, "lists/known.csv"),
        Listed("lists/images/f.jpg", AI, "Flux", None, "lists/known.csv"),
        Listed("wild/one/ai/sdxl/c.jpg", AI, "sdxl", None, "wild/one"),
        Listed("wild/two/real/d.jpg", REAL, "", None, "wild/two"),
    ]


def test_one_collection_has_a_name_too(tmp_path: Path) -> None:
    tree(tmp_path / "mine", "ai/a.jpg")
    assert listed(tmp_path / "mine") == [Listed("mine/ai/a.jpg", AI, "", None, "mine")]


@pytest.mark.parametrize(
    ("roots", "message"),
    [
        ([], r"data\.roots names no collection; expected folders or tables: data\.roots='\[one,two"),
        (["a", "absent"], r"data\.roots: \S*absent does not exist"),
        (["a", "none/*"], r"data\.roots: \S*none/\* fits no folder"),
        (["a", "a"], r"data\.roots: \S*a is named twice"),
        (["a", "link"], r"data\.roots: \S*link is named twice"),
        (["a", "[ab]"], r"data\.roots: \S*a is named twice"),
        (["b", "a/ai", "a", "a-b"], r"data\.roots: \S*a/ai lies inside \S*a; name one of them"),
        (["a", "file.txt"], r"data\.roots: \S*file\.txt is neither a folder nor a table"),
        (["a", "empty"], r"data\.roots: \S*empty is an empty folder"),
        (["a", "unknown"], r"\S*unknown: no file lies in a folder of a known class.* found: cats \(1 file\)"),
        (["a", "list.csv"], r"data\.roots: a and list\.csv both list a/ai/1\.jpg"),
    ],
)
def test_what_cannot_be_used_is_named(
    roots: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a/ai/1.jpg", "b/real/1.jpg", "a-b/real/1.jpg", "file.txt", "unknown/cats/1.jpg")
    (tmp_path / "list.csv").write_text("file,label\na/ai/1.jpg,ai\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingImagesError, match=message):
        listed(*roots)


def test_the_common_parent_may_have_moved_since_but_does_not_name_collections(tmp_path: Path) -> None:
    tree(tmp_path / "moved", "a/ai/1.jpg")
    data = DataConfig(name="collections", root=str(tmp_path / "moved"), roots=["/gone/a"])
    assert locate(data) == tmp_path / "moved"
    with pytest.raises(MissingImagesError, match=re.escape(f"data.root={tmp_path / 'moved'}: data.roots names")):
        listing(data, locate(data))


def test_the_data_command_shows_collections(tmp_path: Path) -> None:
    for number, path in enumerate(("one/ai/a.png", "one/real/b.png", "two/real/c.png", "two/real/d.png")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.radial_gradient("L").rotate(50 * number).save(tmp_path / path)
    out = tmp_path / "out"
    roots = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert main(["--roots", *roots, "--out", str(out)]) == 0
    assert read_manifest(out / "manifest.csv")["collection"].tolist() == ["one", "one", "two", "two"]
    summary = (out / "summary.md").read_text()
    assert re.search(r"\| one +\| +1 +\| +1 +\|\n\| two +\| +0 +\| +2 +\|", summary)


@pytest.mark.parametrize(
    "arguments",
    [["--name", "folder", "--roots", "one"], ["--name", "collections"], ["--roots", "one", "--root", "two"]],
)
def test_the_data_command_ignores_no_root(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "--roots PATH ... goes with --name collections" in capsys.readouterr().err


def test_real_collections_are_all_read(shared_data: Path) -> None:
    files = listed(shared_data / "kaggle", shared_data / "generators", shared_data / "wild" / "*")
    collections = {file.collection for file in files}
    assert {"kaggle", "generators", "wild/kurlyto", "wild/dreambooth"} <= collections
    assert all(file.label is not None for file in files)
    spellings = {file.source for file in files if file.source.replace("_", "-") == "hunyuan-dit"}
    assert spellings == {"hunyuan-dit", "hunyuan_dit"}
