"""Near-duplicate images: hashes name the candidates, thumbnails confirm them, and every group keeps to one image.

A 64-bit difference hash says much about a detailed image and little about a flat one: icons, X-rays and gradients agree
in most bits without being alike. So a second measure, the colours of a thumbnail, has to agree as well.
"""

import base64
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_SIDE: Final = 8
_BANDS: Final = 3
_CHUNK: Final = 4_000_000
"""Pairs compared at once: 3 arrays of 32 MB."""

ALIKE: Final = 0.90
"""Least correlation of the thumbnails of near-duplicates. Of 36 pairs with near hashes in 768 Kaggle images, the copies
have 0.924 (a crop) or more, two different portraits 0.744; of 19 pairs in 10,000 CIFAKE images, 0.985 and 0.788."""
SAME: Final = 0.9975
"""Correlation that is always enough. Re-encoded and resized copies have more, different X-rays nearly always less."""
CROWD: Final = 2
"""An image with more look-alikes than this (near hashes, thumbnails below `SAME`) is one of many of its kind: its hash
proves little, and a near-duplicate has to be `CLOSER` than they are."""
CLOSER: Final = 0.1
"""Largest share of the mean distance to the look-alikes, where distance is 1 - correlation."""
_FLAT: Final = 2.0
"""Grey levels. A thumbnail that varies by less counts as flat: what is left is noise, and noise does not correlate."""
_LEVELS: Final = 40
"""Grey levels by which the mean brightness of near-duplicates may differ."""
_CONTRAST: Final = 0.7
"""Least ratio of the contrasts of near-duplicates."""


