"""How good is it on each source, such as a generator or a camera; sources with few images are marked."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rexnet_ai_real.evaluate.part import Part
from rexnet_ai_real.evaluate.report.document import Block, Caution, Risk, Table
from rexnet_ai_real.evaluate.report.formatting import percent
from rexnet_ai_real.figures import NAMES
from rexnet_ai_real.metrics.binary import evaluate_scores
from rexnet_ai_real.metrics.bootstrap import FEW, Estimate
from rexnet_ai_real.metrics.left_out import RANKED_AGAINST, ranked_against

NO_SOURCE: Final = "(no folder)"


@dataclass(frozen=True, slots=True)
class SourceScore:
    """One source of one class."""

    source: str
    label: int
    n: int
    correct: Estimate
    """Share called correctly at P(AI) 0.5."""
    correct_at_threshold: Estimate
    auroc: Estimate
    """Of its images against those of the other class, see `metrics.left_out`."""

    @property
    def is_small(self) -> bool:
        """Whether it has too few images to be judged."""
        return self.n < FEW

    @property
    def wrong(self) -> int:
        """Images called wrongly at P(AI) 0.5: what the source costs, its error rate times its size."""
        return round(self.n * (1 - self.correct.value))

    @property
    def name(self) -> str:
        """For sentences."""
        return f"{self.source} ({NAMES[self.label]}, {self.n} images)"


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of a set of images in the report."""

    scores: tuple[SourceScore, ...] = ()
    blocks: tuple[Block, ...] = ()
    risks: tuple[Risk, ...] = ()
    worst: tuple[str, ...] = ()
    """The worst source that is large enough, a sentence for the opening."""

    def plain(self) -> dict[str, object]:
        """For metrics.json, under "class/source"."""
        return {
            f"{NAMES[s.label]}/{s.source}": {"n": s.n, "correct": s.correct.plain(), "auroc": s.auroc.plain()}
            for s in self.scores
        }


def source_blocks(part: Part, *, resamples: int, seed: int) -> Sources:
    """A table of the sources of a part, the worst first; nothing where neither class has two of them."""
    counts = part.rows.groupby("label")["source"].nunique()
    if not len(counts) or counts.max() < 2:
        return Sources()
    scores = part.scores
    margins = part.margin_scores
    found = []
    for (label, source), rows in part.rows.groupby(["label", "source"]):
        here = rows.index.to_numpy()
        against = np.flatnonzero(ranked_against(part.rows.index.isin(here), part.rows["label"], part.rows["fold"]))
        alone, chosen = (
            evaluate_scores(each.rows(here), resamples=resamples, seed=seed).accuracy for each in (scores, margins)
        )
        both = evaluate_scores(scores.rows(np.concatenate([here, against])), resamples=resamples, seed=seed)
        found.append(SourceScore(source or NO_SOURCE, int(label), len(here), alone, chosen, both.auroc))
    found.sort(key=lambda score: (score.is_small, score.correct.value, -score.n))
    return Sources(tuple(found), (_table(found), *_costliest(found)), _risks(found), _worst(found))


def counted(n: int) -> str | int:
    """A number of images for a table."""
    return f"{n} (too small)" if n < FEW else n


def _table(found: list[SourceScore]) -> Table:
    rows = tuple(
        (
            s.source,
            NAMES[s.label],
            counted(s.n),
            s.wrong,
            s.correct,
            s.correct_at_threshold,
            s.auroc,
        )
        for s in found
    )
    columns = ("Source", "Class", "Images", "Wrong at 0.5", "Correct at 0.5", "Correct at threshold", "AUROC")
    caption = f"Each source, the worst first and those too small to judge last. {RANKED_AGAINST}."
    return Table(columns, rows, caption, bars=4)


def _costliest(found: list[SourceScore]) -> tuple[Caution, ...]:
    small = [s for s in found if s.is_small]
    total = sum(s.wrong for s in found)
    words = []
    if total:
        first = max(found, key=lambda score: score.wrong)
        words.append(
            f"Most errors: {first.name}, {first.wrong} of them wrong at P(AI) 0.5, {first.wrong / total:.0%} of all "
            f"{total} errors."
        )
    if small:
        named = ", ".join(f"{s.source} ({s.n})" for s in small)
        words.append(f"Too small to judge, under {FEW} images: {named}.")
    return (Caution(" ".join(words)),) if words else ()


def _risks(found: list[SourceScore]) -> tuple[Risk, ...]:
    worst = next((s for s in found if not s.is_small and s.correct.high < 0.5), None)
    if worst is None:
        return ()
    words = f"it is mostly wrong on {worst.name}: {percent(worst.correct)} correct"
    return (Risk(0.5 - worst.correct.value, words),)


def _worst(found: list[SourceScore]) -> tuple[str, ...]:
    large = [s for s in found if not s.is_small and s.source != NO_SOURCE]
    if len(large) < 2:
        return ()
    return (f"The worst of {len(large)} sources is {large[0].name}: {percent(large[0].correct)} correct.",)
