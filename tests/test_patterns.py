"""Patterns of paths: the same files as Python's own glob finds, but sorted, once each, and without reading ahead."""

import glob
import os
import random
from pathlib import Path

import pytest

from rexnet_ai_real.cli.patterns import is_pattern, matching
from rexnet_ai_real.images.walk import image_files

FILES = (
    *("a.jpg", "b.png", ".hidden.jpg", "real/a.jpg", "real/deep/c.jpg", "real/deep/deeper/d.JPG", "ai/x.jpg"),
    *("ai/[1].jpg", "ai/deep/y.png", ".cache/z.jpg", "ai/.cache/z.jpg", "ai.jpg/odd.jpg"),
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


PATTERNS = (
    *("*", "*.jpg", "**/*.jpg", "**/deep/*", "*/*.jpg", "real/**/*.jpg", "**/[cdx].*", "?.jpg", "**/.hidden.jpg"),
    *(
        "*/deep",
        "**/**/c.jpg",
        "a*/**/*.jpg",
        "ai/[[]1].jpg",
        ".*/*",
        "**/.cache/*",
        "./*.png",
        "none/*",
        "*.webp",
        "*//*.jpg",
    ),
)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("absolute", [False, True])
def test_they_find_what_glob_finds(tree: Path, pattern: str, absolute: bool) -> None:
    pattern = f"{tree}/{pattern}" if absolute else pattern
    found = list(matching(pattern))
    expected = {os.path.normpath(path) for path in glob.glob(pattern, recursive=True)}
    covered = {path for path in expected if any(path.startswith(f"{os.path.normpath(f)}/") for f in found)}
    assert {os.path.normpath(path) for path in found} == expected - covered
    assert len(found) == len(set(found))
    assert [path.split("/") for path in found] == sorted(path.split("/") for path in found)


@pytest.mark.parametrize("pattern", ["**", "**/*", "**/**", "ai/**", "*/**", "**/deep/**"])
def test_no_file_comes_twice(tree: Path, pattern: str) -> None:
    files = [os.path.normpath(file.path) for file in image_files(matching(pattern))]
    assert len(files) == len(set(files))
    globbed = {os.path.normpath(path) for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)}
    assert globbed <= set(files)


def test_random_patterns_find_what_glob_finds(tree: Path) -> None:
    chance = random.Random(0)
    for _ in range(300):
        pattern = "/".join(
            chance.choices(("**", "*", "deep", "ai*", "[ar]*", "*.jpg", "?*", ".cache"), k=chance.randint(1, 4))
        )
        if "*" in pattern:
            ours = {os.path.normpath(file.path) for file in image_files(matching(pattern))}
            theirs = {os.path.normpath(file.path) for file in image_files(glob.glob(pattern, recursive=True))}
            assert theirs <= ours, pattern
            # "folder/**" is the folder, with what is hidden in it
            assert all("/." in f"/{path}" for path in ours - theirs), pattern
            assert pattern.endswith("**") or ours == theirs, pattern


def test_names_that_only_look_like_patterns_are_names(tree: Path) -> None:
    assert not is_pattern("ai/[1].jpg")
    assert is_pattern("ai/[12].jpg")
    assert not is_pattern("nowhere.jpg")


def test_links_in_a_circle_end(tree: Path) -> None:
    (tree / "ai" / "back").symlink_to(tree)
    found = [file.path for file in image_files(matching("**/*.jpg"))]
    assert len(found) < 2 * len(FILES)
    everything = [path for path in glob.glob("**/*.jpg", recursive=True) if os.path.isfile(path)]
    assert {os.path.realpath(path) for path in found} == {os.path.realpath(path) for path in everything}


def test_folders_are_read_as_their_turn_comes(tree: Path) -> None:
    found = matching("*/*.jpg")
    assert next(found) == "ai/[1].jpg"
    (tree / "real" / "new.jpg").touch()
    assert "real/new.jpg" in list(found)
