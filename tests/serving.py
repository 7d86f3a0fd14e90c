"""A service for the tests: the detector that comes along, on images that are made here."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from rexnet_ai_real import Detector
from rexnet_ai_real.detector.ready import FOLDER
from rexnet_ai_real.detector.worth import Worth
from rexnet_ai_real.page.site import PageFile
from rexnet_ai_real.serve.app import Service, application
from rexnet_ai_real.serve.gate import Gate
from rexnet_ai_real.serve.judge import Judge
from rexnet_ai_real.serve.limits import Limits
from rexnet_ai_real.serve.metrics import Metrics

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
DETECT = "/v1/detect"
PAGE = {
    "index.html": PageFile("text/html", b"<!doctype html><title>page</title>"),
    "model.onnx.gz": PageFile("application/gzip", bytes(200_000)),
}


def picture(seed: int, size: tuple[int, int] = (300, 200), suffix: str = "JPEG", **options: Any) -> bytes:
    """A file of coarse noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    stored = io.BytesIO()
    Image.fromarray(noise).resize(size).save(stored, suffix, **options)
    return stored.getvalue()


@contextmanager
def running(detector: Detector, limits: Limits | None = None, **service: Any) -> Iterator[Service]:
    """A service within the block."""
    metrics = Metrics()
    with Judge(detector, limits or Limits(), metrics.batch.observe) as judge:
        metrics.waiting.set_function(lambda: judge.waiting)
        yield Service(judge, Worth.of(detector.description, FOLDER), metrics, page=PAGE, **service)


def asking(app: Gate) -> httpx.AsyncClient:
    """A client that speaks to the app in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service", timeout=60)


def answer(service: Service, ask: Ask) -> httpx.Response:
    """What one request gets."""

    async def asked() -> httpx.Response:
        async with asking(application(service)) as client:
            return await ask(client)

    return asyncio.run(asked())


def post(service: Service, url: str = DETECT, **sent: Any) -> httpx.Response:
    return answer(service, lambda client: client.post(url, **sent))


def get(service: Service, url: str, **sent: Any) -> httpx.Response:
    return answer(service, lambda client: client.get(url, **sent))


def problem(response: httpx.Response, status: int) -> str:
    """The detail of an error, which has the form of RFC 9457 and shows nothing of the machine."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == status
    assert "Traceback" not in response.text
    assert str(Path(__file__).parents[1]) not in response.text
    return str(told["detail"])
