"""The split: every image to train, val or test, stratified by label and source, near-duplicates kept together.

Computed from SHA-256 and integers alone, so that a seed gives the same split on every machine, whatever the order of
the files and the version of any library.
"""

import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Final

import pandas as pd

from rexnet_ai_real.data.left_out import counts_of, dealt_whole, generators, most_parts
from rexnet_ai_real.data.manifest import usable
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.labels import AI, LABELS, REAL

GROUP: Final = "group"
UNUSED: Final = "unused"
"""Split of usable images that are not used: see `assign_split`."""


class SplitError(UserError, ValueError):
    """A split that cannot be made. The message names the setting."""


def assign_split(
    manifest: pd.DataFrame,
    *,
    seed: int,
    val_fraction: float,
    test_fraction: float,
    fold: int | None = None,
    folds: int = 5,
    split_by: str = GROUP,
) -> "pd.Series[str]":
    """Assign each row to "train", "val", "test" or "unused"; rows with a problem get "".

    Without `fold`: the data set's own test part, where it has one, is the test split (and `test_fraction` is
    ignored), its own validation part likewise; what is missing is drawn from the rest. Images of the rest that are
    near-duplicates of a held-out image are "unused".
    With `fold`: test is that one of `folds` equal parts, so that every image is in the test part of exactly one
    fold; validation is drawn from the others. The data set's own test part is "unused", its validation part is
    treated like the rest.
    Split by collection or source, the test part is made of whole collections or generators, with images of both
    classes, and the data set's own parts do not count. Near-duplicates of test images elsewhere are "unused";
    validation is drawn from what is left, by group.

    Args:
        manifest: columns label, source, group, problem, part and collection are used.
        seed: another seed, another split.
        val_fraction: share of all the images that are split here; under folds, or split by collection or source, share
            of what is not test.
        test_fraction: share of all the images that are split here.
        fold: 0 to folds - 1, or None.
        folds: 2 or more.
        split_by: group, collection or source: what is on one side of the split as a whole.

    Raises:
        SplitError: an impossible setting, a class without images, or too few groups of a class, collections or
            generators to fill every split.
    """
    _check_settings(val_fraction, test_fraction, fold, folds)
    images = manifest.loc[usable(manifest), ["label", "source", "group", "part", "collection"]]
    for label in (REAL, AI):
        if not (images["label"] == label).any():
            raise SplitError(
                f"data.root: no usable image of the class {LABELS[label]!r} among {len(images)}"
                + _why_unusable(manifest, label)
            )
    split = pd.Series("", index=manifest.index, dtype=object)
    val, test = Fraction(str(val_fraction)), Fraction(str(test_fraction))
    setting = f"data.val_fraction={val_fraction}"
    if split_by != GROUP:
        is_test = _held_out_whole(images, split_by, seed, test, fold, folds)
        rest = images[~images["group"].isin(images.loc[is_test, "group"])]
        split[images.index] = is_test.map({True: "test", False: UNUSED})
        split[rest.index] = _deal(rest, {"val": val}, f"{seed}/{split_by}/{fold}", setting)
    elif fold is None:
        fixed = _own_parts(images)
        rest = images[fixed == ""]
        _check_rest(images, fixed)
        drawn = {part: share for part, share in (("test", test), ("val", val)) if not (fixed == part).any()}
        split[fixed.index] = fixed
        split[rest.index] = _deal(rest, drawn, f"{seed}/split", f"{setting}, data.test_fraction={test_fraction}")
    else:
        split[images.index] = UNUSED
        pool = images[images["part"] != "test"]
        equal = {str(number): Fraction(1, folds) for number in range(1, folds)}
        number = _deal(pool, equal, f"{seed}/folds", f"data.folds={folds}", rest="0")
        rest = pool[number != str(fold)]
        split[pool.index] = "test"
        split[rest.index] = _deal(rest, {"val": val}, f"{seed}/fold/{fold}", setting)
    return split


def _held_out_whole(
    images: pd.DataFrame, split_by: str, seed: int, test: Fraction, fold: int | None, folds: int
) -> "pd.Series[bool]":
    """Which images the test part holds, where it holds whole collections or generators."""
    names = [str(number) for number in range(folds)]
    shares = dict.fromkeys(names, Fraction(1, folds)) if fold is not None else {"test": test, "train": 1 - test}
    key, setting = f"{seed}/{split_by}", f"data.split_by={split_by}"
    setting += f", data.test_fraction={float(test)}" if fold is None else f", data.folds={folds}"
    if not all(shares.values()):
        raise SplitError(f"{setting}: nothing would be held out; a share above 0 is expected")
    whole = images if split_by == "collection" else images[images["label"] == AI]
    units = images["collection"] if split_by == "collection" else generators(whole)
    counts = counts_of(whole, units)
    if len(shares) > (most := most_parts(counts)):
        raise SplitError(f"{setting}: {_too_few(counts, split_by, most)}")
    part = units.map(dealt_whole(counts, shares, key))
    if split_by == "source":
        first, *others = shares
        photos = images[images["label"] == REAL]
        drawn = _deal(photos, {name: shares[name] for name in others}, f"{key}/real", setting, first, labels=(REAL,))
        part = pd.concat([part, drawn])
    return part[images.index] == ("test" if fold is None else str(fold))


