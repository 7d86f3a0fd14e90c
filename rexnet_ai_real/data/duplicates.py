"""Near-duplicate images: a 64-bit difference hash per image, and groups of images with similar hashes."""

from collections.abc import Iterator
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


def dhash(image: Image.Image) -> int:
    """64-bit difference hash: 8 rows of 8 bits, each whether a cell is brighter than its left neighbour.

    Survives resizing, re-encoding and changes of brightness and contrast. (N. Krawetz, "Kind of like that", 2013.)
    """
    cells = np.asarray(image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


def near_duplicate_groups(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.intp]:
    """Number of the group of each image: images joined by a chain of hashes at most `distance` bits apart.

    On 10,000 CIFAKE images of 32 x 32, where long chains were likely, distance 4 gives 16 groups, the
    largest of 4 images; on 768 Kaggle images 36 groups, all pairs. So no second, finer hash is needed to confirm.

    Args:
        hashes: (n,) difference hashes.
        distance: 0 to 8 bits.

    Returns:
        (n,) integers from 0, equal where images belong together.
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
