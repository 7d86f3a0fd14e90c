"""Difference hash, candidates and groups, against direct computation over all pairs, and on images that look alike."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance
from scipy.cluster.hierarchy import DisjointSet

from rexnet_ai_real.data.duplicates import dhash, fingerprints, linked, near_duplicate_groups, near_pairs, thumbnail


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
def test_candidates_are_those_of_all_pairs(hashes: list[int], distance: int) -> None:
    groups = linked(np.array(hashes, dtype=np.uint64), distance)
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
    whole = linked(hashes, 1)
    thumbnails = np.random.default_rng(0).integers(0, 256, (300, 192), dtype=np.uint8) // 64 * 64
    thumbnails[1::2] = thumbnails[::2]
    groups = near_duplicate_groups(hashes, thumbnails, 1)
    monkeypatch.setattr("rexnet_ai_real.data.duplicates._CHUNK", 100)
    assert same_partition(linked(hashes, 1), whole.tolist())
    assert same_partition(near_duplicate_groups(hashes, thumbnails, 1), groups.tolist())
    assert same_partition(groups, [number // 2 for number in range(300)])


def test_no_hashes_and_impossible_distances() -> None:
    nothing = (np.empty(0, dtype=np.uint64), np.empty((0, 192), dtype=np.uint8))
    assert len(near_duplicate_groups(*nothing, 4)) == 0
    with pytest.raises(ValueError, match=r"data\.duplicate_distance=9"):
        near_duplicate_groups(*nothing, 9)


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


def icon(number: int) -> Image.Image:
    """A flat shape on white, 64 px."""
    random = np.random.default_rng(number)
    image = Image.new("RGB", (64, 64), "white")
    left, top = (int(value) for value in random.integers(4, 30, 2))
    right, bottom = left + int(random.integers(8, 30)), top + int(random.integers(8, 30))
    draw = ImageDraw.Draw(image)
    shape = [draw.ellipse, draw.rectangle][number % 2]
    shape((left, top, right, bottom), fill=tuple(int(value) for value in random.integers(0, 200, 3)))
    return image


def xray(number: int) -> Image.Image:
    """Two dark lungs in a grey body that hardly differ from one to the next, with some noise; 128 px."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]

    def blob(across: float, down: float, width: float, height: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-((x - across) ** 2 / width + (y - down) ** 2 / height)))

    grey = 120 + 60 * (1 - x**2)
    for side in (-0.4, 0.4):
        shift = random.normal(0, 0.03, 2)
        grey = grey - 70 * blob(side + shift[0], shift[1], 0.06 + random.normal(0, 0.005), 0.25)
    for _ in range(3):
        grey = grey + random.uniform(-12, 12) * blob(random.uniform(-0.8, 0.8), random.uniform(-0.8, 0.8), 0.01, 0.01)
    return Image.fromarray((grey + random.normal(0, 2, x.shape)).clip(0, 255).astype(np.uint8)).convert("RGB")


def scene(number: int) -> Image.Image:
    """A smooth image with many colours, 120 px."""
    small = np.random.default_rng(number).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((120, 120), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int, scale: float = 1) -> Image.Image:
    """The same image, resized and re-encoded."""
    buffer = io.BytesIO()
    side = round(image.width * scale)
    image.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def groups_of(images: list[Image.Image], distance: int = 4) -> NDArray[np.intp]:
    hashes, thumbnails = fingerprints((f"{dhash(i):016x}" for i in images), map(thumbnail, images))
    return near_duplicate_groups(hashes, thumbnails, distance)


@pytest.mark.parametrize(("kind", "largest"), [(icon, 2), (xray, 6), (scene, 1)])
def test_images_of_one_kind_do_not_collapse(kind: Callable[[int], Image.Image], largest: int) -> None:
    """By hashes alone, 80 icons make a group of dozens, and the X-rays one group."""
    images = [kind(number) for number in range(80)]
    assert np.bincount(groups_of(images)).max() <= largest
    if kind is not scene:
        hashes = np.array([dhash(image) for image in images], dtype=np.uint64)
        assert np.bincount(linked(hashes, 4)).max() > 40


@pytest.mark.parametrize(
    ("kind", "quality", "scale", "share"),
    [(scene, 40, 0.5, 0.95), (scene, 85, 1, 1), (xray, 85, 1, 0.95), (xray, 75, 1.7, 0.9), (icon, 92, 1, 0.8)],
)
def test_copies_are_still_joined(kind: Callable[[int], Image.Image], quality: int, scale: float, share: float) -> None:
    """Re-encoded and resized, in the midst of look-alikes."""
    images = [kind(number) for number in range(60)]
    groups = groups_of([*images, *(jpeg(image, quality, scale) for image in images)])
    assert (groups[:60] == groups[60:]).mean() >= share


def test_no_chain_through_a_bridge() -> None:
    """From red to blue in 40 steps, each near the next: the ends are different images, and in different groups."""
    red, blue = scene(1), scene(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    groups = groups_of([Image.blend(red, blue, step / 40) for step in range(41)])
    assert groups[0] != groups[40]
    assert groups[0] == groups[1]
    steps = [np.flatnonzero(groups == group) for group in set(groups.tolist())]
    assert max(np.ptp(members) for members in steps) < 30


def test_colours_tell_flat_images_apart() -> None:
    colours = ("white", "black", "red", "blue", "#808080", "#fefefe")
    groups = groups_of([Image.new("RGB", (32, 32), colour) for colour in colours]).tolist()
    assert groups[0] == groups[5]
    assert len(set(groups)) == 5
    shapes = []
    for colour in ("red", "blue"):
        shapes.append(Image.new("RGB", (64, 64), "white"))
        ImageDraw.Draw(shapes[-1]).ellipse((10, 20, 40, 50), fill=colour)
    assert dhash(shapes[0]) == dhash(shapes[1])
    assert groups_of(shapes).tolist() == [0, 1]
