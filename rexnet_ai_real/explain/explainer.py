"""From files to explanations: the detector's verdict, heat by the chosen method, and what the metadata say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.engine import at_once, logits_of_views
from rexnet_ai_real.detector.exact_heat import heat_towards, logits_and_first_maps, predicted
from rexnet_ai_real.detector.explanation import Explanation
from rexnet_ai_real.detector.verdict import Verdict, verdicts
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.explain.methods import EXACT, METHODS
from rexnet_ai_real.images.decode import file_bytes
from rexnet_ai_real.images.limits import MAX_PIXELS
from rexnet_ai_real.images.loading import prepared_batches
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.images.remarks import Remarked, read_with_remarks
from rexnet_ai_real.images.walk import ImageFile
from rexnet_ai_real.labels import LABELS
from rexnet_ai_real.provenance import read_provenance

Target = Literal["predicted", "ai", "real"]


@dataclass(frozen=True, slots=True)
class _Prepared:
    image: Remarked
    provenance: str


@dataclass(frozen=True)
class Explainer:
    """A detector with a method to explain it."""

    detector: Detector
    method: str = EXACT
    """One of `METHODS`. All but the exact one need the detector's networks in PyTorch."""
    target: Target = "predicted"
    """The class that the heat shows evidence for; predicted: the one that the threshold gives."""
    max_pixels: int = MAX_PIXELS
    always: bool = False
    """Whether the answer at the threshold stands in place of none."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"method={self.method}: expected one of {', '.join(METHODS)}")
        if self.method != EXACT and self.detector.engine.backend != "torch":
            raise UserError(
                f"method={self.method} needs gradients, which backend={self.detector.engine.backend} does not give: "
                f"use backend=torch, or method={EXACT}"
            )

    @property
    def unit(self) -> str:
        """Of the heat, in words."""
        if self.method == EXACT:
            return "exact class-activation map, log-odds that each position adds"
        return f"by {self.method}, in its own unit"

    def check(self) -> None:
        """Try the method on a grey image, so that a network it cannot explain is found before anything is written.

        Raises:
            UserError: says which method can explain it.
        """
        size = self.detector.preprocessing.image_size
        self._heat(np.full((1, 1, size, size, 3), 128, np.uint8))

    def explain(self, files: Iterable[ImageFile], *, batch_size: int = 16, workers: int = 2) -> Iterator[Explanation]:
        """An explanation of each file, lazily and in order; a file without an image gives one with an error.

        Memory does not grow with the number of files: at most two batches of prepared images wait.

        Raises:
            UserError: as `check`.
        """
        batch_size = min(batch_size, at_once(self.detector.preprocessing.image_size) or batch_size)
        for batch in prepared_batches(self._prepare, files, batch_size=batch_size, workers=workers):
            yield from self._explained(batch)

    def _prepare(self, path: Path) -> _Prepared:
        with file_bytes(path) as data:
            image = read_with_remarks(
                data,
                self.detector.preprocessing,
                max_pixels=self.max_pixels,
                familiar_side=self.detector.description.familiar_side,
            )
            return _Prepared(image, read_provenance(data).verdict)

    def _explained(self, batch: list[tuple[ImageFile, _Prepared | str]]) -> Iterator[Explanation]:
        good = [(file.path, made) for file, made in batch if isinstance(made, _Prepared)]
        explained: Iterator[Explanation] = iter(())
        if good:
            logits, heat, targets = self._heat(np.stack([made.image.pixels for _, made in good]))
            remarks = [made.image.remark for _, made in good]
            outside = [made.image.outside for _, made in good]
            paths = [path for path, _ in good]
            answers = verdicts(paths, logits.tolist(), self.detector.calibration, remarks, outside)
            if self.always:
                answers = [answer.always() for answer in answers]
            explained = (
                Explanation(verdict)
                if verdict.error is not None
                else Explanation(verdict, made.provenance, int(target), map_)
                for verdict, (_, made), map_, target in zip(answers, good, heat, targets, strict=True)
            )
        for file, made in batch:
            yield Explanation(Verdict.failed(file.path, made)) if isinstance(made, str) else next(explained)

    def _heat(self, views: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
        """Logits and targets of the verdict, over all views; heat of the first, on which it is shown."""
        if self.method != EXACT:
            logits = logits_of_views(self.detector.engine, views)
            targets = self._targets(logits)
            return logits, self._gradient_heat(np.ascontiguousarray(views[:, 0]), targets), targets
        try:
            logits, maps = logits_and_first_maps(self.detector.engine, views)
        except UserError as error:
            raise UserError(
                f"{error}. Or choose another method, such as gradcam, which PyTorch computes: --method gradcam "
                "--backend torch"
            ) from error
        targets = self._targets(logits)
        return logits, heat_towards(maps, targets), targets

    def _targets(self, logits: NDArray[np.float32]) -> NDArray[np.intp]:
        if self.target != "predicted":
            return np.full(len(logits), LABELS.index(self.target))
        return predicted(logits, self.detector.calibration)

    def _gradient_heat(self, images: Pixels, targets: NDArray[np.intp]) -> NDArray[np.float32]:
        """The mean of the networks' heat maps."""
        from rexnet_ai_real.detector.engines.torch_engine import require_torch
        from rexnet_ai_real.models.cam import NoFeatureMap, heat_maps

        engine = require_torch(self.detector.engine, f"method={self.method}")
        batch = engine.normalised(images)
        try:
            maps = [heat_maps(net, batch, targets.tolist(), method=self.method) for net in engine.networks]
        except NoFeatureMap as error:
            raise UserError(f"no heat map can be made of this detector: {error}") from error
        mean_map: NDArray[np.float32] = np.mean(maps, axis=0, dtype=np.float32)
        return mean_map
