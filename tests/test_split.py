"""Splits: stored expectations, and properties that hold for every manifest."""

import hashlib
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rexnet_ai_real.data.split import SplitError, assign_split
from rexnet_ai_real.labels import AI, REAL

Row = tuple[int, str, str]
"""Label, source, group."""


def manifest_of(rows: Sequence[Row], part: str | Sequence[str] = "") -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=["label", "source", "group"])
    return table.assign(problem="", collection="", part=part if isinstance(part, str) else list(part))


def simple(count: int, source: str = "") -> list[Row]:
    """`count` images of each class, all different."""
    names = [hashlib.sha256(f"{source}{number}".encode()).hexdigest()[:16] for number in range(2 * count)]
    return [(AI if number % 2 else REAL, source, name) for number, name in enumerate(names)]


def split_of(
    manifest: pd.DataFrame, seed: int = 0, val: float = 0.2, test: float = 0.2, **fold: int | str
) -> pd.Series:
    return assign_split(manifest, seed=seed, val_fraction=val, test_fraction=test, **fold)


def letters(split: pd.Series) -> str:
    return "".join({"train": ".", "val": "v", "test": "t", "unused": "u", "": "-"}[part] for part in split)


@pytest.mark.parametrize(
    ("seed", "fold", "expected"),
    [
        (0, None, ".........tt.t.vv.tt.vv.t"),
        (1, None, "..t.tv.t.v..vtv...t....t"),
        (0, 0, "ttt.t.v..v.......v.t..vt"),
        (0, 2, ".....v.vtt..t..tt.v..tv."),
    ],
)
def test_stored_splits(seed: int, fold: int | None, expected: str) -> None:
    """Changing these strings changes every published figure: the split of a seed is a promise."""
    split = assign_split(manifest_of(simple(12)), seed=seed, val_fraction=0.2, test_fraction=0.25, fold=fold, folds=4)
    assert letters(split) == expected


@st.composite
def manifests(draw: st.DrawFn) -> pd.DataFrame:
    """Up to 60 groups of 1 to 4 images, some across the classes, in up to three sources per class, some problems."""
    rows: list[Row] = []
    for group in range(draw(st.integers(12, 60))):
        size, mixed = draw(st.sampled_from([(1, False)] * 6 + [(2, False), (4, False), (3, True)]))
        label, source = group % 2, draw(st.sampled_from(["a", "b", "c"]))
        name = hashlib.sha256(str(group).encode()).hexdigest()[:16]
        rows += [((label + mixed * number) % 2, source, name) for number in range(size)]
    table = manifest_of(rows)
    bad = draw(st.sets(st.integers(0, len(rows) - 1), max_size=3))
    table.loc[sorted(bad), ["problem", "group"]] = ["truncated", ""]
    return table


choices = st.tuples(st.integers(0, 5), st.sampled_from([0.1, 0.15, 0.25]), st.sampled_from([0.0, 0.2, 0.3]))


def split_or_reject(manifest: pd.DataFrame, **options: object) -> pd.Series:
    try:
        return assign_split(manifest, **options)  # type: ignore[arg-type]
    except SplitError:
        assume(False)
        raise


@settings(deadline=None, max_examples=30, database=None, derandomize=True)
@given(manifests(), choices, st.randoms(use_true_random=False))
def test_properties_of_a_split(manifest: pd.DataFrame, chosen: tuple[int, float, float], random: object) -> None:
    seed, val, test = chosen
    options = {"seed": seed, "val_fraction": val, "test_fraction": test}
    split = split_or_reject(manifest, **options)
    used = manifest["problem"] == ""
    assert set(split[used]) <= {"train", "val", "test"}
    assert set(split[~used]) <= {""}
    assert split[used].groupby(manifest.loc[used, "group"]).nunique().max() == 1
    # Dealt label by label (and groups of both labels apart): each part is within one group of its share in each.
    for label in (REAL, AI):
        ours = used & (manifest["label"] == label)
        for part, share in (("val", val), ("test", test), ("train", 1 - val - test)):
            assert abs((split[ours] == part).sum() - share * ours.sum()) <= 8
    order = list(manifest.index)
    random.shuffle(order)  # type: ignore[attr-defined]
    pd.testing.assert_series_equal(assign_split(manifest.loc[order], **options).sort_index(), split)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30, database=None, derandomize=True)