def dhash(image: Image.Image) -> int:
    """64-bit difference hash: 8 rows of 8 bits, each whether a cell is brighter than its left neighbour.

    Survives resizing, re-encoding and changes of brightness and contrast. (N. Krawetz, "Kind of like that", 2013.)
    """
    cells = np.asarray(image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


def thumbnail(image: Image.Image) -> str:
    """The colours of an RGB image in 8 x 8 cells, as 256 characters: base64 of (8, 8, 3) bytes."""
    return base64.b64encode(image.resize((_SIDE, _SIDE), Image.Resampling.BOX).tobytes()).decode()


def fingerprints(dhashes: Iterable[str], thumbnails: Iterable[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """The columns `dhash` and `thumbnail` of a manifest as arrays, (n,) and (n, 192)."""
    cells = np.frombuffer(base64.b64decode("".join(thumbnails)), dtype=np.uint8)
    return np.array([int(value, 16) for value in dhashes], dtype=np.uint64), cells.reshape(-1, 3 * _SIDE**2)


def near_duplicate_groups(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8], distance: int) -> NDArray[np.intp]:
    """Number of the group of each image: those that are near-duplicates of one image, the middle of the group.

    Two images are near-duplicates if their hashes differ in at most `distance` bits and their thumbnails correlate by
    at least `ALIKE`, or by up to `SAME` where one of them has many look-alikes: see `CROWD`. The middle of a group is
    the image with the most near-duplicates. So images that differ are never joined by a chain of others between them.

    The order of the images matters only between middles with equally many: sort by something that never changes.

    Args:
        hashes: (n,) difference hashes.
        thumbnails: (n, k) bytes, see `thumbnail`.
        distance: 0 to 8 bits.

    Returns:
        (n,) integers from 0, equal where images belong together.
    """
    candidates = linked(hashes, distance)
    groups = np.arange(len(hashes))
    order = np.argsort(candidates, kind="stable")
    starts = np.flatnonzero(np.diff(candidates[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        if len(members) > 1:
            groups[members] = members[_around_middles(hashes[members], thumbnails[members], distance)]
    return np.unique(groups, return_inverse=True)[1]


def linked(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.intp]:
    """Number of the candidate group of each image: those joined by a chain of hashes at most `distance` bits apart.

    Args:
        hashes: (n,) difference hashes.
        distance: 0 to 8 bits.

    Returns:
        (n,) integers from 0, equal where images are linked.
    """
    if not 0 <= distance <= 8:
        raise ValueError(f"data.duplicate_distance={distance}: a distance of 0 to 8 bits is expected (of 64)")
    if len(hashes) == 0:
        return np.empty(0, dtype=np.intp)
    distinct, position = np.unique(hashes, return_inverse=True)
    pairs = list(near_pairs(distinct, distance))
    left, right = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    links = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(distinct), len(distinct)))
    _, component = connected_components(links, directed=False)
    return np.asarray(component, dtype=np.intp)[position]


class _Likeness:
    """Which of some linked images are near-duplicates of which, computed for a few rows at a time."""

    def __init__(self, hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8], distance: int) -> None:
        self.hashes, self.distance = hashes, distance
        pixels = thumbnails.astype(np.float32)
        self.level = pixels.mean(axis=1)
        pixels -= self.level[:, None]
        spread = np.sqrt(np.square(pixels).mean(axis=1))
        self.flat = spread < _FLAT
        self.spread = np.maximum(spread, np.float32(_FLAT))
        self.patterns = pixels / (self.spread[:, None] * np.float32(np.sqrt(pixels.shape[1])))
        self.least = np.full(len(hashes), np.float32(ALIKE))
        for rows in self.blocks(np.arange(len(hashes))):
            near, correlation = self._compared(rows)
            look_alikes = near & (correlation < SAME)
            count = look_alikes.sum(axis=1)
            away = 1 - np.where(look_alikes, correlation, 0).sum(axis=1) / np.maximum(count, 1)
            self.least[rows] = np.where(count > CROWD, np.clip(1 - CLOSER * away, ALIKE, SAME), ALIKE)

    def blocks(self, rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
        """The row numbers, so many at a time that a block compares about _CHUNK pairs."""
        size = max(1, _CHUNK // len(self.hashes))
        return (rows[start : start + size] for start in range(0, len(rows), size))

    def of(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(rows, n): whether each of these images and each of all are near-duplicates."""
        near, correlation = self._compared(rows)
        return np.asarray(near & (correlation >= np.maximum(self.least[rows, None], self.least[None, :])))

    def _compared(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        near = np.bitwise_count(self.hashes[rows, None] ^ self.hashes[None, :]) <= self.distance
        near &= np.abs(self.level[rows, None] - self.level[None, :]) <= _LEVELS
        ratio = self.spread[rows, None] / self.spread[None, :]
        near &= (ratio >= _CONTRAST) & (ratio <= 1 / _CONTRAST)
        correlation = self.patterns[rows] @ self.patterns.T
        correlation[self.flat[rows, None] & self.flat[None, :]] = 1
        return near, correlation


def _around_middles(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8], distance: int) -> NDArray[np.intp]:
    """For each of some linked images, the position of the middle of its group."""
    likeness = _Likeness(hashes, thumbnails, distance)
    count = np.concatenate([likeness.of(rows).sum(axis=1) for rows in likeness.blocks(np.arange(len(hashes)))])
    middle = np.full(len(hashes), -1)
    for rows in likeness.blocks(np.argsort(-count, kind="stable")):
        waiting = rows[middle[rows] < 0]
        if len(waiting):
            for row, alike in zip(waiting, likeness.of(waiting), strict=True):
                if middle[row] < 0:
                    middle[alike & (middle < 0)] = row
                    middle[row] = row
    return middle


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """All pairs of distinct hashes at a Hamming distance of at most `distance`, in chunks of two index arrays.

    Multi-index hashing (Norouzi, Punjani, Fleet 2012): of two hashes that differ in d bits, one of three bands differs
    in at most d // 3. So each band is looked up, in sorted order, as it is and with up to d // 3 of its bits flipped,
    instead of a scan over all pairs: 100,000 hashes take one second. A pair may be found more than once.

    Args:
        hashes: (n,) without repetitions.
        distance: 0 to 8. The look-ups per band grow with it: 1 below 3, 23 below 6, 254 above.
    """
    for shift, width in ((0, 21), (21, 21), (42, 22)):
        band = (hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        for flipped in range(distance // _BANDS + 1):
            for bits in combinations(range(width), flipped):
                wanted = ordered ^ np.uint64(sum(1 << bit for bit in bits))
                first = np.searchsorted(ordered, wanted, side="left")
                last = np.searchsorted(ordered, wanted, side="right")
                for left, right in _expand(first, last):
                    a, b = order[left], order[right]
                    close = (a < b) & (np.bitwise_count(hashes[a] ^ hashes[b]) <= distance)
                    yield a[close], b[close]


def _expand(first: NDArray[np.intp], last: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs (i, j) for every j in first[i]..last[i]-1, at most about _CHUNK at a time."""
    counts = last - first
    rows = np.flatnonzero(counts)
    ends = np.cumsum(counts[rows])
    start = 0
    while start < len(rows):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), start + 1)
        part = rows[start:stop]
        left = np.repeat(part, counts[part])
        offset = np.arange(len(left)) - np.repeat(ends[start:stop] - counts[part] - done, counts[part])
        yield left, first[left] + offset
        start = stop
