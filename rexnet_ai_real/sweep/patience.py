"""What a smaller patience would have done, read from the history of a longer run, without training again.

This works because patience decides only when a run ends: the learning-rate schedule always spans trainer.max_epochs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a run with this patience ends; epochs are counted from 0."""

    patience: int
    stopped_at: int | None
    """The last epoch trained; None: the run completes all its epochs."""
    kept: int
    """The epoch whose checkpoint is kept: the lowest validation loss up to then."""
    final: bool
    """Every larger patience gives the same result."""


def stopping_epoch(val_losses: Sequence[float], patience: int, min_delta: float = 0.0) -> tuple[int | None, int]:
    """The epoch after which Lightning's EarlyStopping ends a run, and the epoch that ModelCheckpoint then holds.

    A loss counts as better when it is lower than the best so far by more than `min_delta`; after `patience` epochs in a
    row that were not better, or at once when a loss is not finite, the run stops. The checkpoint ignores `min_delta`.

    Args:
        val_losses: one per epoch; not empty.
        patience: epochs without improvement; at least 1.
        min_delta: at least 0.

    Returns:
        (stopped_at, kept), positions in `val_losses`. `stopped_at` is None when no epoch
        meets the condition.

    Raises:
        ValueError: no losses, or a patience below 1.
    """
    if not val_losses or patience < 1:
        raise ValueError(
            f"expected at least one loss and a patience of 1 or more, got {len(val_losses)} and {patience}"
        )
    best, waited, stopped_at = math.inf, 0, None
    for epoch, loss in enumerate(val_losses):
        improved = loss + min_delta < best
        best, waited = (loss, 0) if improved else (best, waited + 1)
        if not math.isfinite(loss) or waited >= patience:
            stopped_at = epoch
            break
    seen = val_losses if stopped_at is None else val_losses[: stopped_at + 1]
    kept = min(range(len(seen)), key=lambda epoch: math.inf if math.isnan(seen[epoch]) else seen[epoch])
    return stopped_at, kept


def stops(val_losses: Sequence[float], min_delta: float, *, complete: bool) -> list[Stop]:
    """How a run ends under each patience from 1 up, as far as its history shows.

    Args:
        val_losses: of the longest run, one per epoch; not empty.
        min_delta: as for `stopping_epoch`.
        complete: the run completed all its epochs, so that a larger patience changes nothing. Otherwise what would
            come after this history is unknown, and such a patience is left out.
    """
    found: list[Stop] = []
    for patience in range(1, len(val_losses) + 1):
        stopped_at, kept = stopping_epoch(val_losses, patience, min_delta)
        if stopped_at is None and not complete:
            break
        final = stopped_at is None or not math.isfinite(val_losses[stopped_at])
        found.append(Stop(patience, stopped_at, kept, final))
        if final:
            break
    return found
