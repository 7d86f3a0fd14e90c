"""Labels from tables: the forms in which competitions and hubs give them, and what is wrong with others."""

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data import table_labels
from rexnet_ai_real.data.listed import Listed, MissingImagesError
from rexnet_ai_real.data.sources import listing, locate
from rexnet_ai_real.data.tables import TableError, _rows
from rexnet_ai_real.labels import AI, REAL


@pytest.fixture(autouse=True)
def _told_anew() -> None:
    table_labels._tell_how_numbers_are_read.cache_clear()


def made(root: Path, text: str, *images: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    """A table, with the images that it may name beside it."""
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding=encoding)
    return root / name


def read(root: Path, **classes: str | None) -> list[Listed]:
    data = DataConfig(name="folder", root=str(root), classes=classes)
    return listing(data, locate(data))


def labels(files: list[Listed]) -> dict[str, int | None]:
    return {file.path: file.label for file in files}


def test_the_well_known_competition(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """detect-ai-vs-human-generated-images: train.csv with an index without a name, file_name and label."""
    text = ",file_name,label\n0,train_data/a.jpg,1\n1,train_data/b.jpg,0\n"
    table = made(tmp_path, text, "train_data/a.jpg", "train_data/b.jpg", "test_data_v2/c.jpg", name="train.csv")
    with caplog.at_level(logging.WARNING):
        for root in (tmp_path, table):
            assert labels(read(root)) == {"train_data/a.jpg": AI, "train_data/b.jpg": REAL}
    assert caplog.text.count("label 0 is read as real, 1 as AI-generated") == 1  # not once for each look
    assert "'data.classes={0: ai, 1: real}'" in caplog.text
    assert labels(read(tmp_path, **{"0": "ai", "1": "real"})) == {"train_data/a.jpg": REAL, "train_data/b.jpg": AI}


def test_artifact(tmp_path: Path) -> None:
    """A metadata.csv in each folder; image_path is the path, filename alone is not; targets above 1 are generators."""
    head = "filename,image_path,target,category\n"
    made(tmp_path, head + "a.jpg,train/a.jpg,0,cat\n", "coco/train/a.jpg", name="coco/metadata.csv")
    made(tmp_path, head + "b.jpg,big/b.jpg,6,cat\n", "gan/big/b.jpg", name="gan/metadata.csv")
    with pytest.raises(MissingImagesError, match=r"class is not known: 6 \(1 row\)\. If 6 is AI-generated"):
        read(tmp_path)
    files = read(tmp_path, **{"6": "ai"})
    assert files == [
        Listed("coco/train/a.jpg", REAL, "coco", "train"),
        Listed("gan/big/b.jpg", AI, "gan/big", None),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_image_folders_of_hugging_face(tmp_path: Path, suffix: str) -> None:
    rows = [{"file_name": "a.jpg", "label": "fake"}, {"file_name": "b.jpg", "label": "Real"}]
    for part in ("train", "test"):
        made(tmp_path, "", f"{part}/a.jpg", f"{part}/b.jpg", name=f"{part}/metadata{suffix}")
        table = tmp_path / part / f"metadata{suffix}"
        if suffix == ".parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table)
        elif suffix == ".jsonl":
            table.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
        else:
            table.write_text("file_name,label\n" + "".join(f"{row['file_name']},{row['label']}\n" for row in rows))
    files = read(tmp_path)
    assert labels(files) == {"test/a.jpg": AI, "test/b.jpg": REAL, "train/a.jpg": AI, "train/b.jpg": REAL}
    assert [file.subset for file in files] == ["test", "test", "train", "train"]


def test_source_part_and_awkward_spellings(tmp_path: Path) -> None:
    text = 'File Name;Generator;Split;Is AI\r\n"x;y\\a.jpg";sdxl;Validation;True\r\n./b.jpg;;test;false\r\n'
    made(tmp_path, text, "x;y/a.jpg", "b.jpg", encoding="utf-16")
    assert read(tmp_path) == [Listed("b.jpg", REAL, "", "test"), Listed("x;y/a.jpg", AI, "sdxl", "val")]


@pytest.mark.parametrize(("column", "one"), [("is_real", REAL), ("is_fake", AI)])
def test_a_column_that_says_what_one_means_is_taken_at_its_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, one: int
) -> None:
    made(tmp_path, f"\ufeffpath,{column}\na.jpg,1.0\nb.jpg,0.0\n", "a.jpg", "b.jpg")
    with caplog.at_level(logging.WARNING):
        assert labels(read(tmp_path)) == {"a.jpg": one, "b.jpg": 1 - one}
    assert not caplog.records


def test_rows_without_a_label_and_labels_without_a_class_are_left_out(tmp_path: Path) -> None:
    made(tmp_path, "file,label\na.jpg,ai\nb.jpg,\nc.jpg,edited\nd.jpg,real\n", *(f"{n}.jpg" for n in "abcd"))
    assert labels(read(tmp_path, edited=None)) == {"a.jpg": AI, "d.jpg": REAL}


def test_names_that_are_not_utf8_and_paths_outside(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "caf\udce9.jpg").touch()
    (tmp_path / "tables" / "x.csv").write_bytes(b"file,label\n../caf\xe9.jpg,ai\n")
    assert labels(read(tmp_path / "tables" / "x.csv")) == {"../caf\udce9.jpg": AI}


def test_class_folders_come_before_tables(tmp_path: Path) -> None:
    made(tmp_path, "file,label\nai/a.jpg,real\n", "ai/a.jpg", name="metadata.csv")
    assert labels(read(tmp_path))["ai/a.jpg"] == AI


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"has no column with file names\. Expected: file_name and label .*; found: a, b$"),
        ("file_name,width\na.jpg,2\n", r"has no column with labels\. .*; found: file_name, width$"),
        ("file_name,label\n", r"has no rows$"),
        ("", r"has no rows$"),
        (
            "file_name,label\nmissing.jpg,ai\n",
            r"none of its 1 files exists\. Column 'file_name' is read as .* the first as .*missing\.jpg\.",
        ),
        ("file_name,label\na.jpg,maybe\na.jpg,ai\n", r"class is not known: maybe \(1 row\)\. If maybe is real, add"),
        ("file_name,label\na.jpg,ai\n./a.jpg,real\n", r"a\.jpg is given both classes"),
        ("file_name,label\na.jpg,\n", r"no row has a label"),
        ('file_name,label\n"' + "x" * 200_000, r"cannot be read: field larger"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, message: str) -> None:
    table = made(tmp_path, text, "a.jpg", name="x.csv")
    with pytest.raises((TableError, MissingImagesError), match=message):
        read(table)