@given(manifests(), st.integers(0, 3), st.integers(2, 4))
def test_properties_of_folds(manifest: pd.DataFrame, seed: int, folds: int) -> None:
    splits = [
        split_or_reject(manifest, seed=seed, val_fraction=0.2, test_fraction=0.2, fold=fold, folds=folds)
        for fold in range(folds)
    ]
    used = manifest["problem"] == ""
    times_in_test = sum((split[used] == "test").astype(int) for split in splits)
    assert (times_in_test == 1).all()
    sizes = [(split == "test").sum() for split in splits]
    assert max(sizes) - min(sizes) <= 12
    for split in splits:
        assert split[used].groupby(manifest.loc[used, "group"]).nunique().max() == 1


@pytest.mark.parametrize("count", [40, 211, 1000])
def test_shares_hold_to_an_image(count: int) -> None:
    manifest = manifest_of(simple(count))
    for label in (REAL, AI):
        counts = split_of(manifest, val=0.15, test=0.2)[manifest["label"] == label].value_counts()
        assert counts["test"] == pytest.approx(0.2 * count, abs=1)
        assert counts["val"] == pytest.approx(0.15 * count, abs=1)


def test_every_source_is_spread() -> None:
    rows = [row for number in range(7) for row in simple(20, f"generator {number}")] + simple(3, "small")
    manifest = manifest_of(rows)
    table = pd.crosstab([manifest["label"], manifest["source"]], split_of(manifest))
    large = table.drop(index="small", level=1)
    assert large["test"].between(3, 5).all()
    assert large["val"].between(3, 5).all()


def test_seeds_differ_and_folds_do_not_depend_on_fractions() -> None:
    manifest = manifest_of(simple(100))
    agree = (split_of(manifest, seed=0) == split_of(manifest, seed=1)).mean()
    assert 0.3 < agree < 0.6  # 0.6^2 + 0.2^2 + 0.2^2 = 0.44 by chance
    one, other = split_of(manifest, val=0.1, fold=1), split_of(manifest, val=0.3, test=0.5, fold=1)
    assert ((one == "test") == (other == "test")).all()


def test_own_test_part_is_the_test_split() -> None:
    rows = simple(50)
    manifest = manifest_of(rows, part=["test" if number < 20 else "train" for number in range(100)])
    split = split_of(manifest, val=0.25)
    assert (split[:20] == "test").all()
    assert split[20:].value_counts().to_dict() == {"train": 60, "val": 20}
    split = split_of(manifest, fold=0, folds=4)
    assert (split[:20] == "unused").all()
    assert (split[20:] == "test").sum() == 20


def test_own_validation_part_is_kept() -> None:
    manifest = manifest_of(simple(30), part=(["val"] * 10 + ["test"] * 10 + ["train"] * 40))
    assert letters(split_of(manifest)) == "v" * 10 + "t" * 10 + "." * 40
    assert "u" * 10 not in letters(split_of(manifest, fold=0))[:10]


