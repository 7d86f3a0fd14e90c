"""The manifest of folders made here, of a hostile one, and of the real images."""

import hashlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rexnet_ai_real.config import DataConfig
from rexnet_ai_real.data import manifest as module
from rexnet_ai_real.data.facts import ImageFacts, measure
from rexnet_ai_real.data.facts_cache import FactsCache
from rexnet_ai_real.data.manifest import COLUMNS, build_manifest, near_groups, read_manifest, usable, write_manifest
from rexnet_ai_real.data.sources import listing
from rexnet_ai_real.files import cache_folder, claim_folder, write_atomically
from rexnet_ai_real.images.limits import MAX_PIXELS


def image(seed: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.NEAREST)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images of each class."""
    for label in ("ai", "real"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(3):
            image(number + 10 * (label == "ai")).save(tmp_path / "data" / label / f"{number}.png")
    return tmp_path / "data"


def built(root: Path, **options: object) -> pd.DataFrame:
    options = {"cache": root.parent / "cache", "progress": False, "workers": 2} | options
    return build_manifest(root, listing(DataConfig(name="folder"), root), **options)  # type: ignore[arg-type]


def test_rows_say_what_the_files_are(root: Path) -> None:
    image(99, (30, 40)).save(root / "ai" / "z.gif", "BMP")
    manifest = built(root)
    assert tuple(manifest.columns) == COLUMNS
    assert manifest["path"].tolist() == [
        *(f"ai/{n}.png" for n in range(3)),
        "ai/z.gif",
        *(f"real/{n}.png" for n in range(3)),
    ]
    row = manifest[manifest["path"] == "ai/z.gif"].iloc[0]
    data = (root / "ai" / "z.gif").read_bytes()
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert (row["width"], row["height"], row["format"], row["bytes"], row["label"]) == (30, 40, "BMP", len(data), 1)
    assert len(row["dhash"]) == 16
    assert row["group"] == row["sha256"][:16]
    assert (manifest["split"] == "").all()
    assert usable(manifest).all()


def test_near_duplicates_share_a_group(root: Path) -> None:
    image(0).resize((48, 32)).save(root / "real" / "copy.png")
    image(11).save(root / "real" / "taken.bmp")  # the same image as ai/1.png in another format
    manifest = built(root).set_index("path")
    assert manifest.loc["real/0.png", "group"] == manifest.loc["real/copy.png", "group"]
    assert manifest.loc["ai/1.png", "group"] == manifest.loc["real/taken.bmp", "group"]
    assert manifest["group"].nunique() == 6
    smallest = min(manifest.loc[["real/0.png", "real/copy.png"], "sha256"])
    assert manifest.loc["real/copy.png", "group"] == smallest[:16]


def test_same_bytes_under_both_labels_are_left_out(root: Path) -> None:
    for copy in ("ai/x.png", "ai/y.png", "real/x.png"):
        image(50).save(root / copy)
    image(51).save(root / "ai" / "twice.png")
    image(51).save(root / "ai" / "twice again.png")
    problems = built(root).set_index("path")["problem"]
    assert problems["ai/x.png"] == problems["ai/y.png"] == "also under the other label: real/x.png"
    assert problems["real/x.png"] == "also under the other label: ai/x.png"
    assert (problems != "").sum() == 3


def test_hostile_folder(root: Path) -> None:
    (root / "ai" / "empty.jpg").touch()
    (root / "ai" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1" + bytes(50))
    (root / "ai" / "folder.jpg").mkdir()
    image(70).save(root / "ai" / "folder.jpg" / "in.png")
    whole = (root / "ai" / "0.png").read_bytes()
    (root / "ai" / "cut.png").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(root / "real" / "pipe.jpg")
    (root / "real" / "gone.jpg").symlink_to("nowhere")
    image(71, (1, 1)).save(root / "real" / "dot.png")
    image(72, (3000, 20)).save(root / "real" / "wide.png")
    image(73).save(root / "loose.png")
    (root / "notes.txt").write_text("not an image")
    manifest = built(root, max_pixels=50_000).set_index("path")
    assert manifest.loc[manifest["problem"] != "", "problem"].to_dict() == {
        "ai/.DS_Store": "not an image",
        "ai/cut.png": "truncated PNG",
        "ai/empty.jpg": "empty file",
        "loose.png": "in no class folder",
        "notes.txt": "not an image",
        "real/gone.jpg": "link to nowhere",
        "real/pipe.jpg": "not a regular file",
        "real/wide.png": "3000 x 20 pixels, more than the limit of 50,000",
    }
    assert manifest.loc[["loose.png", "notes.txt"], "label"].tolist() == [-1, -1]
    assert manifest.loc["ai/cut.png", "bytes"] == len(whole) // 2
    assert (manifest.loc[manifest["problem"] != "", "group"] == "").all()


def test_file_that_vanishes_after_listing(root: Path) -> None:
    listed = listing(DataConfig(name="folder"), root)
    (root / "ai" / "0.png").unlink()
    manifest = build_manifest(root, listed, cache=root.parent / "cache", progress=False)
    assert manifest.loc[0, ["path", "problem"]].tolist() == ["ai/0.png", "no such file"]


def test_order_and_workers_change_nothing(root: Path) -> None:
    listed = listing(DataConfig(name="folder"), root)
    one = build_manifest(root, listed, cache=root.parent / "a", workers=1, progress=False)
    other = build_manifest(root, listed[::-1], cache=root.parent / "b", workers=4, progress=True)
    pd.testing.assert_frame_equal(one, other)


def test_only_changed_files_are_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = built(root)
    read: list[str] = []

    def counting(path: Path, *, max_pixels: int) -> ImageFacts:
        read.append(path.name)
        return measure(path, max_pixels=max_pixels)

    monkeypatch.setattr(module, "measure", counting)
    pd.testing.assert_frame_equal(built(root), first)
    assert read == []
    image(80, (50, 50)).save(root / "ai" / "1.png")
    assert built(root).set_index("path").loc["ai/1.png", "width"] == 50
    assert read == ["1.png"]
    built(root, max_pixels=10_000)  # another limit could change any verdict
    assert len(read) == 7


def test_a_stop_keeps_what_was_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def stopped_at_the_fourth(path: Path, *, max_pixels: int) -> ImageFacts:
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(path.name)
        return measure(path, max_pixels=max_pixels)

    monkeypatch.setattr(module, "measure", stopped_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        built(root, workers=1)
    monkeypatch.setattr(module, "measure", measure)
    with FactsCache(root.parent / "cache", root, MAX_PIXELS) as cache:
        assert sorted(cache.entries) == sorted(f"ai/{name}" for name in read)
    assert len(built(root)) == 6


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[[1, "0", 2], []]', "\0\0"])
def test_damaged_cache_is_written_anew(root: Path, content: str) -> None:
    first = built(root)
    (file,) = (root.parent / "cache").rglob("*.json")
    file.write_text(content)
    pd.testing.assert_frame_equal(built(root), first)
    assert len(json.loads(file.read_text())[1]) == 6


def test_cache_that_cannot_be_written_costs_nothing_else(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root.parent / "cache").write_text("a file where a folder should be")
    with caplog.at_level(logging.WARNING):
        assert len(built(root)) == len(built(root)) == 6
    assert [record.getMessage() for record in caplog.records] == [
        f"The cache {root.parent / 'cache'} cannot be written (not a directory): images are read from their files each "
        "time. Another folder: data.cache=DIR (with `python -m rexnet_ai_real.data`: --cache DIR)"
    ]


def test_altered_facts_cannot_make_another_split(root: Path) -> None:
    """Another hash in the cache would be another group, and that another split."""
    first = built(root)
    (file,) = (root.parent / "cache").rglob("*.json")
    text = file.read_text()
    sha = first["sha256"].iloc[0]
    file.write_text(text.replace(sha, sha[::-1]))
    assert file.read_text() != text
    pd.testing.assert_frame_equal(built(root), first)
    assert json.loads(file.read_text())[1] == json.loads(text)[1]


def test_near_duplicate_grouping_can_be_switched_off(root: Path) -> None:
    image(0).resize((48, 32)).save(root / "real" / "copy.png")
    (root / "real" / "same bytes.png").write_bytes((root / "real" / "0.png").read_bytes())
    groups = built(root, duplicate_distance=None).set_index("path")["group"]
    assert groups["real/0.png"] == groups["real/same bytes.png"] != groups["real/copy.png"]
    assert built(root).set_index("path")["group"]["real/copy.png"] in groups[["real/0.png", "real/copy.png"]].tolist()
    assert groups.nunique() == 7


def test_manifests_of_before_thumbnails_are_read(root: Path, tmp_path: Path) -> None:
    manifest = built(root)
    write_manifest(manifest.drop(columns="thumbnail"), tmp_path / "old.csv")
    old = read_manifest(tmp_path / "old.csv")
    pd.testing.assert_frame_equal(old, manifest.assign(thumbnail=pd.Series("", index=manifest.index, dtype=object)))
    assert near_groups(old, 4).nunique() == 6


def test_cache_lies_where_the_system_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "rexnet-ai-real"
    assert cache_folder("~/elsewhere") == Path.home() / "elsewhere"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert (
        cache_folder() == Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "rexnet-ai-real"
    )


def test_cache_keeps_odd_names(tmp_path: Path) -> None:
    name = "caf\udce9\n.png"
    (tmp_path / name).touch()
    with FactsCache(tmp_path / "cache", tmp_path, 1) as cache:
        cache.put(name, cache.stamp(name), ImageFacts(width=7))
    with FactsCache(tmp_path / "cache", tmp_path, 1) as cache:
        assert cache.get(name) == ImageFacts(width=7)
        assert cache.get("other") is None


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1) | st.binary(
    min_size=1
).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))


@settings(deadline=None, max_examples=60, database=None, derandomize=True)
@given(st.lists(names, min_size=1, max_size=5))
def test_csv_round_trip(paths: list[str]) -> None:
    digits = [f"{number:016d}" for number in range(len(paths))]
    columns: dict[str, Sequence[object]] = dict.fromkeys(COLUMNS, [""] * len(paths))
    columns |= dict.fromkeys(("sha256", "dhash", "group"), digits) | {"path": paths, "problem": paths[::-1]}
    columns |= dict.fromkeys(("label", "width", "height", "bytes"), range(len(paths)))
    manifest = pd.DataFrame(columns, columns=list(COLUMNS), dtype=object)
    manifest = manifest.astype(dict.fromkeys(("label", "width", "height", "bytes"), "int64"))
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(manifest, Path(folder) / "manifest.csv")
        pd.testing.assert_frame_equal(read_manifest(Path(folder) / "manifest.csv"), manifest)


def test_foreign_csv_is_refused(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "other.csv") as temporary:
        temporary.write_text("path,label\na.jpg,1\n")
    with pytest.raises(ValueError, match=r"other\.csv is no manifest: it lacks the columns source, sha256"):
        read_manifest(tmp_path / "other.csv")


def test_all_raw_files_are_images(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "kaggle-raw"
    manifest = build_manifest(root, listing(DataConfig(name="kaggle"), root), cache=tmp_path, progress=False)
    assert manifest["problem"].eq("").all()
    assert manifest["label"].value_counts().to_dict() == {1: 57, 0: 55}
    assert manifest["path"].str.contains(r"/\.amazonaws").sum() == 1


def test_a_claimed_folder_is_always_new(tmp_path: Path) -> None:
    claimed = [claim_folder(tmp_path / "a" / "data").name for _ in range(3)]
    assert claimed == ["data", "data-2", "data-3"]
