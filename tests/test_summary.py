"""The tables, the contact sheet and the command that saves both."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data.__main__ import main
from rexnet_ai_real.data.contact_sheet import contact_sheet
from rexnet_ai_real.data.manifest import build_manifest, read_manifest
from rexnet_ai_real.data.sources import listing
from rexnet_ai_real.data.summary import Table, lying_extension, print_tables, summarize, to_markdown
from rexnet_ai_real.images.contact_sheet import LABEL_COLOURS, MARGIN
from rexnet_ai_real.labels import AI


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """12 AI images (PNG, one lying) of two generators, 8 real ones (JPEG), a copy, a text, a name with a newline."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for folder, count, suffix in (("ai/gan", 6, "png"), ("ai/sd", 6, "png"), ("real", 8, "jpeg")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(count):
            small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            small.resize((64, 64 if suffix == "png" else 48)).save(tmp_path / "data" / folder / f"{number}.{suffix}")
    data = tmp_path / "data"
    (data / "ai" / "gan" / "0.png").rename(data / "ai" / "gan" / "0.jpg")
    (data / "real" / "0.jpeg").rename(data / "real" / "odd\nname | [bold].jpeg")
    with Image.open(data / "real" / "1.jpeg") as image:
        image.resize((32, 24)).save(data / "real" / "small.jpeg")
    (data / "real" / "notes.txt").write_text("hello")
    return data


def manifest_of(root: Path) -> pd.DataFrame:
    return build_manifest(root, listing(DataConfig(name="folder"), root), progress=False)


def by_title(tables: list[Table]) -> dict[str, Table]:
    return {table.title: table for table in tables}


def test_tables(root: Path) -> None:
    tables = by_title(summarize(manifest_of(root)))
    assert tables["Images"].rows == (
        ("ai", "gan", "-", "6", "28.6%"),
        ("ai", "sd", "-", "6", "28.6%"),
        ("real", "-", "-", "9", "42.9%"),
    )
    assert (
        "21 images in use, 1 files left out. Always naming the larger class is right for 57.1%" in tables["Images"].note
    )
    assert tables["Formats"].rows == (("PNG", "12", "100.0%", "0", "0.0%"), ("JPEG", "0", "0.0%", "9", "100.0%"))
    assert ("height, px", "real", "24", "48", "48", "48", "48") in tables["Sizes"].rows
    assert tables["Sizes"].note == "Square: 100.0% of ai, 0.0% of real."
    assert tables["Extensions that do not fit the content"].rows == (("PNG", "ai/gan/0.jpg"),)
    assert tables["Near-duplicates"].rows == (("2", "real", "no", "real/1.jpeg, real/small.jpeg"),)
    assert tables["Problems"].rows == (("not an image", "real/notes.txt"),)


def test_tables_of_nothing() -> None:
    empty = pd.DataFrame(
        columns=["path", "label", "source", "part", "format", "sha256", "group", "problem", "collection"]
    )
    empty = empty.assign(width=0, height=0, bytes=0)
    tables = summarize(empty)
    assert to_markdown(tables, "Nothing").startswith("# Nothing\n")


@pytest.mark.parametrize(
    ("path", "file_format", "lies"),
    [
        ("a.jpg", "JPEG", False),
        ("a.JPEG", "JPEG", False),
        ("a.png", "JPEG", True),
        ("a", "JPEG", True),
        ("a.tif", "TIFF", False),
        ("a.webp", "WEBP", False),
    ],
)
def test_lying_extension(path: str, file_format: str, lies: bool) -> None:
    assert lying_extension(path, file_format) is lies


def test_long_lists_end_with_their_length() -> None:
    rows = 40
    manifest = pd.DataFrame({"path": [f"real/{n:02}.txt" for n in range(rows)], "problem": "not an image", "label": 0})
    manifest = manifest.assign(
        source="", part="", format="", sha256="", group="", collection="", width=0, height=0, bytes=0
    )
    problems = by_title(summarize(manifest))["Problems"]
    assert len(problems.rows) == 31
    assert problems.rows[-1] == ("", "... 10 more in manifest.csv")


def test_odd_names_are_shown_escaped(root: Path) -> None:
    table = Table("T", ("n", "file"), (("1", "odd\nname | [bold]\udcff"),))
    assert "| 1 | odd\\nname \\| [bold]\\udcff |" in to_markdown([table], "x")
    printed = Console(file=io.StringIO(), width=100)
    print_tables([table], printed)
    assert "odd\\nname | [bold]\\udcff" in printed.file.getvalue()  # type: ignore[attr-defined]


def test_contact_sheet(root: Path) -> None:
    manifest = manifest_of(root)
    sheet = contact_sheet(root, manifest, per_class=4, columns=4)
    assert sheet.getpixel((MARGIN + 2, MARGIN + 10)) == tuple(bytes.fromhex(LABEL_COLOURS["ai"][1:]))
    shuffled = contact_sheet(root, manifest.sample(frac=1, random_state=0), per_class=4, columns=4)
    assert sheet.tobytes() == shuffled.tobytes()
    more = contact_sheet(root, manifest, per_class=8, columns=4)
    assert more.height > sheet.height
    assert more.width == sheet.width


