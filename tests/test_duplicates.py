"""Difference hash and grouping, against direct computation over all pairs."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy.cluster.hierarchy import DisjointSet

from rexnet_ai_real.data.duplicates import dhash, near_duplicate_groups, near_pairs


def flips(hashes: NDArray[np.uint64], bits: int, seed: int) -> NDArray[np.uint64]:
    """Each hash with `bits` random bits flipped."""
    rng = np.random.default_rng(seed)
    masks = [sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False)) for _ in hashes]
    return hashes ^ np.array(masks, dtype=np.uint64)


def same_partition(a: NDArray[np.intp], b: list[int]) -> bool:
    return len(set(zip(a.tolist(), b, strict=True))) == len(set(a.tolist())) == len(set(b))


def slow_groups(hashes: list[int], distance: int) -> list[int]:
    sets = DisjointSet(range(len(hashes)))
    for i, a in enumerate(hashes):
        for j, b in enumerate(hashes[:i]):
            if (a ^ b).bit_count() <= distance:
                sets.merge(i, j)
    return [min(sets.subset(i)) for i in range(len(hashes))]


near = st.lists(st.integers(0, 63), max_size=7).map(lambda bits: sum(1 << bit for bit in set(bits)))
anywhere = st.integers(0, 2**64 - 1)


@settings(deadline=None, max_examples=60, database=None, derandomize=True)
@given(st.lists(near | anywhere, max_size=30), st.integers(0, 8))
def test_groups_are_those_of_all_pairs(hashes: list[int], distance: int) -> None:
    groups = near_duplicate_groups(np.array(hashes, dtype=np.uint64), distance)
    assert same_partition(groups, slow_groups(hashes, distance))


@pytest.mark.parametrize("distance", [0, 2, 4, 7])
def test_pairs_among_many_hashes(distance: int) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**64, 400, dtype=np.uint64)
    hashes = np.unique(np.concatenate([base, *(flips(base, bits, bits) for bits in (1, 3, 4, 5, 8))]))
    differ = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    expected = {(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(differ <= distance, 1)), strict=True)}
    found = [(min(i, j), max(i, j)) for a, b in near_pairs(hashes, distance) for i, j in zip(a, b, strict=True)]
    assert set(found) == expected


def test_chunks_do_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.arange(300, dtype=np.uint64)  # two bands of all of them are equal: the worst case for look-ups
    whole = near_duplicate_groups(hashes, 1)
    monkeypatch.setattr("rexnet_ai_real.data.duplicates._CHUNK", 100)
    assert same_partition(near_duplicate_groups(hashes, 1), whole.tolist())


def test_no_hashes_and_impossible_distances() -> None:
    assert len(near_duplicate_groups(np.empty(0, dtype=np.uint64), 4)) == 0
    with pytest.raises(ValueError, match=r"data\.duplicate_distance=9"):
        near_duplicate_groups(np.empty(0, dtype=np.uint64), 9)


def test_dhash_by_hand() -> None:
    rising = Image.fromarray(np.tile(np.arange(0, 90, 10, dtype=np.uint8), (8, 1)))
    assert dhash(rising) == 2**64 - 1
    assert dhash(rising.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0
    first_row_only = np.zeros((8, 9), dtype=np.uint8)
    first_row_only[0, 8] = 9
    assert dhash(Image.fromarray(first_row_only)) == 1 << 56


def test_dhash_survives_what_happens_to_copies() -> None:
    small = np.random.default_rng(3).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((400, 300), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.resize((173, 131)).save(buffer, "JPEG", quality=40)
    copies = [Image.open(buffer), ImageEnhance.Brightness(image).enhance(0.8), image.convert("L")]
    assert all((dhash(copy) ^ dhash(image)).bit_count() <= 4 for copy in copies)
    assert (dhash(image) ^ dhash(image.rotate(90))).bit_count() > 10