def _too_few(counts: pd.DataFrame, split_by: str, most: int) -> str:
    """Why no more parts can hold both classes, and what to do."""
    if split_by == "source":
        found = f"{len(counts)} generator{'' if len(counts) == 1 else 's'} among the AI images"
    else:
        both, real = ((counts["real"] > 0) & (counts["ai"] > 0)).sum(), (counts["ai"] == 0).sum()
        found = (
            f"{len(counts)} collection{'' if len(counts) == 1 else 's'} ({both} with both classes, {real} of real "
            f"images only, {len(counts) - both - real} of AI images only)"
        )
    advice = f"use data.folds={most} at most" if most > 1 else "add others, or split by group"
    return f"{found} make {most} part{'' if most == 1 else 's'} with both classes; {advice}"


def _check_settings(val_fraction: float, test_fraction: float, fold: int | None, folds: int) -> None:
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= value < 1:
            raise SplitError(f"data.{name}={value}: a share from 0 to below 1 is expected")
    if fold is None and val_fraction + test_fraction >= 1:
        raise SplitError(
            f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave nothing to train on"
        )
    if folds < 2:
        raise SplitError(f"data.folds={folds}: at least 2 are expected")
    if fold is not None and not 0 <= fold < folds:
        raise SplitError(f"data.fold={fold}: with data.folds={folds} a fold is 0 to {folds - 1}")


def _own_parts(images: pd.DataFrame) -> "pd.Series[str]":
    """The data set's own test and val, "unused" for near-duplicates of theirs outside, "" for all others."""
    fixed = images["part"].where(images["part"].isin(["test", "val"]), "")
    for part in ("val", "test"):  # test last: a group in both counts as test
        inside = images["group"].isin(images.loc[fixed == part, "group"])
        fixed[inside & (images["part"] != part)] = UNUSED
    return fixed


def _check_rest(images: pd.DataFrame, fixed: "pd.Series[str]") -> None:
    """Near-duplicates of held-out images are not trained on: say so where that leaves nothing of a class."""
    for label in (REAL, AI):
        ours = fixed[images["label"] == label]
        unused = int((ours == UNUSED).sum())
        if unused and not (ours == "").any():
            raise SplitError(
                f"data.root: all {unused:,} training images of the class {LABELS[label]!r} are near-duplicates of the "
                "data set's own test or validation images, so 0 are left to train on. Take them out of the test part, "
                "or, if they are not alike, group identical files only: data.duplicate_distance=null"
            )


def _deal(
    images: pd.DataFrame,
    shares: Mapping[str, Fraction],
    key: str,
    setting: str,
    rest: str = "train",
    labels: Sequence[int] = (REAL, AI),
) -> "pd.Series[str]":
    """Deal groups to splits like cards: each to the split that is furthest behind its share of the images dealt so far.

    What `shares` leave of 1 is the share of `rest`. Groups come ordered by label, then collection and source, then a
    hash of `key` and their name. So the shares hold within every label, and within every source up to about one group,
    however small the source. Groups that hold both labels are dealt as a third label. Of each of `labels` every part
    must get images.
    """
    shares = {part: share for part, share in shares.items() if share > 0}
    shares[rest] = 1 - sum(shares.values(), Fraction(0))
    whole = lcm(*(share.denominator for share in shares.values()))
    weights = [int(share * whole) for share in shares.values()]
    groups = images.groupby("group")["label"].agg(lowest="min", highest="max", size="size")
    images = images.assign(source=images["collection"] + "\n" + images["source"])
    groups["source"] = images.sort_values("source").drop_duplicates("group").set_index("group")["source"]
    groups["order"] = [hashlib.sha256(f"{key}/{name}".encode()).hexdigest() for name in groups.index]
    part_of: dict[str, str] = {}
    for _, alike in groups.sort_values(["source", "order"]).groupby(["lowest", "highest"]):
        dealt, given = 0, [0] * len(weights)
        for name, size in zip(alike.index, alike["size"].tolist(), strict=True):
            dealt += size
            lag = [weight * dealt - whole * already for weight, already in zip(weights, given, strict=True)]
            furthest = lag.index(max(lag))
            given[furthest] += size
            part_of[name] = list(shares)[furthest]
    result = images["group"].map(part_of).astype(object)
    for label in labels:
        ours = images[images["label"] == label]
        lacking = [part for part in shares if not (result[ours.index] == part).any()]
        if lacking:
            count = ours["group"].nunique()
            noun, verb = ("group", "is") if count == 1 else ("groups", "are")
            raise SplitError(
                f"{setting}: {count} {noun} of {LABELS[label]!r} images {verb} too few to give every part one"
                f"{_alike(ours, LABELS[label])} (nothing left for {', '.join(lacking)})"
            )
    return result


def _alike(images: pd.DataFrame, label: str) -> str:
    """How near-duplicates make few groups of many images, and what to do; empty where they do not."""
    largest = images["group"].value_counts()
    if largest.empty or largest.iloc[0] < 2:
        return ""
    named = ", ".join(f"{size:,}" for size in largest[largest > 1].head(3))
    held = "form one group" if len(largest) == 1 else f"form {len(largest):,} groups, the largest of {named},"
    return (
        f": {len(images):,} {label} images {held} of near-duplicates, which stay on one side of the split. Add other "
        "images, or, if these are not alike, group identical files only: data.duplicate_distance=null"
    )


def _why_unusable(manifest: pd.DataFrame, label: int) -> str:
    """What became of the files of a class without usable images."""
    problems = manifest.loc[~usable(manifest) & (manifest["label"] == label), "problem"]
    if problems.empty:
        return ""
    return f"; its {len(problems):,} files are left out, most of them as: {problems.value_counts().index[0]}"