def test_contact_sheet_without_files(root: Path) -> None:
    manifest = manifest_of(root)
    for path in (root / "ai").rglob("*.png"):
        path.unlink()
    assert contact_sheet(root, manifest, per_class=4, columns=4).size[0] > 0
    assert contact_sheet(root, manifest[manifest["label"] == AI], per_class=4, columns=4).size[0] > 0


def test_command_saves_what_it_prints(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root), "--out", str(tmp_path / "out"), "--per-class", "3"]) == 0
    assert len(read_manifest(tmp_path / "out" / "manifest.csv")) == 22
    printed = capsys.readouterr().out
    for title in ("Images", "Formats", "Sizes", "Near-duplicates", "Problems"):
        assert title in printed
        assert f"## {title}" in (tmp_path / "out" / "summary.md").read_text()
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.mode == "RGB"


def test_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err.startswith("data.root=")
    with pytest.raises(SystemExit) as stop:
        main(["--classes", "midjourney=robot"])
    assert stop.value.code == 2
    assert "FOLDER=ai or FOLDER=real is expected" in capsys.readouterr().err


def test_one_class_only_fails(root: Path, tmp_path: Path) -> None:
    assert main(["--root", str(root), "--out", str(tmp_path / "out"), "--classes", "sd=ai"]) == 0
    for path in (root / "real").iterdir():
        path.unlink()
    assert main(["--root", str(root), "--out", str(tmp_path / "out")]) == 1


def test_help_needs_no_heavy_imports() -> None:
    code = "import sys; from rexnet_ai_real.data.__main__ import _parser; _parser().format_help(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "pandas", "numpy", "PIL", "hydra"}.isdisjoint(modules)


def odd_tree(root: Path) -> Path:
    """Names that are not UTF-8: of an image, of a file that is none, and of a folder of no class."""
    with Image.open(root / "ai" / "gan" / "1.png") as image:
        for name in ("ai/caf\udce9.png", "loose\udcff/a.png"):
            (root / name).parent.mkdir(exist_ok=True)
            image.save(root / name)
    (root / "ai" / "bad\udcff.jpg").write_text("no image")
    return root


def test_names_that_are_not_utf8_among_the_problems(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out\udcff"
    assert main(["--root", str(odd_tree(root)), "--out", str(out)]) == 0
    assert "ai/bad\\udcff.jpg" in capsys.readouterr().out
    assert "ai/bad\\udcff.jpg" in (out / "summary.md").read_text()
    assert "ai/bad\udcff.jpg" in read_manifest(out / "manifest.csv")["path"].tolist()


def test_a_second_run_does_not_overwrite_the_first(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for number in range(2):
        assert main(["--root", str(root)]) == 0
        (root / "real" / f"{number}.txt").touch()
    lengths = [len(read_manifest(Path(f"outputs/data/{name}/manifest.csv"))) for name in ("folder", "folder-2")]
    assert lengths == [22, 23]
    assert "in outputs/data/folder-2" in capsys.readouterr().out
    for _ in range(2):
        main(["--root", str(root), "--out", "mine"])
    assert capsys.readouterr().out.count("Replacing the earlier results in mine") == 1


def test_folders_and_caches_that_cannot_be_written_are_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert main(["--root", str(root), "--out", str(out), "--cache", str(tmp_path / "file")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith(f"{out} cannot be written (not a directory): give a folder that can be as --out DIR")
    assert f"The cache {tmp_path / 'file'} cannot be written" in caplog.text


def test_a_full_disk_is_one_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rexnet_ai_real.files.os.replace", full)
    assert main(["--root", str(root), "--out", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written (no space left on device)" in line


def test_classes_given_twice_are_all_kept(root: Path, tmp_path: Path) -> None:
    (root / "ai").rename(root / "0")
    (root / "real").rename(root / "1")
    options = ["--root", str(root), "--out", str(tmp_path / "out")]
    assert main([*options, "--classes", "0=ai", "--classes", "1=real"]) == 0


def test_folders_without_a_class_are_advised(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "ai").rename(root / "generators")
    assert main(["--root", str(root), "--out", str(tmp_path / "out")]) == 1
    assert "--classes gan=ai sd=ai" in capsys.readouterr().err


def test_a_table_is_looked_into(root: Path, tmp_path: Path) -> None:
    (root / "labels.csv").write_text("file_name,label\nai/gan/1.png,fake\nreal/1.jpeg,real\n")
    assert main(["--root", str(root / "labels.csv"), "--out", str(tmp_path / "out")]) == 0
    assert len(read_manifest(tmp_path / "out" / "manifest.csv")) == 2