def test_near_duplicates_of_the_own_test_part_are_not_trained_on() -> None:
    rows = simple(20)
    rows[39] = (AI, "", rows[1][2])
    split = split_of(manifest_of(rows, part=["test"] * 8 + ["train"] * 32))
    assert letters(split)[39] == "u"
    assert letters(split).count("u") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold": 5}, r"^data\.fold=5: with data\.folds=5 a fold is 0 to 4$"),
        ({"fold": -1}, r"^data\.fold=-1"),
        ({"folds": 1}, r"^data\.folds=1: at least 2"),
        ({"val_fraction": 1.0}, r"^data\.val_fraction=1\.0: a share from 0 to below 1"),
        ({"test_fraction": -0.1}, r"^data\.test_fraction=-0\.1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, r"leave nothing to train on"),
        (
            {"val_fraction": 0.01},
            r"^data\.val_fraction=0\.01, data\.test_fraction=0\.2: 10 groups of 'real' .*for val\)$",
        ),
        ({"fold": 0, "folds": 11}, r"^data\.folds=11: 10 groups of 'real' images are too few"),
        ({"fold": 0, "folds": 5, "val_fraction": 0.01}, r"^data\.val_fraction=0\.01: 8 groups of 'real'"),
    ],
)
def test_impossible_settings_name_the_key(options: dict[str, float], message: str) -> None:
    arguments = {"seed": 0, "val_fraction": 0.2, "test_fraction": 0.2} | options
    with pytest.raises(SplitError, match=message):
        assign_split(manifest_of(simple(10)), **arguments)  # type: ignore[arg-type]


def test_one_class_only() -> None:
    only_real = [row for row in simple(10) if row[0] == REAL]
    with pytest.raises(SplitError, match=r"no usable image of the class 'ai' among 10"):
        split_of(manifest_of(only_real))
    with pytest.raises(SplitError, match=r"no usable image of the class 'real' among 0"):
        split_of(manifest_of([]))


def test_nothing_beside_the_own_test_part() -> None:
    with pytest.raises(SplitError, match=r"0 groups of 'real' images are too few"):
        split_of(manifest_of(simple(10), part="test"))


def test_near_duplicates_are_named_as_the_cause() -> None:
    rows = [(label, "", f"one of {label}") for label in (REAL, AI) for _ in range(40)]
    message = (
        r": 1 group of 'real' images is too few to give every part one: 40 real images form one group of "
        r"near-duplicates, .*data\.duplicate_distance=null \(nothing left for test, val\)$"
    )
    with pytest.raises(SplitError, match=message):
        split_of(manifest_of(rows))
    rows = [(label, "", f"{label} {min(number, 2)}") for label in (REAL, AI) for number in range(40)]
    with pytest.raises(SplitError, match=r"40 real images form 3 groups, the largest of 38, of near-duplicates"):
        split_of(manifest_of(rows), fold=0, folds=4)


def test_training_images_that_all_stand_in_the_test_part_are_named() -> None:
    rows = [(label, "", f"{label} {number % 10}") for label in (REAL, AI) for number in range(20)]
    parts = ["test" if number < 10 else "train" for _ in (REAL, AI) for number in range(20)]
    with pytest.raises(SplitError, match=r"all 10 training images of the class 'real' are near-duplicates of the data"):
        split_of(manifest_of(rows, part=parts))


def test_a_class_of_broken_files_says_why() -> None:
    manifest = manifest_of(simple(10))
    manifest.loc[manifest["label"] == AI, ["problem", "group"]] = ["truncated JPEG", ""]
    with pytest.raises(SplitError, match=r"image of the class 'ai' among 10; its 10 files .*: truncated JPEG$"):
        split_of(manifest)


def collections_of(**counts: tuple[int, int]) -> pd.DataFrame:
    """Collections of so many real and AI images, each in a group of its own, a source for every ten AI images."""
    rows = [
        (label, f"gen {number // 10}" if label == AI else "", f"{name}{label}{number}", name)
        for name, sizes in counts.items()
        for label, size in zip((REAL, AI), sizes, strict=True)
        for number in range(size)
    ]
    table = pd.DataFrame(rows, columns=["label", "source", "group", "collection"])
    return table.assign(problem="", part="")


