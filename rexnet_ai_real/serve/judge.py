"""From the bytes of images to verdicts: decoded by threads, judged in batches, bounded in number and time.

The answers are those of `Detector.predict` on the same bytes.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType

import numpy as np

from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.engine import Engine, at_once, logits_of_views
from rexnet_ai_real.detector.engines.graphs import for_many_threads
from rexnet_ai_real.detector.exact_heat import heat_towards, logits_and_first_maps, predicted
from rexnet_ai_real.detector.explanation import Explanation
from rexnet_ai_real.detector.verdict import Verdict, verdicts
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.images.decode import UnreadableImage
from rexnet_ai_real.images.remarks import Remarked, read_with_remarks
from rexnet_ai_real.provenance import Provenance, read_provenance
from rexnet_ai_real.serve.batching import Batcher
from rexnet_ai_real.serve.failures import DamagedWeights, failure
from rexnet_ai_real.serve.heat_map import Shown, drawn, shown
from rexnet_ai_real.serve.limits import Limits
from rexnet_ai_real.serve.problems import Busy, Problem
from rexnet_ai_real.serve.uploads import Upload


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be told beside the verdict."""

    heat_map: bool = False
    provenance: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """All that is told of one image."""

    verdict: Verdict
    """`path` is the name as sent, or empty."""
    provenance: Provenance | None = None
    heat_map: bytes | None = None
    """PNG."""
    failure: Problem | None = None
    """Where the service failed and not the image: what to answer if it was sent alone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    name: str
    image: Remarked
    provenance: Provenance | None
    shown: Shown | None


class Judge:
    """A detector behind a bounded queue. A context: within it the threads live.

    It is closed when everything is answered; what is left then, nobody waits for any more, and it is dropped.
    """

    def __init__(self, detector: Detector, limits: Limits, on_batch: Callable[[int], None] = lambda size: None) -> None:
        """`on_batch` hears how many images went through the network together."""
        self.detector = detector
        self._engine, threads = for_many_threads(detector.engine)
        self.limits = limits
        self.waiting = 0
        """Images that wait or are being judged."""
        self.gives_heat = _gives_heat(self._engine, detector.preprocessing.image_size)
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="image")
        self._batcher = Batcher(
            self._run,
            batch_size=min(limits.batch_size, at_once(detector.preprocessing.image_size) or limits.batch_size),
            max_wait=limits.max_wait_ms / 1000,
            coming=lambda: self.waiting,
            on_batch=on_batch,
            threads=threads,
        )
        self._open = ExitStack()

    def __enter__(self) -> "Judge":
        self._open.enter_context(self._batcher)
        self._open.callback(self._pool.shutdown, cancel_futures=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def is_alive(self) -> bool:
        """Whether the engine's threads work."""
        return self._batcher.is_alive

    def check_room(self, count: int = 1) -> None:
        """Whether so many further images can wait.

        Raises:
            Busy: they cannot.
        """
        if self.waiting + count > self.limits.queue:
            raise Busy(f"{self.waiting} images wait already, and at most {self.limits.queue} may: try again.")

    async def judge(self, uploads: Sequence[Upload], wanted: Wanted) -> list[Judged]:
        """Everything wanted of each image, in order; one that fails is a verdict with an error.

        Raises:
            Busy: too many images wait.
            Problem: 501 no heat map of this detector, 504 not done in time.
        """
        if wanted.heat_map and not self.gives_heat:
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, "This detector gives no heat maps: ask without heat_map.")
        self.check_room(len(uploads))
        self.waiting += len(uploads)
        try:
            async with asyncio.timeout(self.limits.timeout):
                return await asyncio.gather(*(self._judge(upload, wanted) for upload in uploads))
        except TimeoutError:
            raise Problem(
                HTTPStatus.GATEWAY_TIMEOUT, f"No answer within {self.limits.timeout:g} seconds: send fewer images."
            ) from None
        finally:
            self.waiting -= len(uploads)

    async def _judge(self, upload: Upload, wanted: Wanted) -> Judged:
        try:
            return await self._judged(upload, wanted)
        except Exception as error:  # such as memory that one image took must not fail the images beside it
            told = failure(error)
            return Judged(Verdict.failed(upload.name or "", str(told)), failure=told)

    async def _judged(self, upload: Upload, wanted: Wanted) -> Judged:
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(self._pool, self._prepare, upload, wanted)
        if isinstance(prepared, Judged):
            return prepared
        explained = await asyncio.wrap_future(self._batcher.submit(prepared))
        if explained.verdict.error is not None:  # the image was read
            raise DamagedWeights
        if prepared.shown is None or explained.heat is None:
            return Judged(explained.verdict, prepared.provenance)
        seen = self.detector.preprocessing.seen
        png = await loop.run_in_executor(self._pool, drawn, prepared.shown, explained, seen)
        return Judged(explained.verdict, prepared.provenance, png)

    def _prepare(self, upload: Upload, wanted: Wanted) -> _Prepared | Judged:
        """By a thread of the pool; without an image, the whole answer."""
        name, data, most = upload.name or "", upload.data, self.limits.max_pixels
        provenance = read_provenance(data) if wanted.provenance else None
        try:
            image = read_with_remarks(
                data,
                self.detector.preprocessing,
                max_pixels=most,
                familiar_side=self.detector.description.familiar_side,
            )
            return _Prepared(name, image, provenance, shown(data, max_pixels=most) if wanted.heat_map else None)
        except UnreadableImage as error:
            return Judged(Verdict.failed(name, str(error)), provenance)

    def _run(self, batch: Sequence[_Prepared]) -> list[Explanation]:
        """By a thread of the engine's; heat only where a batch has an image that wants it."""
        views, calibration = np.stack([prepared.image.pixels for prepared in batch]), self.detector.calibration
        if any(prepared.shown for prepared in batch):
            logits, maps = logits_and_first_maps(self._engine, views)
            targets = predicted(logits, calibration)
            heat = list(heat_towards(maps, targets))
        else:
            logits = logits_of_views(self._engine, views)
            targets, heat = predicted(logits, calibration), []
        found = verdicts(
            [prepared.name for prepared in batch],
            logits.tolist(),
            calibration,
            [prepared.image.remark for prepared in batch],
            [prepared.image.outside for prepared in batch],
        )
        return [
            Explanation(verdict, "", int(target), heat[at] if heat and verdict.error is None else None)
            for at, (verdict, target) in enumerate(zip(found, targets, strict=True))
        ]


def _gives_heat(engine: Engine, size: int) -> bool:
    """Whether the network has an exact map. The engine is warm afterwards."""
    try:
        engine.logits_and_maps(np.full((1, size, size, 3), 128, np.uint8))
    except UserError:
        return False
    return True
