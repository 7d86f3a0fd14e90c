"""The service that one would write first, an image and a forward pass a request: `python -m benchmarks.plain_service`.

It has the same decoder, preprocessing and engine as `rexnet_ai_real.serve`, and none of its batches, limits or checks.
"""

import argparse
import socket
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile

from rexnet_ai_real import Detector
from rexnet_ai_real.detector.verdict import verdicts
from rexnet_ai_real.images.remarks import read_with_remarks


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="The plain service.")
    parser.add_argument("--one-thread", action="store_true", help="answer in the event loop, one after the other")
    options = parser.parse_args()
    detector = Detector.load()
    app = FastAPI()

    def answer(data: bytes) -> dict[str, object]:
        image = read_with_remarks(data, detector.preprocessing, familiar_side=detector.description.familiar_side)
        logits = detector.engine.logits(np.ascontiguousarray(image.pixels[:1])).tolist()
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


if __name__ == "__main__":
    main()
