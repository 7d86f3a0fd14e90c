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
    empty = pd.DataFrame(columns=["path", "label", "source", "part", "format", "sha256", "group", "problem"])
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
    manifest = manifest.assign(source="", part="", format="", sha256="", group="", width=0, height=0, bytes=0)
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
