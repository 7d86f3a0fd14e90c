"""Picture files made ready for a network by threads, in batches; what gives no picture is a reason in its place."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rexnet_ai_real.images.decode import UnreadablePicture
from rexnet_ai_real.images.walk import PictureFile, made_ahead

Made = TypeVar("Made")


def prepared_batches(
    prepare: Callable[[Path], Made], files: Iterable[PictureFile], *, batch_size: int, workers: int
) -> Iterator[list[tuple[PictureFile, Made | str]]]:
    """Each file with what `prepare` makes of it, or with the reason why it makes nothing; lazily and in order.

    At most two batches are prepared before they are asked for.
    """

    def attempt(file: PictureFile) -> Made | str:
        if file.error is not None:
            return file.error
        try:
            return prepare(Path(file.path))
        except UnreadablePicture as error:
            return str(error)
        except Exception as error:  # a name with a zero byte, a picture larger than the memory left: one bad row
            return f"cannot be prepared: {type(error).__name__}: {' '.join(str(error).split())[:120]}"

    prepared = made_ahead(attempt, files, workers=workers, ahead=2 * batch_size)
    while batch := list(islice(prepared, batch_size)):
        yield batch
