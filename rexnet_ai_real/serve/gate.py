"""What every request passes: counted, timed, logged in one line without its content, and refused while stopping."""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rexnet_ai_real.serve.metrics import Metrics
from rexnet_ai_real.serve.problems import Busy

LOG: Final = logging.getLogger(__name__)
ALWAYS_ANSWERED: Final = ("/healthz", "/readyz", "/metrics")
"""Also while the service stops."""
OTHER: Final = "other"
"""Stands in metrics and the log for paths that do not exist, which may be anything."""
SECURITY: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""With every answer that has none of its own."""
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(slots=True)
class Traffic:
    """How many requests are being answered, and whether new ones are."""

    in_flight: int = 0
    is_stopping: bool = False


class Gate:
    """The ASGI application around all others."""

    def __init__(self, app: ASGIApp, paths: Collection[str], metrics: Metrics, traffic: Traffic) -> None:
        """`paths` are those that the app answers."""
        self._app = app
        self._paths = frozenset(paths)
        self._metrics = metrics
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._traffic.is_stopping and scope["path"] not in ALWAYS_ANSWERED:
            busy = Busy("The service is stopping: try again, perhaps at another one.")
            await self._pass(busy.response, scope, receive, send)
        else:
            await self._pass(self._app, scope, receive, send)

    async def full(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request, as it came on a connection too many."""
        busy = Busy("As many connections are open as the service takes: try again.")
        busy.headers["Connection"] = "close"
        await self._pass(busy.response, scope, receive, send)

    async def _pass(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["path"] in self._paths else OTHER
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        started, status = time.perf_counter(), 500

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        self._traffic.in_flight += 1
        try:
            await app(scope, receive, send_safely)
        finally:
            self._traffic.in_flight -= 1
            seconds = time.perf_counter() - started
            self._metrics.requests.labels(path, method, status).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            LOG.info("%s %s %d %.0f ms", method, path, status, 1000 * seconds)
