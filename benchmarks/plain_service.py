"""The service that one would write first, an image and a forward pass a request: `python -m benchmarks.plain_service`.

It has the same decoder and preprocessing as `rexnet_ai_real.serve`, the same engine or timm's network in PyTorch, and
none of the batches, limits and checks.
"""

import argparse
import socket
import sys
from collections.abc import Callable

import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from numpy.typing import NDArray

from rexnet_ai_real import Detector
from rexnet_ai_real.detector.verdict import verdicts
from rexnet_ai_real.images.preprocessing import Pixels
from rexnet_ai_real.images.remarks import read_with_remarks


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="The plain service.")
    parser.add_argument("--one-thread", action="store_true", help="answer in the event loop, one after the other")
    parser.add_argument("--torch", action="store_true", help="timm's network in PyTorch, float32, eager")
    options = parser.parse_args()
    detector = Detector.load()
    forward = _in_pytorch() if options.torch else detector.engine.logits
    app = FastAPI()

    def answer(data: bytes) -> dict[str, object]:
        image = read_with_remarks(data, detector.preprocessing, familiar_side=detector.description.familiar_side)
        logits = forward(np.ascontiguousarray(image.pixels[:1])).tolist()
        (verdict,) = verdicts([""], logits, detector.calibration, [image.remark], [image.outside])
        return {"label": verdict.label, "probability": verdict.probability}

    if options.one_thread:

        @app.post("/v1/detect")
        async def detect(image: UploadFile) -> dict[str, object]:
            return answer(await image.read())
    else:

        @app.post("/v1/detect")
        def detect_in_threads(image: UploadFile) -> dict[str, object]:
            return answer(image.file.read())

    opened = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"Serving on http://127.0.0.1:{opened.getsockname()[1]}", file=sys.stderr, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([opened])


def _in_pytorch() -> Callable[[Pixels], NDArray[np.float32]]:
    """The same architecture with random weights, which take as long."""
    import timm
    import torch

    network = timm.create_model("rexnet_100", num_classes=2).eval()

    def forward(images: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
            both = network(batch).numpy()
        logits: NDArray[np.float32] = both[:, 1] - both[:, 0]
        return logits

    return forward


if __name__ == "__main__":
    main()