def test_damaged_json_lines_and_parquet(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="each line has to be like"):
        read(made(tmp_path, "[1]\n", name="x.jsonl"))
    with pytest.raises(TableError, match="cannot be read"):
        read(made(tmp_path, "{\n", name="y.jsonl"))
    with pytest.raises(TableError, match="cannot be read"):
        read(made(tmp_path, "no parquet", name="x.parquet"))


def test_images_inside_a_table_are_refused(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"image": {"bytes": b"x", "path": None}, "label": 0}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    with pytest.raises(TableError, match="holds the images themselves"):
        read(tmp_path / "x.parquet")


def test_parquet_without_pyarrow_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TableError, match=r"reading Parquet needs pyarrow: pip install 'rexnet-ai-real\[parquet\]'"):
        read(made(tmp_path, "", name="x.parquet"))


def test_another_file_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(MissingImagesError, match=r"is a file; the folder that holds .* or a table \(\.csv"):
        read(made(tmp_path, "", name="x.txt"))


def test_a_table_that_is_a_pipe_or_nested_without_end_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(TableError, match="not a regular file"):
        list(_rows(tmp_path / "pipe.csv"))
    (tmp_path / "deep.jsonl").write_text("[" * 200_000)
    with pytest.raises(TableError, match=r"deep\.jsonl cannot be read"):
        list(_rows(tmp_path / "deep.jsonl"))
