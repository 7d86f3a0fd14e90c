"""Balanced batches: shares of classes and collections, fair turns, the same after a restart."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from rexnet_ai_real.data.balanced import BalancedByEpoch
from rexnet_ai_real.labels import AI, REAL


def rows_of(*collections: tuple[str, int, int]) -> pd.DataFrame:
    """Collections by name, count of real and of AI images."""
    rows = [
        (label, name) for name, *counts in collections for label, count in enumerate(counts) for _ in range(int(count))
    ]
    return pd.DataFrame(rows, columns=["label", "collection"], dtype=object)


ROWS = rows_of(("large", 400, 100), ("small", 16, 0), ("tiny", 0, 4))


def epochs(rows: pd.DataFrame, count: int, seed: int = 0) -> list[list[int]]:
    sampler = BalancedByEpoch(rows, seed)
    drawn = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        drawn.append(list(sampler))
        assert len(drawn[-1]) == len(sampler) == len(rows)
    return drawn


def test_batches_hold_both_classes_alike_and_collections_by_the_root_of_their_size() -> None:
    for epoch in epochs(ROWS, 3):
        for start in range(0, 512, 32):
            batch = ROWS.iloc[epoch[start : start + 32]]
            counts = Counter(zip(batch["label"], batch["collection"], strict=True))
            assert (batch["label"] == AI).sum() == 16
            # 20 to 4 of 400 to 16 images: 13.3 and 2.7 of 16. 10 to 2 of 100 to 4: the same.
            assert counts[(REAL, "small")] in (2, 3, 4)
            assert counts[(AI, "tiny")] in (2, 3, 4)


def test_each_image_comes_once_before_any_of_its_collection_comes_again() -> None:
    seen = np.zeros(len(ROWS), dtype=int)
    for epoch in epochs(ROWS, 7):
        np.add.at(seen, epoch, 1)
        for _, block in ROWS.groupby(["label", "collection"]):
            assert np.ptp(seen[block.index]) <= 1


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first, second, third = epochs(ROWS, 3)
    resumed = BalancedByEpoch(ROWS, 0)
    resumed.set_epoch(2)
    assert list(resumed) == third
    assert first != second
    assert epochs(ROWS, 1, seed=1)[0] != first


def test_two_processes_get_both_classes() -> None:
    epoch = epochs(ROWS, 1)[0]
    for share in (epoch[::2], epoch[1::2]):
        assert ROWS.iloc[share]["label"].mean() == pytest.approx(0.5, abs=0.1)


def test_one_collection_is_balanced_by_class() -> None:
    rows = rows_of(("", 30, 11))
    drawn = rows.iloc[epochs(rows, 1)[0]]
    assert abs(int((drawn["label"] == AI).sum()) - 20.5) <= 1
