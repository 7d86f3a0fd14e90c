"""The groups of measured images: sources, kinds of real image, collections. In every table the worst stands first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from rexnet_ai_real.evaluate.part import Part
from rexnet_ai_real.evaluate.report.document import Block, Risk, Table
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.evaluate.report.sections.sources import NO_SOURCE, counted, source_blocks
from rexnet_ai_real.labels import REAL
from rexnet_ai_real.metrics.binary import Metrics, evaluate_scores
from rexnet_ai_real.metrics.bootstrap import FEW, Estimate
from rexnet_ai_real.metrics.left_out import RANKED_AGAINST, ranked_against
from rexnet_ai_real.metrics.scores import IntArray

_OPEN_ROWS: Final = 15
"""Longer tables are folded: a screen holds no more."""


@dataclass(frozen=True, slots=True)
class Groups:
    """What the report says of the groups of a set of images."""

    blocks: tuple[Block, ...]
    metrics: dict[str, object]
    """For metrics.json, under the set's name."""
    risks: tuple[Risk, ...]
    worst: str
    """The worst groups with their intervals, for the opening; empty where there are none, or none is large enough."""


@dataclass(frozen=True, slots=True)
class KindScore:
    """One kind of real image."""

    name: str
    n: int
    false_alarms: Estimate
    """Share called AI at the threshold."""


@dataclass(frozen=True, slots=True)
class CollectionScore:
    """One collection among the measured images."""

    name: str
    ranked: Metrics
    """Its images; where they are of one class, against those of the other, see `metrics.left_out`."""
    decided: Metrics
    """Its images alone, at the threshold."""


def groups_of(part: Part, *, resamples: int, seed: int) -> Groups:
    """Tables of whatever groups the rows name; nothing where they name none."""
    sources = source_blocks(part, resamples=resamples, seed=seed)
    kinds = real_kinds(part, resamples=resamples, seed=seed)
    collections = collections_of(part, resamples=resamples, seed=seed)
    blocks = [*sources.blocks]
    metrics: dict[str, object] = {}
    if sources.scores:
        metrics["sources"] = sources.plain()
    if kinds:
        blocks.append(_kind_table(kinds))
        metrics["false_alarms"] = {k.name: {"n": k.n, "fpr": k.false_alarms.plain()} for k in kinds}
    if collections:
        blocks.append(_collection_table(collections))
        metrics["collections"] = {c.name: _plain(c) for c in collections}
    return Groups(tuple(blocks), metrics, sources.risks, " ".join((*sources.worst, *_worst_collection(collections))))


def real_kinds(part: Part, *, resamples: int, seed: int) -> list[KindScore]:
    """False alarms by kind of real image, the most first and small kinds last; none where fewer than two are named.

    A kind is a source; where there are several collections, a source of one of them.
    """
    names = part.rows["source"].replace("", NO_SOURCE)
    if part.rows["collection"].nunique() > 1:
        named = part.rows["source"].where(part.rows["source"] == "", " / " + part.rows["source"])
        names = part.rows["collection"] + named
    margins, bootstrap = part.margin_scores, {"resamples": resamples, "seed": seed}
    found = [
        KindScore(name, len(here), evaluate_scores(margins.rows(here), **bootstrap).specificity.complement)
        for name, here in _by(names[part.rows["label"] == REAL])
    ]
    return sorted(found, key=lambda kind: (kind.n < FEW, -kind.false_alarms.value))


def collections_of(part: Part, *, resamples: int, seed: int) -> list[CollectionScore]:
    """The collections among the measured images, the lowest AUROC first and small ones last; none where there is one.

    Not those of settings.others, which are sets of their own.
    """
    scores, margins = part.scores, part.margin_scores
    found = []
    for name, here in _by(part.rows["collection"]):
        others = np.flatnonzero(ranked_against(part.rows.index.isin(here), scores.labels, part.rows["fold"]))
        ranked = evaluate_scores(scores.rows(np.concatenate([here, others])), resamples=resamples, seed=seed)
        decided = evaluate_scores(margins.rows(here), resamples=resamples, seed=seed)
        found.append(CollectionScore(name, ranked, decided))
    return sorted(found, key=_badness)


def _badness(each: CollectionScore) -> tuple[bool, float, float]:
    auroc = each.ranked.auroc
    return each.decided.n < FEW, auroc.value if auroc.defined else 1.0, each.decided.accuracy.value


def _by(names: "pd.Series[str]") -> Iterator[tuple[str, IntArray]]:
    """Each name with its rows; nothing where there are fewer than two."""
    if names.nunique() > 1:
        for name, rows in names.groupby(names):
            yield str(name), rows.index.to_numpy()


def _kind_table(kinds: list[KindScore]) -> Table:
    return Table(
        ("Real images of", "Images", "False alarms at threshold"),
        tuple((kind.name, counted(kind.n), kind.false_alarms) for kind in kinds),
        "How often each kind of real image is called AI, the most often first.",
        bars=2,
        folded=len(kinds) > _OPEN_ROWS,
    )


def _collection_table(collections: list[CollectionScore]) -> Table:
    rows = tuple(
        (
            each.name,
            f"{each.decided.n_ai:,} + {each.decided.n_real:,}",
            each.ranked.auroc,
            each.decided.accuracy,
            each.decided.recall,
            each.decided.specificity.complement,
        )
        for each in collections
    )
    return Table(
        ("Collection", "AI + real", "AUROC", "Accuracy at threshold", "TPR", "FPR"),
        rows,
        f"Each collection, the lowest AUROC first, those with fewer than {FEW} images last. {RANKED_AGAINST}.",
        bars=2,
        folded=len(collections) > _OPEN_ROWS,
    )


def _worst_collection(collections: list[CollectionScore]) -> list[str]:
    large = [each for each in collections if each.decided.n >= FEW and each.ranked.auroc.defined]
    if len(large) < 2:
        return []
    worst = large[0]
    return [
        f"The worst of {len(large)} collections is {worst.name}: AUROC {worst.ranked.auroc}, "
        f"{percent(worst.decided.accuracy)} correct at the threshold."
    ]


def _plain(each: CollectionScore) -> dict[str, object]:
    return {
        **{"n_real": each.decided.n_real, "n_ai": each.decided.n_ai},
        "auroc": each.ranked.auroc.plain(),
        "accuracy_at_threshold": each.decided.accuracy.plain(),
        "tpr": each.decided.recall.plain(),
        "fpr": each.decided.specificity.complement.plain(),
    }
