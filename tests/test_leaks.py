"""Near-duplicates across parts against a comparison of every hash with every other."""

import numpy as np
import pandas as pd
import pytest

from rexnet_ai_real.evaluate.leaks import find_leaks, parts_of


def rows(hashes: list[int], *, name: str, label: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": [f"{name}/{number}.jpg" for number in range(len(hashes))],
            "label": label,
            "sha256": [f"{name}{number}" for number in range(len(hashes))],
            "dhash": [f"{value:016x}" for value in hashes],
            "thumbnail": "",
            "split": name,
            "problem": "",
        }
    )


def flipped(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


@pytest.mark.parametrize("distance", [0, 2, 4])
def test_agrees_with_all_pairs(distance: int) -> None:
    random = np.random.default_rng(distance)
    base = random.integers(0, 2**63, 40).tolist()
    parts = {
        name: rows(
            [flipped(value, random.choice(64, random.integers(0, 8), replace=False).tolist()) for value in base],
            name=name,
        )
        for name in ("train", "val", "test")
    }
    expected = set()
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            for a in parts[first].itertuples():
                for b in parts[second].itertuples():
                    if (int(a.dhash, 16) ^ int(b.dhash, 16)).bit_count() <= distance:
                        expected.add((a.path, b.path, (int(a.dhash, 16) ^ int(b.dhash, 16)).bit_count()))
    audit = find_leaks(parts, distance=distance)
    assert {(leak.first_path, leak.second_path, leak.distance) for leak in audit.leaks} == expected
    assert len(audit.leaks) == len(expected)
    assert expected or distance == 0


def test_clean_parts() -> None:
    audit = find_leaks({"train": rows([0, 0xFFFF], name="train"), "test": rows([0xFFFF0000], name="test")})
    assert audit.leaks == ()
    assert (
        audit.finding
        == "No image, nor a near-duplicate of it (hashes within 4 bits), is in two of train (2), test (1)."
    )


def test_a_leak_is_named_with_its_kind() -> None:
    train, test = rows([5, 0xFF00FF00], name="train"), rows([5, 0xFF00FF01], name="test", label=1)
    test.loc[0, "sha256"] = train.loc[0, "sha256"]
    audit = find_leaks({"train": train, "test": test})
    assert [(leak.same_bytes, leak.same_label, leak.distance) for leak in audit.leaks] == [
        (True, False, 0),
        (False, False, 1),
    ]
    assert audit.affected("test") == {"test/0.jpg", "test/1.jpg"}
    assert "2 pairs (1 identical files, 2 under different labels)" in audit.finding
    assert "train:train/0.jpg = test:test/0.jpg" in audit.finding


def test_only_usable_rows_of_the_three_parts_count() -> None:
    manifest = pd.concat([rows([1], name="train"), rows([1], name="test"), rows([1], name="unused")], ignore_index=True)
    manifest.loc[1, "problem"] = "truncated"
    assert list(parts_of(manifest)) == ["train"]


def test_pairs_within_a_part_are_no_leak() -> None:
    assert find_leaks({"train": rows([7, 7, 6], name="train"), "test": rows([2**60 - 1], name="test")}).leaks == ()


def test_nothing_to_compare() -> None:
    assert find_leaks({}).leaks == ()
    assert find_leaks({"train": rows([], name="train"), "test": rows([3], name="test")}).leaks == ()
