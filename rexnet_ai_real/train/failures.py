"""What may end training before its time, in one sentence each."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L

from rexnet_ai_real.errors import UserError


class TrainingDiverged(UserError, ArithmeticError):
    """The validation loss was infinite or NaN in every epoch, so that there is no best checkpoint."""


class LoaderDied(UserError, RuntimeError):
    """The system ended a process that decodes images."""


@contextmanager
def loader_failures_explained() -> Iterator[None]:
    """Turn the death of a process of `data.workers` into one sentence.

    Raises:
        LoaderDied: PyTorch noticed it.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "Caught" in str(error):
            raise
        how = " ".join(str(error).partition("DataLoader worker")[2].split())[:80]
        raise LoaderDied(
            f"A process that decodes images has died (worker{how}), as happens where memory runs short. Give "
            "data.workers=0, or a smaller data.batch_size or data.image_size; resume=FOLDER goes on from the last epoch"
        ) from error


@contextmanager
def ctrl_c_ends_training(trainer: L.Trainer) -> Iterator[None]:
    """Let Ctrl-C end the training loop alone, so that the figures of the epochs trained so far can be drawn.

    Lightning turns it into an exit of the process.
    """
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