@settings(deadline=None, max_examples=40, database=None, derandomize=True)
@given(
    st.lists(st.sampled_from([(20, 0), (0, 20), (9, 0), (0, 7), (15, 25), (40, 40), (6, 6)]), min_size=2, max_size=9),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_folds_of_collections(sizes: list[tuple[int, int]], folds: int, seed: int) -> None:
    """Every collection is held out once and whole; both classes are in every fold as long as any deal allows it."""
    table = collections_of(**{f"c{number}": size for number, size in enumerate(sizes)})
    assume(table["label"].nunique() == 2)
    both = sum(bool(real and ai) for real, ai in sizes)
    possible = both + min(sum(not ai for _, ai in sizes), sum(not real for real, _ in sizes))
    options = {"seed": seed, "val_fraction": 0.2, "test_fraction": 0.2, "folds": folds, "split_by": "collection"}
    if possible < folds:
        message = rf"^data\.split_by=collection, data\.folds={folds}: {len(sizes)} coll.* make {possible} parts? with"
        with pytest.raises(SplitError, match=message):
            assign_split(table, fold=0, **options)
        return
    held_out = []
    for fold in range(folds):
        split = assign_split(table, fold=fold, **options)
        test = table[split == "test"]
        assert set(test["label"]) == {REAL, AI}
        assert set(table.loc[split != "test", "collection"]).isdisjoint(test["collection"])
        assert set(split) == {"train", "val", "test"}
        held_out += test["collection"].unique().tolist()
    assert sorted(held_out) == sorted(table["collection"].unique())


def test_folds_of_collections_are_about_equal() -> None:
    table = collections_of(a=(40, 40), b=(40, 0), c=(0, 40), d=(20, 20), e=(20, 20), f=(35, 45))
    sizes = [
        table[
            assign_split(table, seed=0, val_fraction=0.2, test_fraction=0.2, fold=f, folds=4, split_by="collection")
            == "test"
        ]
        .groupby("label")
        .size()
        .tolist()
        for f in range(4)
    ]
    assert sorted(sizes) == [[35, 45], [40, 40], [40, 40], [40, 40]]


def test_near_duplicates_of_held_out_collections_are_not_used() -> None:
    table = collections_of(a=(20, 20), b=(20, 20), c=(20, 20))
    table.loc[[0, 40], "group"] = "shared by a and b"
    options = {"seed": 0, "val_fraction": 0.2, "test_fraction": 0.2, "folds": 3, "split_by": "collection"}
    splits = [assign_split(table, fold=fold, **options) for fold in range(3)]
    pairs = sorted((split[0], split[40]) for split in splits)
    assert pairs[0] in [("train", "train"), ("val", "val")]
    assert pairs[1:] == [("test", "unused"), ("unused", "test")]


def test_generators_are_held_out_whole_in_whatever_spelling() -> None:
    table = collections_of(a=(30, 30), b=(30, 0))
    spelled = table["source"].replace({"gen 0": "Hunyuan-DiT", "gen 1": "hunyuan_dit"})
    table = table.assign(source=spelled.where(table["label"] == AI, "flickr"))
    options = {"seed": 0, "val_fraction": 0.2, "test_fraction": 0.2, "folds": 2, "split_by": "source"}
    tests = [table[assign_split(table, fold=fold, **options) == "test"] for fold in range(2)]
    ai = [set(test.loc[test["label"] == AI, "source"]) for test in tests]
    assert sorted(ai, key=len) == [{"gen 2"}, {"Hunyuan-DiT", "hunyuan_dit"}]
    assert [int((test["label"] == REAL).sum()) for test in tests] == [30, 30]
    assert sorted(pd.concat(tests).index) == list(table.index)


def test_without_folds_whole_collections_make_about_the_test_fraction() -> None:
    table = collections_of(a=(100, 100), b=(50, 50), c=(25, 25), d=(25, 0), e=(0, 25))
    split = assign_split(table, seed=0, val_fraction=0.2, test_fraction=0.25, split_by="collection")
    test = table[split == "test"]
    assert set(table.loc[split != "test", "collection"]).isdisjoint(test["collection"])
    assert 0.2 <= len(test) / len(table) <= 0.3
    assert (split == "val").sum() == pytest.approx(0.2 * (split != "test").sum(), abs=2)


def test_one_generator_cannot_be_held_out() -> None:
    table = manifest_of(simple(12, "sdxl"))
    with pytest.raises(SplitError, match="1 generator among the AI images make 1 part with both classes; add others"):
        split_of(table, split_by="source")
